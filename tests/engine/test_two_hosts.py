"""A job on two hosts, each with a Dask worker and a home of its own, that share an S3 server."""

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support.catalogue import compile_worker
from support.hosts import can_make_hosts, network, unplugged

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(not can_make_hosts(), reason="needs root, iproute2 and util-linux"),
]

_BIN = str(Path(sys.executable).parent)
_PULLED_SECONDS = 10

_S3 = """
import sys, urllib.request
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="10.77.0.1", port=9000, verbose=False)
server.start()
for name in ("data", "jobs"):
    urllib.request.urlopen(urllib.request.Request(f"http://10.77.0.1:9000/{name}", method="PUT"))
print("ready", flush=True)
sys.stdin.read()
"""

_PUT = """
import sys, obstore
from obstore.store import S3Store
store = S3Store("data", client_options={"allow_http": True})
for number, line in enumerate(sys.stdin.buffer):
    obstore.put(store, f"in/{number:02d}.txt", line * 300)
"""

_SETTINGS = {
    "AWS_ENDPOINT_URL": "http://10.77.0.1:9000",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
    "PATH": f"{_BIN}:/usr/sbin:/usr/bin:/sbin:/bin",
}

# Answers each word that is not a line of the supporting file stop.txt, with a count of one.
_WORKER = r"""
#include <disco.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    char stop[64] = "";
    FILE *file = fopen("stop.txt", "r");
    if (!file || !fgets(stop, sizeof stop, file))
        die("stop.txt is missing");
    stop[strcspn(stop, "\n")] = 0;
    char host[64];
    gethostname(host, sizeof host);
    msg("on %s", host);
    disco_params_free(disco_params_read());
    p_entry *key = NULL, *line = NULL;
    while (read_kv(&key, &line)) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
        char *words[64];
        uint32_t n_words = 0;
        for (char *word = strtok(line->data, " \n"); word; word = strtok(NULL, " \n"))
            if (strcmp(word, stop))
                words[n_words++] = word;
        write_num_prefix((int)n_words);
        for (uint32_t i = 0; i < n_words; i++)
            disco_write_kv(words[i], (uint32_t)strlen(words[i]), "1", 1);
    }
    return 0;
}
"""

_JOB = """
import beside
from kvproto.classic import Job, external, kvgroup

class Count(Job):
    map = external(["worker", "stop.txt"])
    required_files = ["names.txt"]
    partitions = 3
    sort = True

    @staticmethod
    def reduce(pairs, params):
        with open("names.txt") as file:
            prefix = file.read().strip()
        for word, ones in kvgroup(pairs):
            yield beside.join(prefix, word.decode()), sum(map(int, ones))
"""

_BESIDE = """
def join(prefix, word):
    return f"{prefix}-{word}"
"""

LINES = [f"stop a{number % 3} b c{number}" + 4000 * " " for number in range(16)]
"""The line of each input, which is there 300 times: more than a MiB, and so a task."""


def expected():
    words = Counter(word for line in LINES for word in line.split() * 300 if word != "stop")
    return {f"name-{word}": n for word, n in words.items()}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """The hosts `hub`, `a` and `b`; the hub has the S3 server and the scheduler."""
    with network("hub", "a", "b") as (hub, a, b):
        hub.serve([sys.executable, "-P", "-c", _S3], b"ready")
        text = "".join(line + "\n" for line in LINES).encode()
        put = hub.start([sys.executable, "-P", "-c", _PUT], _SETTINGS, stdin=subprocess.PIPE)
        put.communicate(text)
        assert put.returncode == 0
        scheduler = ["dask", "scheduler", "--host", "10.77.0.1", "--no-dashboard"]
        hub.serve(scheduler, b"Scheduler at", _SETTINGS)
        for host in (a, b):
            worker = ["dask", "worker", "tcp://10.77.0.1:8786", "--nworkers", "1"]
            worker += ["--nthreads", "2", "--no-dashboard", "--local-directory", "/tmp"]
            host.serve(worker, b"Starting established connection", _SETTINGS)
        directory = tmp_path_factory.mktemp("worker")
        (directory / "worker.c").write_text(_WORKER)
        program = compile_worker(directory / "worker.c", directory / "worker")
        a.write("/tmp/app/worker", program.read_bytes())
        a.call(["chmod", "+x", "/tmp/app/worker"])
        for name, text in (
            ("stop.txt", "stop\n"),
            ("names.txt", "name\n"),
            ("count.py", _JOB),
            ("beside.py", _BESIDE),
        ):
            a.write(f"/tmp/app/{name}", text)
        yield hub, a, b


def run_job(host):
    argv = ["kvproto", "run", "--engine", "dask://10.77.0.1:8786", "--store", "s3://jobs/tmp"]
    argv += ["--progress", "jsonl", "count.Count", "s3://data/in/*.txt"]
    return host.start(
        argv,
        _SETTINGS,
        directory="/tmp/app",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def counts(out):
    rows = [line.split("\t") for line in out.splitlines()]
    return {word: int(n) for word, n in rows}


def test_a_job_with_its_files_and_modules_runs_on_hosts_that_share_only_an_object_store(hosts):
    _, a, b = hosts
    job = run_job(a)
    out, err = job.communicate()
    assert job.returncode == 0, err
    messages = {event["text"] for event in map(json.loads, err.splitlines()) if "text" in event}
    assert {"on a", "on b"} <= messages
    assert counts(out) == expected()
    assert not Path(b.path("/tmp/app")).exists()
    assert not Path(b.path("/tmp/home/.kvproto")).exists()


def test_a_cable_that_is_pulled_for_ten_seconds_changes_nothing(hosts):
    hub, a, b = hosts
    job = run_job(a)
    for line in job.stderr:
        event = json.loads(line)
        if event["event"] == "progress" and event["done"]:
            break
    with unplugged(hub, b):
        time.sleep(_PULLED_SECONDS)
    out, err = job.communicate()
    assert job.returncode == 0, err
    assert counts(out) == expected()

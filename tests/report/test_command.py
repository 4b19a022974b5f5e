"""`kvproto report`."""

import csv
import io
import os
import re
import subprocess
import sys

import pytest
from support.job_pages import Page, done, ended, in_stages, written

from kvproto.classic import Job
from kvproto.classic.progress import Progress
from kvproto.errors import JobError

ATTEMPTS = [ended("map", 0, 0, 1), ended("map", 1, 0, 2)]


def kvproto(*arguments, **options):
    command = [sys.executable, "-m", "kvproto", "report", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_page_is_in_the_directory_of_the_job_and_its_path_is_printed():
    handle = written("paged", *in_stages(ATTEMPTS, [], done(3)))
    ran = kvproto("paged")
    path = os.path.join(handle.paths.path, "report.html")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{path}\n", "")
    with open(path, encoding="utf-8") as file:
        assert "is done" in Page(file.read()).text


def test_the_page_goes_to_a_file_or_to_stdout(tmp_path):
    written("elsewhere", *in_stages(ATTEMPTS, [], done(3)))
    path = tmp_path / "page.html"
    assert kvproto("@", "-o", path).stdout == f"{path}\n"
    assert Page(path.read_text()).text == Page(kvproto("@", "-o", "-").stdout).text


def test_the_table_goes_to_stdout(tmp_path):
    written("tabled", *in_stages(ATTEMPTS, [], done(3)))
    rows = list(csv.DictReader(kvproto("--tsv", "@").stdout.splitlines(), delimiter="\t"))
    assert [(row["task"], row["seconds"]) for row in rows] == [("map:0", "1"), ("map:1", "2")]


def test_a_browser_gets_the_page(tmp_path):
    written("opened", *in_stages(ATTEMPTS, [], done(3)))
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/url\n')
    browser.chmod(0o755)
    path = tmp_path / "page with a space.html"
    ran = kvproto("--open", "-o", path, "@", env={**os.environ, "BROWSER": f"{browser} %s"})
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "url").read_text() == path.as_uri() + "\n"


def test_what_is_not_in_a_file_cannot_be_opened():
    written("wrong", *in_stages(ATTEMPTS, [], done(3)))
    for options in (["--tsv"], ["-o", "-"]):
        ran = kvproto("--open", *options, "@")
        assert ran.returncode == 2 and "--open shows a page that is in a file" in ran.stderr


def test_an_unknown_job_is_an_error():
    written("known", *in_stages(ATTEMPTS, [], done(3)))
    ran = kvproto("unknown")
    assert (ran.returncode, ran.stdout) == (1, "") and "there is no job unknown" in ran.stderr


def test_a_job_that_runs_has_a_page(tmp_path):
    hold = tmp_path / "hold"
    os.mkfifo(hold)

    def wait(line, params):
        hold.read_bytes()
        yield line, 1

    job = Job("runs").run(input=["raw://x"], map=wait)
    next(event for _, event in job.events(follow=True) if event["event"] == "stage")
    page = Page(kvproto("@", "-o", "-").stdout)
    hold.write_bytes(b"go on")
    job.wait()
    assert "is running" in page.text and "0 of 1 map task" in page.text
    assert "is done" in Page(kvproto("@", "-o", "-").stdout).text


def test_a_job_that_was_killed_has_a_page(tmp_path):
    def wait(line, params):
        print("here")
        os.mkfifo(tmp_path / "never")
        open(tmp_path / "never").close()

    job = Job("killed").run(input=["raw://x"], map=wait)
    next(event for _, event in job.events(follow=True) if event["event"] == "message")
    job.kill()
    page = Page(kvproto("@", "-o", "-").stdout)
    assert "was stopped" in page.text
    assert page.rows["attempts"][1][:3] == ["map:0", "0", "cancelled"]


def test_the_last_line_of_a_job_and_its_error_have_the_command_to_paste():
    shown = io.StringIO()

    def fail_or_not(line, params):
        return [(line, 1 // int(line))]

    Job("shown").run(input=["raw://1"], map=fail_or_not, on_event=Progress("plain", shown)).wait()
    with pytest.raises(JobError) as caught:
        Job("not").run(input=["raw://0"], map=fail_or_not).wait()
    environment = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    for text in (shown.getvalue(), str(caught.value)):
        [command] = re.findall("a page about it: (.*)", text)
        ran = subprocess.run(command, shell=True, env=environment, capture_output=True, check=True)
        assert ran.stdout.endswith(b"/report.html\n")
    assert shown.getvalue().splitlines()[-1].startswith("a page about it: ")

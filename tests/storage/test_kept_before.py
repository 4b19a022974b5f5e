"""Jobs and tags that an earlier version kept are still read: `kept_by_0_1` is the home of one.

The paths in it are those of /srv/kvproto, where no home is.
"""

import os
import shutil
from pathlib import Path

import pytest
from support.command_line import kvproto_command
from support.job_pages import page_of

from kvproto.classic import result_iterator
from kvproto.classic.ddfs import DDFS
from kvproto.engine.job_handle import JobHandle
from kvproto.engine.registry import all_jobs, resolve_job
from kvproto.storage.manifest import names_of

KEPT = Path(__file__).with_name("kept_by_0_1")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A copy of that home, whose tags name the blobs in it."""
    home = tmp_path / "home"
    shutil.copytree(KEPT, home)
    for path in [home, *home.rglob("*")]:
        path.chmod(0o700 if path.is_dir() else 0o600)
    for path in (home / "ddfs" / "tag").rglob("*.json"):
        path.write_text(path.read_text().replace("/srv/kvproto", str(home)))
    monkeypatch.setenv("KVPROTO_HOME", str(home))
    return home


def test_the_jobs_have_a_report_that_says_what_is_not_known(home):
    for name in all_jobs():
        text = page_of(JobHandle(name)).text
        assert f"{name} is done" in text
        assert "did not record the ends of attempts" in text
        assert "does not have the parameters" in text


def test_the_jobs_are_listed_with_their_state_and_events(home):
    assert [job.partition("@")[0] for job in all_jobs()] == ["frames", "streams", "words"]
    for name in all_jobs():
        job = JobHandle(name)
        assert job.status() == "ready"
        assert job.damage() == ""
        assert [event["event"] for _, event in job.events()][-1] == "done"


def test_their_results_and_what_their_tasks_put_are_read(home):
    frames, streams, words = (JobHandle(name) for name in all_jobs())
    assert list(result_iterator(frames.results())) == [(b"", b"e")]
    assert list(result_iterator(streams.results())) == [("c", "1"), ("d", "1")]
    assert sorted(result_iterator(words.results())) == [("a", 2), ("b", 1)]
    assert words.oob_get("seen") == "yes"


def test_what_its_maps_wrote_is_read(home):
    words = JobHandle(resolve_job("words"))
    kept = words.stage_results("map")
    assert [os.path.basename(path) for path in kept] == names_of(words.paths.map_results)
    assert sorted(result_iterator(kept)) == [("a", 1), ("a", 1), ("b", 1)]


def test_a_result_that_is_not_what_its_manifest_says_is_still_noticed(home):
    [result] = JobHandle(resolve_job("streams")).results()
    with open(result, "ab") as file:
        file.write(b"1 x 1 y\n")
    done = kvproto_command("results", "streams", "--out", "text")
    assert done.returncode == 1
    assert b"has 24 bytes, but 16 were written" in done.stderr


def test_its_tags_are_read_and_changed(home):
    [saved] = [name for name in DDFS().list() if name.startswith("disco:results:words")]
    assert sorted(result_iterator(f"tag://{saved}")) == [("a", 2), ("b", 1)]
    assert list(result_iterator("tag://all", reader=None)) == ["one\n", "two\n"]
    DDFS().tag("all", ["raw://three"])
    assert list(result_iterator("tag://all", reader=None)) == ["one\n", "two\n", "three"]
    DDFS().tag("text", [])
    assert kvproto_command("tag", "gc", "--older-than", "0").stdout == b""
    assert list((home / "ddfs" / "blob" / "25").iterdir()) != []
    DDFS().delete("text")
    assert list((home / "ddfs" / "blob" / "25").iterdir()) == []

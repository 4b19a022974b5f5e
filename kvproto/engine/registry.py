"""The jobs in the home: their names, whichever processes run them."""

from __future__ import annotations

import os

from kvproto.engine.starts import started
from kvproto.errors import JobError
from kvproto.storage.home import check_home, home

__all__ = ["all_jobs", "resolve_job"]

_SHOWN_JOBS = 10


def all_jobs() -> list[str]:
    """Return the sorted names of all jobs. JobError if other users may write to the home."""
    check_home()
    try:
        return sorted(
            name for name in os.listdir(os.path.join(home(), "jobs")) if not name.startswith(".")
        )
    except FileNotFoundError:
        return []


def resolve_job(text: str) -> str:
    """Return the full name of the job whose name begins with `text`; "@" is the last job.

    JobError if there is no such job, or several.
    """
    jobs = all_jobs()
    if not jobs:
        raise JobError(f"there are no jobs in {home()}; KVPROTO_HOME says where jobs are kept")
    if text == "@":
        return max(jobs, key=started)
    matching = [job for job in jobs if text and job.startswith(text)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        shown = "\n  ".join(sorted(matching, key=started)[-_SHOWN_JOBS:])
        raise JobError(
            f"{len(matching)} jobs begin with {text}: give more of the name. "
            f"The last ones:\n  {shown}"
        )
    import difflib  # noqa: PLC0415  # slow, and only an error needs it

    near = difflib.get_close_matches(
        text.partition("@")[0], {job.partition("@")[0] for job in jobs}, 1
    )
    hint = f"; did you mean {near[0]}?" if near else ""
    raise JobError(f"there is no job {text} in {home()}{hint}")

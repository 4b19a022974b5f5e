"""An external program as the map or the reduce of a task: frames in, frames out, its messages as events."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing

from kvproto.engine.events import emit
from kvproto.engine.spec import External
from kvproto.storage.atomic import is_full
from kvproto.storage.home import in_home

__all__ = ["run_program"]


def run_program(mode: str, program: External, frames: Iterable[bytes]) -> Iterator[bytes]:
    """Run a program over frames, cut anywhere; yields those that it answers.

    mode  "map" or "reduce"
    Raises WorkerError for what the program does wrong, FilesError for its files, JobError for a full disk.
    """
    from kvproto.driver.program import ExternalProgram  # only where one is run

    def tell(message) -> None:
        emit("message", kind=message.kind, text=str(message))

    try:
        with (
            ExternalProgram(
                program.files, mode=mode, params=program.params, on_message=tell, **program.limits
            ) as running,
            closing(
                running.map_frames(frames) if mode == "map" else running.reduce_frames(frames)
            ) as output,
        ):
            yield from output
    except OSError as e:
        if is_full(e):  # its directory is in the job's
            with in_home(tempfile.gettempdir()):
                raise
        raise

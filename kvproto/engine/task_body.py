"""What map and reduce tasks have in common: how they run a program, and explain an error."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kvproto.engine.context import current
from kvproto.engine.spec import External, TaskSpec
from kvproto.engine.task_events import emit_message, note_load
from kvproto.engine.task_main import is_own_error
from kvproto.protocol.messages import Message, parse_count
from kvproto.storage.atomic import is_full
from kvproto.storage.home import in_home

if TYPE_CHECKING:
    from kvproto.driver.program import ExternalProgram

__all__ = ["explain_errors", "run_program"]


@contextmanager
def run_program(mode: str, program: External) -> Iterator[ExternalProgram]:
    """Run an external program, whose messages become events, except those that count something."""
    from kvproto.driver.program import ExternalProgram  # noqa: PLC0415  slow, not for all jobs

    counters = current().counters

    def tell(message: Message) -> None:
        counted = parse_count(message)
        if counted is None:
            emit_message(str(message), message.kind)
        else:
            counters.add(*counted)

    limits: dict[str, Any] = program.ext_limits
    logs = os.path.join(current().shared, "logs")
    try:
        with ExternalProgram(
            program.files,
            mode=mode,
            params=program.ext_params,
            on_message=tell,
            core_directory=logs if os.path.isdir(logs) else None,
            **limits,
        ) as worker:
            try:
                yield worker
            finally:
                note_load(worker.load)
    except OSError as e:
        if is_full(e):  # its directory is in the job's
            with in_home(tempfile.gettempdir()):
                raise
        raise


@contextmanager
def explain_errors(spec: TaskSpec, place: Callable[[BaseException], str | None]) -> Iterator[None]:
    """Add to an error of the body what `place` says of it, and what the entries are."""
    try:
        yield
    except (Exception, SystemExit) as e:  # whatever the user's function raises
        note = place(e)
        if note:
            e.add_note(note)
        is_about_text = isinstance(e, (AttributeError, TypeError)) and re.search(_OF_TEXT, str(e))
        if is_about_text and not is_own_error(e):
            is_text = (
                "are str: with text=False they are bytes"
                if spec.text
                else "are bytes, as the job has text=False"
            )
            e.add_note(f"the entries that the job reads {is_text}")
        raise


_OF_TEXT = r"\bstr(ing)?\b.*\b(bytes|decode)\b|\bbytes\b.*\b(str(ing)?|encode|format)\b"

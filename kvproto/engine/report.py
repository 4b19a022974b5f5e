"""The error of a task as text for the person who wrote the job: the frames of that person's code, and none of kvproto's."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback

from kvproto._text import without_passwords
from kvproto.errors import KVProtoError

__all__ = ["report"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def report(error: BaseException) -> str:
    """The error whole: for kvproto's own what it says, for others the traceback without kvproto's frames.

    What kvproto itself raises about a job function has no other frames: its traceback goes to the log.
    """
    if isinstance(error, KVProtoError):
        lines = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]
        return "\n".join(lines)
    error = _raised_by_the_user(error)
    told = traceback.TracebackException.from_exception(error, compact=True)
    has_frames = [_without_ours(part) for part in _parts(told)]
    if any(has_frames):
        return "".join(told.format()).rstrip()
    print(without_passwords("".join(traceback.format_exception(error))), file=sys.__stderr__)
    if isinstance(error, (TypeError, ValueError)):
        return "".join(traceback.format_exception_only(error)).rstrip()
    return "".join(
        traceback.format_exception(error)
    ).rstrip()  # a fault of kvproto, whose frames are what there is to tell


def _raised_by_the_user(error: BaseException) -> BaseException:
    """The StopIteration of a job function, which a generator of kvproto cannot let through as it is; else the error."""
    cause = error.__cause__
    if (
        not isinstance(error, RuntimeError)
        or not isinstance(cause, StopIteration)
        or "StopIteration" not in str(error)
    ):
        return error
    if not all(
        _is_ours(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__)
    ):
        return error
    for note in getattr(error, "__notes__", ()):
        cause.add_note(note)
    return cause


def _parts(told: traceback.TracebackException | None) -> list[traceback.TracebackException]:
    """An error with its causes and contexts, and those of the errors in a group."""
    if told is None:
        return []
    inner = [told.__cause__, told.__context__, *(told.exceptions or ())]
    return [told, *(part for other in inner for part in _parts(other))]


def _without_ours(told: traceback.TracebackException) -> bool:
    """Remove the frames of kvproto, and of contextlib below them; whether others are left."""
    kept, is_below_ours = [], True
    for frame in told.stack:
        if _is_ours(frame.filename):
            is_below_ours = True
        elif not (is_below_ours and frame.filename == contextlib.__file__):
            is_below_ours = False
            kept.append(frame)
    told.stack[:] = kept
    return bool(kept)


def _is_ours(file: str) -> bool:
    return file.startswith(_PACKAGE)

"""The base class of all errors, and those of the kit."""

from __future__ import annotations

from typing import Any

from kvproto._text import printable, without_passwords

__all__ = ["KVProtoError", "KitFault", "KnownError"]


class KVProtoError(Exception):
    """The base class of all errors that kvproto raises on purpose.

    Notes
    -----
    Pickling keeps the attributes, and the `__cause__` if it is a KVProtoError. The text may quote a
    worker, a server or a file. It is safe to print: control characters are escaped, and the
    passwords in URLs are masked.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*[without_passwords(arg) if isinstance(arg, str) else arg for arg in args])

    def __str__(self) -> str:
        return printable(super().__str__())

    def add_note(self, note: str) -> None:
        super().add_note(printable(without_passwords(note)))

    def __reduce__(self) -> tuple[Any, ...]:
        cause = self.__cause__ if isinstance(self.__cause__, KVProtoError) else None
        return _restored, (type(self), self.args, self.__dict__, cause)


def _restored(
    error_type: type[KVProtoError],
    args: tuple[object, ...],
    attributes: dict[str, object],
    cause: KVProtoError | None = None,
) -> KVProtoError:
    """Restore an error without its constructor, which takes facts and not the finished message."""
    error = error_type.__new__(error_type, *args)
    error.args = args  # the __new__ of an OSError, such as WaitTimeout, does not set them
    error.__dict__.update(attributes)
    error.__cause__ = cause
    return error


class KitFault(KVProtoError):
    """The kit itself is at fault: a schedule contradicts itself."""


class KnownError(KVProtoError):
    """A line in the file of known failures does not name a case."""

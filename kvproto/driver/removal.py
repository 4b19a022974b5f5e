"""Removing a directory tree of ours, whatever a worker or a job function has made of it."""

from __future__ import annotations

import os

__all__ = ["remove_tree"]


def remove_tree(path: str) -> None:
    """Remove `path` with all that is below it; nothing happens when it is not there.

    Follows no link, enters no mount, takes any depth, and makes directories writable where their owner may do that.
    Raises OSError with the path when something is left; all that can be removed is removed then.
    """
    from kvproto._disco import ffi, lib  # also with KVPROTO_PURE: there is no other implementation

    error = lib.kvproto_remove_tree(ffi.new("char[]", os.fsencode(path)))
    if error:
        raise OSError(error, os.strerror(error), path)

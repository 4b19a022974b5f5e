"""The old `DDFS`: that of kvproto, with the newest blobs of a tag first and what else programs for the original ask of it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from kvproto.classic import ddfs
from kvproto.classic.putting import opened
from kvproto.classic.schemes import find_inputs

__all__ = ["DDFS"]

_TOKENS = ("ddfs:read-token", "ddfs:write-token")


class DDFS(ddfs.DDFS):
    """The tag store of this user."""

    _newest_first = True

    def pull(self, tag, blobfilter: Callable[[str], Any] = lambda name: True, token=None) -> Iterator[_Blob]:
        """Yield the blobs of the tag and the tags in it as open files; `blobfilter(name)` says which."""
        for urls in self.blobs(tag, ignore_missing=False):
            if blobfilter(self.blob_name(urls[0])):
                yield from (_Blob(opened(found), found.url, found.n_bytes) for found in find_inputs([urls]))

    def setattr(self, tag, attr: str, val, token=None) -> None:
        """Set an attribute of the tag; a token is told to protect nothing, and not kept."""
        if attr in _TOKENS:
            warnings.warn(f"{attr} protects nothing: a tag is its user's alone, by the permissions of files", stacklevel=2)
        else:
            super().setattr(tag, attr, val)


class _Blob:
    """An open file that knows its `url`, and its bytes as its length."""

    def __init__(self, file, url: str, n_bytes: int | None) -> None:
        self._file = file
        self._n_bytes = n_bytes
        self.url = url

    def __len__(self) -> int:
        return os.fstat(self._file.fileno()).st_size if self._n_bytes is None else self._n_bytes

    def __bool__(self) -> bool:
        return True

    def __getattr__(self, name: str):
        return getattr(self._file, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def __enter__(self) -> _Blob:
        return self

    def __exit__(self, *exc_info) -> None:
        self._file.close()

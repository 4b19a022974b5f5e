"""The old `disco.error`. The classes are kvproto's own, so that `except` catches what kvproto raises."""

from __future__ import annotations

from kvproto.errors import DataError, JobError, KVProtoError

__all__ = ["CommError", "DataError", "DiscoError", "JobError"]

DiscoError = KVProtoError
CommError = DataError

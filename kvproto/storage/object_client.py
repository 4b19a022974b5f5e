"""Clients of object stores: made by the library obstore, with settings of the environment.

The library, of the extra `kvproto[object-store]`, is imported when the first URL is used. Settings
are AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID and so on, GOOGLE_... and AZURE_...; the keys
and the region for S3 may also be in a profile of ~/.aws/credentials.

Requests that fail by the server or the network (statuses 5xx, broken connections, timeouts) are
repeated with growing pauses for up to two minutes. Other failures are OSErrors that name the URL
and say what to do.
"""

from __future__ import annotations

import errno
import os
import socket
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from kvproto.errors import JobError
from kvproto.storage.object_errors import error_of, is_past_end

if TYPE_CHECKING:
    from types import ModuleType

    from obstore.store import ObjectStore as Client
    from obstore.store import S3Config

__all__ = ["FEW_RETRIES", "N_RETRIES", "PastEnd", "errors_of", "request"]

N_RETRIES = 30
FEW_RETRIES = 4
"""How often a request is repeated: within two minutes, or where a user waits for an error."""

_SETTINGS = ("AWS_", "GOOGLE_", "AZURE_")


class PastEnd(OSError):
    """A range begins at or after the end of the object."""


@contextmanager
def errors_of(path: str) -> Iterator[None]:
    """Turn an error of the library into an OSError for the URL."""
    try:
        yield
    except Exception as e:
        if not type(e).__module__.startswith("obstore") and not _is_nameless(e):
            raise
        if is_past_end(e):
            raise PastEnd(str(e)) from e
        raise error_of(e, path) from e


def _is_nameless(error: Exception) -> bool:
    """Whether it is an OSError of the library, which has no URL."""
    return isinstance(error, OSError) and error.filename is None


@contextmanager
def request(path: str, n_retries: int = N_RETRIES) -> Iterator[tuple[Client, str]]:
    """The client for the store of a URL, and the key in it; errors as `errors_of`."""
    scheme, _, rest = path.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme == "memory":
        bucket, key = "", rest
    elif not bucket:
        raise OSError(errno.EINVAL, f"the URL has no bucket: write {scheme}://BUCKET/NAME", path)
    base = f"{scheme}://{bucket}"
    if _Library.process not in (None, os.getpid()):
        raise JobError(
            f"{path}: this process is a fork of one that has used an object store, and would wait "
            "for ever; start it by spawn or forkserver, or use object stores only in the fork"
        )
    with errors_of(path):
        if scheme == "memory":
            client = _memory()
        else:
            settings = (pair for pair in os.environ.items() if pair[0].startswith(_SETTINGS))
            client = _client(base, tuple(sorted(settings)), n_retries)
        _Library.process = os.getpid()
        try:
            yield client, key.strip("/")
        except ValueError as e:
            raise OSError(errno.EINVAL, f"it cannot be the name of an object: {e}", path) from e


class _Library:
    """The process that has used the library: it has threads, which a fork does not."""

    process: int | None = None


@lru_cache(1)
def _memory() -> Client:
    client: Client = _library("memory://").MemoryStore()
    return client


@lru_cache(32)
def _client(base: str, settings: tuple[tuple[str, str], ...], n_retries: int) -> Client:
    """The client for a bucket with these settings of the environment."""
    from datetime import timedelta  # noqa: PLC0415  # slow, and only objects need it

    from_url = _library(base).from_url
    config = _profile(dict(settings)) if base.startswith("s3://") else None
    endpoints = [value for name, value in settings if "ENDPOINT" in name or "BASE_URL" in name]
    client: Client = from_url(
        base,
        config=config,
        client_options={
            "allow_http": any(value.startswith("http://") for value in endpoints),
            "timeout": "1day",  # of a whole request: a slow task may read for hours
            "read_timeout": "60s",
        },
        retry_config={
            "max_retries": n_retries,
            "retry_timeout": timedelta(minutes=2),
            "backoff": {"base": 3, "max_backoff": timedelta(seconds=5)},
        },
    )
    return client


def _library(base: str) -> ModuleType:
    try:
        import obstore.store  # noqa: PLC0415 (it is optional)
    except ImportError as e:
        raise JobError(
            f"{base}: object stores need the package obstore: pip install 'kvproto[object-store]'"
        ) from e
    return obstore.store


# --- credentials -------------------------------------------------------------------------------


def _profile(settings: dict[str, str]) -> S3Config:
    """What the environment does not say of S3: the keys and the region of a profile.

    Raises PermissionError if there are no credentials at all.
    """
    config: S3Config = {}
    profile = _read_profile(settings)
    if not _KEYS.intersection(settings):
        if "aws_access_key_id" in profile:
            config["access_key_id"] = profile["aws_access_key_id"]
            config["secret_access_key"] = profile.get("aws_secret_access_key", "")
            if "aws_session_token" in profile:
                config["session_token"] = profile["aws_session_token"]
        elif not _has_metadata(settings.get("AWS_METADATA_ENDPOINT", "http://169.254.169.254")):
            raise PermissionError("no credentials")
    if not settings.keys() & {"AWS_REGION", "AWS_DEFAULT_REGION"} and "region" in profile:
        config["region"] = profile["region"]
    return config


_KEYS = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SKIP_SIGNATURE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    }
)
"""Each of these says where the credentials are."""


def _read_profile(settings: dict[str, str]) -> dict[str, str]:
    """The profile of the files that the command `aws configure` writes."""
    import configparser  # noqa: PLC0415  # slow, and only objects need it

    name = settings.get("AWS_PROFILE", "default")
    profile: dict[str, str] = {}
    for variable, file, section in (
        ("AWS_CONFIG_FILE", "config", name if name == "default" else f"profile {name}"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
    ):
        parser = configparser.RawConfigParser()
        path = settings.get(variable) or os.path.join("~", ".aws", file)
        with suppress(OSError, configparser.Error, UnicodeDecodeError):
            parser.read(os.path.expanduser(path), encoding="utf-8")
            if parser.has_section(section):
                profile.update(parser.items(section))
    return profile


def _has_metadata(address: str) -> bool:
    """Whether the service answers that gives a machine of the cloud its credentials."""
    parts = urllib.parse.urlsplit(address)
    with suppress(OSError, ValueError):
        socket.create_connection((parts.hostname, parts.port or 80), timeout=1).close()
        return True
    return False

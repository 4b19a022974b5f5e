"""The old `disco.settings`: settings come from the environment, else from the table here; there is no settings file."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable

from kvproto.storage.home import home

__all__ = ["DiscoSettings"]

_DEFAULTS: dict[str, str | Callable[[], str]] = {
    "DDFS_DATA": lambda: os.path.join(home(), "ddfs"),
    "DISCO_DATA": lambda: os.path.join(home(), "jobs"),
    "DISCO_DEBUG": "off",
    "DISCO_EVENTS": "",
    "DISCO_JOB_OWNER": lambda: f"{getpass.getuser()}@{socket.gethostname()}",
    "DISCO_MASTER": "disco://localhost",
    "DISCO_MASTER_HOST": "localhost",
    "DISCO_PORT": "8989",
    "DISCO_PROXY": "",
    "DISCO_ROOT": home,
    "DISCO_TEST_HOST": "127.0.0.1",
    "DISCO_TEST_PORT": "0",  # any that is free
    "DISCO_TEST_PROFILE": "",
    "DISCO_TEST_PURGE": "purge",
}


class DiscoSettings(dict):
    """What was given here, else what the environment has under that name, else the default; all of them str.

    KeyError that names the settings that there are for one that there is not.
    """

    def __missing__(self, name: str) -> str:
        if name in os.environ:
            return os.environ[name]
        if name not in _DEFAULTS:
            raise KeyError(
                f"{name}: kvproto has no such setting, and the environment none; it has {', '.join(_DEFAULTS)}"
            )
        default = _DEFAULTS[name]
        return default if isinstance(default, str) else default()

    def get(self, name: str, default=None):
        """The setting, or `default` where there is none of that name."""
        try:
            return self[name]
        except KeyError:
            return default

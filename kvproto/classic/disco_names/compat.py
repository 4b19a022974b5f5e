"""The small modules of the original: compat, error, settings, netstring and modutil.

`disco.compat` has names that differ between Python 2 and 3; here they are always those of Python 3.
`disco.error` has kvproto's own classes, so that `except` catches what kvproto raises.
"""

from __future__ import annotations

import builtins
import dis
import functools
import getpass
import importlib
import importlib.util
import os
import pickle
import socket
from abc import ABCMeta
from collections.abc import Callable, Iterable, Iterator, Mapping
from io import BytesIO, FileIO, IOBase, StringIO
from itertools import zip_longest
from types import CodeType, ModuleType
from typing import IO, Any
from urllib.parse import urlencode

from kvproto.errors import (
    DataError,
    JobError,
    KVProtoError,
    ModUtilImportError,
    ParamsError,
    Truncated,
)
from kvproto.protocol.params import MAX_PARAMS as MAX_PACKET_LEN
from kvproto.protocol.params import decode_params, encode_params
from kvproto.storage.home import home

__all__ = [
    "MAX_LEN_STRING",
    "MAX_PACKET_LEN",
    "BytesIO",
    "CommError",
    "DataError",
    "DiscoError",
    "DiscoSettings",
    "JobError",
    "ModUtilImportError",
    "NetStringError",
    "StringIO",
    "UnpicklingError",
    "basestring",
    "bytes_of_int",
    "bytes_to_str",
    "decode_netstring_fd",
    "decode_netstring_str",
    "encode_netstring_fd",
    "encode_netstring_str",
    "file",
    "find_modules",
    "force_ascii",
    "force_utf8",
    "guess_modules",
    "http_server",
    "httplib",
    "int_of_byte",
    "integer_types",
    "locate_modules",
    "parse_function",
    "pickle_dump",
    "pickle_dumps",
    "pickle_load",
    "pickle_loads",
    "socket_server",
    "str_to_bytes",
    "urlencode",
    "zip_longest",
]


# --- compat ---------------------------------------------------------------------------------------


class _Files(ABCMeta):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, IOBase)


class file(FileIO, metaclass=_Files):
    """Opens a file. Every open file is an instance of it, including those that readers get."""


http_server: ModuleType
httplib: ModuleType
socket_server: ModuleType


class LateModule(ModuleType):
    """One of these modules as a free name of a job function, which hardly any function uses.

    It is imported when the function takes a name from it.
    """

    def __getattr__(self, name: str) -> object:
        return getattr(__getattr__(self.__name__), name)


def __getattr__(name: str) -> ModuleType:
    # These modules are slow to load and rarely used. The import statements find the standard
    # library's modules even if the user's directory has a module of the same name.
    if name == "httplib":
        import http.client  # noqa: PLC0415

        return http.client
    if name == "http_server":
        import http.server  # noqa: PLC0415

        return http.server
    if name == "socket_server":
        import socketserver  # noqa: PLC0415

        return socketserver
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


basestring = str
integer_types = int
pickle_dump, pickle_dumps, pickle_load, pickle_loads = (
    pickle.dump,
    pickle.dumps,
    pickle.load,
    pickle.loads,
)
UnpicklingError = pickle.UnpicklingError


def str_to_bytes(s: str | bytes) -> bytes:
    """Encode as UTF-8, lone surrogates as the bytes they stand for; return bytes unchanged."""
    return s if isinstance(s, bytes) else s.encode("utf-8", "surrogateescape")


def bytes_to_str(b: bytes | str) -> str:
    """Decode what `str_to_bytes` encoded; return a str unchanged."""
    return b if isinstance(b, str) else b.decode("utf-8", "surrogateescape")


def bytes_of_int(i: int) -> bytes:
    """Return one byte."""
    return bytes([i])


def int_of_byte(i: int) -> int:
    """Return the number itself: indexing bytes gives numbers."""
    return i


def force_utf8(string: str) -> str:
    """Return the str itself."""
    return string


force_ascii = force_utf8

# --- error ----------------------------------------------------------------------------------------

DiscoError = KVProtoError
CommError = DataError

# --- settings -------------------------------------------------------------------------------------

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
    "DISCO_TEST_PORT": "0",  # any free port
    "DISCO_TEST_PROFILE": "",
    "DISCO_TEST_PURGE": "purge",
}


class DiscoSettings(dict[str, Any]):
    """Settings: those given here, then those of the environment, then the defaults.

    There is no settings file. Values of the environment and defaults are str. KeyError for an
    unknown setting; the error lists the known ones.
    """

    def __missing__(self, name: str) -> str:
        if name in os.environ:
            return os.environ[name]
        if name not in _DEFAULTS:
            raise KeyError(
                f"{name}: neither kvproto nor the environment has this setting; "
                f"kvproto has {', '.join(_DEFAULTS)}"
            )
        default = _DEFAULTS[name]
        return default if isinstance(default, str) else default()

    def get(self, name: str, default: Any = None) -> Any:
        """Return the setting, or `default` for an unknown one."""
        try:
            return self[name]
        except KeyError:
            return default


# --- netstring: parameter sets as str; bytes that are not UTF-8 are lone surrogates ---------------

MAX_LEN_STRING = 10
NetStringError = ParamsError


def encode_netstring_str(d: Iterable[tuple[object, object]]) -> bytes:
    """Encode pairs, without the total before them."""
    sets = (encode_params({str_to_bytes(str(key)): str_to_bytes(str(value))}) for key, value in d)
    return b"".join(data.partition(b"\n")[2] for data in sets)


def encode_netstring_fd(d: Mapping[Any, Any]) -> bytes:
    """Encode a parameter set, as a worker program reads it from stdin."""
    body = encode_netstring_str(d.items())
    return b"%d\n%b" % (len(body), body)


def decode_netstring_str(msg: str | bytes) -> list[tuple[str, str]]:
    """Decode pairs, without a total before them. The last of several equal keys counts.

    NetStringError for malformed data.
    """
    data = str_to_bytes(msg)
    params = decode_params(b"%d\n%b" % (len(data), data))
    return [(bytes_to_str(key), bytes_to_str(value)) for key, value in params.items()]


def decode_netstring_fd(fd: IO[Any]) -> dict[str, str]:
    """Read one parameter set from a file, text or binary, and not a byte more.

    EOFError if the file ends too early.
    """
    file = getattr(fd, "buffer", fd)
    head = b""
    while not head.endswith(b"\n") and len(head) <= MAX_LEN_STRING:
        byte = str_to_bytes(file.read(1))
        if not byte:
            raise EOFError("the file ends inside the total of a parameter set")
        head += byte
    total = head[:-1]
    body = (
        str_to_bytes(file.read(int(total)))
        if total.isdigit() and int(total) <= MAX_PACKET_LEN
        else b""
    )
    try:
        params = decode_params(head + body)
    except Truncated as e:
        raise EOFError(str(e)) from e
    return {bytes_to_str(key): bytes_to_str(value) for key, value in params.items()}


# --- modutil: the modules that job functions use, for required_modules ----------------------------


def parse_function(function: Callable[..., Any]) -> list[str]:
    """Return the names of the modules that a function uses, its nested functions included."""
    known, unknown = _modules(function)
    return known + unknown


def guess_modules(functions: Iterable[Callable[..., Any]]) -> tuple[str, ...]:
    """Return the modules that functions use without having imported them."""
    names = dict.fromkeys(name for function in functions for name in _modules(function)[1])
    return tuple(name for name in names if importlib.util.find_spec(name) is not None)


def _modules(function: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """The modules among the function's globals, and the names that are not among them."""
    while isinstance(function, functools.partial):
        function = function.func
    if not hasattr(function, "__code__"):
        return [], []
    known: list[str] = []
    unknown: list[str] = []
    for name in dict.fromkeys(_dotted(function.__code__)):
        if name not in function.__globals__ and not hasattr(builtins, name):
            unknown.append(name)
        elif isinstance(module := function.__globals__.get(name), ModuleType):
            known.append(module.__name__)
    return known, unknown


def _dotted(code: CodeType) -> Iterator[str]:
    """The global names whose attributes the code uses."""
    before = None
    for instruction in dis.get_instructions(code):
        if before is not None and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            yield before
        before = instruction.argval if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") else None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _dotted(constant)


def find_modules(
    functions: Iterable[Callable[..., Any]],
    send_modules: bool = True,
    recurse: bool = True,
    exclude: Iterable[str] = (),
) -> list[str | tuple[str, str]]:
    """Return the modules that functions use: names, and (name, path) for local ones.

    A module is local if it is in the working directory or in a directory of PYTHONPATH. With
    send_modules=False, the result has no paths, and not the modules that modules use. With
    recurse=False, it has paths, but not the modules that modules use. ModUtilImportError names the
    function and the missing module.
    """
    located: dict[str, str | None] = {}
    for function in functions:
        names = [name for name in parse_function(function) if name not in exclude]
        try:
            located.update(locate_modules(names, recurse and send_modules, include_sys=True))
        except ImportError as e:
            what = getattr(function, "__qualname__", function)
            raise ModUtilImportError(
                f"{what}: {e}; is it misspelt? required_modules can name modules with their paths"
            ) from e
    return [(name, path) if path and send_modules else name for name, path in located.items()]


def locate_modules(
    modules: Iterable[str], recurse: bool = True, include_sys: bool = False
) -> list[tuple[str, str | None]]:
    """Return (name, path) of the local modules among these and, with recurse, of those they use.

    include_sys adds the others, with None as path. ImportError for a missing module.
    """
    local = {
        os.path.realpath(path) for path in [*os.environ.get("PYTHONPATH", "").split(os.pathsep), ""]
    }
    located: dict[str, str | None] = {}
    for name in modules:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError(f"there is no module {name}", name=name)
        path = os.path.realpath(spec.origin) if spec.has_location and spec.origin else ""
        if os.path.dirname(path) in local:
            located[name] = path
            if recurse:
                located.update(_used_by(path, local))
        elif include_sys:
            located[name] = None
    return list(located.items())


def _used_by(path: str, local: set[str]) -> dict[str, str]:
    import modulefinder  # noqa: PLC0415 (it is slow to load)

    finder = modulefinder.ModuleFinder(path=sorted(local))
    finder.run_script(path)
    files = {name: vars(module)["__file__"] for name, module in finder.modules.items()}
    return {
        name: os.path.realpath(file) for name, file in files.items() if file and name != "__main__"
    }

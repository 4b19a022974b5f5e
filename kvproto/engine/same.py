"""Whether two descriptions of a job are the same: its functions by their code, all else by value.

A function that is pickled with its code is another object after it is unpickled, so `==` says
nothing.
"""

from __future__ import annotations

import functools
import tokenize
from collections.abc import Iterable, Mapping
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, TypeAlias

import cloudpickle

from kvproto.engine.sources import code_names, contents, reached

__all__ = ["edited", "is_same"]

_OF_CODE = (
    *("co_name", "co_code", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags"),
    *("co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
)
_OF_NO_MEANING = {
    *("__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__"),
    *("__static_attributes__", "__slotnames__", "__annotations__", "_abc_impl"),
}

_Seen: TypeAlias = dict[tuple[int, int], tuple[Any, Any]]
"""Pairs that are being compared, by their ids; it keeps them alive, so that no id is used again."""


def is_same(one: Any, other: Any, _seen: _Seen | None = None) -> bool:
    """Whether two functions have the same code and variables, or two other values are equal."""
    seen = {} if _seen is None else _seen
    if one is other or (id(one), id(other)) in seen:
        return True
    seen[id(one), id(other)] = one, other
    if type(one) is not type(other):
        # Each job that is unpickled has its own copy of a class that is pickled with its code.
        if not is_same(type(one), type(other), seen):
            return False
    elif isinstance(one, CodeType):
        return _is_same_code(one, other)
    elif isinstance(one, FunctionType):
        return _is_same_function(one, other, seen)
    elif isinstance(one, (staticmethod, classmethod)):
        return is_same(one.__func__, other.__func__, seen)
    elif isinstance(one, (functools.partial, MethodType)):
        return is_same(_bound(one), _bound(other), seen)
    elif isinstance(one, CellType):
        return is_same(contents(one), contents(other), seen)
    elif isinstance(one, type):
        is_named_so = one.__qualname__ == other.__qualname__ and one.__module__ == other.__module__
        return is_named_so and is_same(_members(one), _members(other), seen)
    elif isinstance(one, dict):
        return one.keys() == other.keys() and all(
            is_same(one[key], other[key], seen) for key in one
        )
    elif isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(
            is_same(*pair, seen) for pair in zip(one, other, strict=True)
        )
    return _is_equal(one, other, seen)


def _is_same_code(one: CodeType, other: CodeType) -> bool:
    return (
        all(getattr(one, name) == getattr(other, name) for name in _OF_CODE)
        and len(one.co_consts) == len(other.co_consts)
        and all(map(is_same, one.co_consts, other.co_consts))
    )


def _is_same_function(one: FunctionType, other: FunctionType, seen: _Seen) -> bool:
    """Whether code, defaults, variables around the function and the globals it uses are the same.

    A name that one of them does not have may be that of an attribute, or of a builtin.
    """
    names = code_names(one.__code__) & one.__globals__.keys() & other.__globals__.keys()
    return (
        one.__qualname__ == other.__qualname__
        and _is_same_code(one.__code__, other.__code__)
        and is_same(one.__defaults__, other.__defaults__, seen)
        and is_same(one.__kwdefaults__, other.__kwdefaults__, seen)
        and is_same(one.__closure__, other.__closure__, seen)
        and all(is_same(one.__globals__[name], other.__globals__[name], seen) for name in names)
    )


def _bound(value: functools.partial[Any] | MethodType) -> tuple[Any, ...]:
    if isinstance(value, MethodType):
        return value.__func__, value.__self__
    return value.func, value.args, value.keywords, vars(value)


def _members(value: type) -> dict[str, Any]:
    return {name: part for name, part in vars(value).items() if name not in _OF_NO_MEANING}


def _is_equal(one: Any, other: Any, seen: _Seen) -> bool:
    try:
        if one == other:
            return True
    except Exception:  # whatever a class of the user raises, or an array without a truth value
        return bool(cloudpickle.dumps(one) == cloudpickle.dumps(other))
    ours, theirs = getattr(one, "__dict__", None), getattr(other, "__dict__", None)
    if ours:
        return is_same(ours, theirs, seen)
    return bool(cloudpickle.dumps(one) == cloudpickle.dumps(other))


# --- code in a pickle, and in its file ----------------------------------------------------------


def edited(parts: Iterable[tuple[str, Any]], scripts: Mapping[str, str]) -> list[str]:
    """Say which functions that were pickled with their code are another code in their file now.

    `scripts` has the path of the file for the qualified name of a code. Functions without a file,
    and functions that are no longer in it, are left out.
    """
    seen: dict[int, Any] = {}
    codes = functools.cache(_codes)
    texts = []
    for part, value in parts:
        for function in reached(value, seen):
            if isinstance(function, FunctionType):
                code = function.__code__
                path = scripts.get(code.co_qualname, "")
                now = codes(path).get(code.co_qualname, [])
                if now and not any(_is_same_code(one, code) for one in now):
                    name = function.__qualname__
                    texts.append(f"{part}: {name} in {path} has changed since the job ran")
    return texts


def _codes(path: str) -> dict[str, list[CodeType]]:
    """The codes in a file of Python, by their qualified names."""
    codes: dict[str, list[CodeType]] = {}
    try:
        with tokenize.open(path) as file:
            waiting = [compile(file.read(), path, "exec", dont_inherit=True)]
    except (OSError, SyntaxError, ValueError):
        return {}
    while waiting:
        code = waiting.pop()
        codes.setdefault(code.co_qualname, []).append(code)
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return codes

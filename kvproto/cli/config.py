"""`kvproto config`: what a compiler needs to build a worker."""

from __future__ import annotations

import argparse
import os

import kvproto
from kvproto.cli.shared import Commands, add_command, write_all

__all__ = ["add"]


def add(commands: Commands) -> None:
    """Add the command of this module."""
    parser = add_command(
        commands,
        "config",
        "print the flags that build a C worker: "
        "cc worker.c $(kvproto config --cflags --libs) -o worker",
        _print_config,
        epilog="--libs names the static library by its path, so the worker runs without kvproto. "
        "If the compiler ($CC or cc) finds libJudy, --libs names that too, and the linker uses it "
        "only for programs that call read_parameters().",
    )
    parser.add_argument("--cflags", action="store_true", help="flags for the compiler")
    parser.add_argument(
        "--libs", action="store_true", help="flags for the linker; put them after the sources"
    )
    parser.add_argument(
        "--prefix", action="store_true", help="the directory that contains include/ and lib/"
    )
    parser.add_argument("--version", action="store_true", help="the version of libdisco")


def _print_config(args: argparse.Namespace) -> int:
    from kvproto.driver import build_flags

    parts = {
        "version": lambda: kvproto.__version__,
        "prefix": build_flags.prefix,
        "cflags": build_flags.cflags,
        "libs": build_flags.libs,
    }
    selected = [part for name, part in parts.items() if getattr(args, name)]
    if not selected:
        args.parser.error("give one or more of --cflags, --libs, --prefix and --version")
    write_all(1, os.fsencode(" ".join(str(part()) for part in selected) + "\n"))
    return 0

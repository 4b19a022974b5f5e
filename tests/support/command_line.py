"""The command `kvproto` as a process of its own."""

import subprocess
import sys


def kvproto_command(*arguments, cwd="/", stdin=b""):
    """Run the command; returns the finished process, its stdout and stderr as bytes."""
    return subprocess.run(
        command_line(*arguments), input=stdin, capture_output=True, cwd=cwd, check=False
    )


def command_line(*arguments):
    return [sys.executable, "-m", "kvproto", *map(str, arguments)]

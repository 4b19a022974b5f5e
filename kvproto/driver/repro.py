"""A run of an external program as files: for a shell, a debugger, or somebody else.

DIR/stdin.bin   what the program reads: its parameters, then the frames of its pairs
DIR/files/      its directory: `op` and the supporting files
DIR/repro.sh    runs it
"""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

from kvproto._text import printable

__all__ = ["Repro", "naming_file"]

_SCRIPT = """\
#!/bin/sh
{about}
# The program is files/op. It reads stdin.bin, and writes stdout.bin.
CDPATH=
case $0 in
*/*) cd "${{0%/*}}" || exit ;;
esac
cd files || exit
{command} <../stdin.bin >../stdout.bin
status=$?
echo "exit status $status; its output is in stdout.bin" >&2
exit $status
"""


class Repro:
    """The run in a directory.

    Parameters
    ----------
    directory : str
        Made by `begin`, if it does not exist; it must be empty.
    files : mapping of str to bytes
        The program `op` and its supporting files.
    arguments : sequence of str
        Those of the program; the last one is the mode.

    Attributes
    ----------
    files_directory, stdin, script : str
        The paths of what is in it.
    """

    def __init__(
        self, directory: str, files: Mapping[str, bytes], arguments: Sequence[str]
    ) -> None:
        self.directory = directory
        self.files_directory = os.path.join(directory, "files")
        self.stdin = os.path.join(directory, "stdin.bin")
        self.script = os.path.join(directory, "repro.sh")
        self._files = files
        self.command = ["./op", *arguments]

    def begin(self) -> None:
        """Make the directory, and write the files of the program.

        Raises OSError, also if there is something in the directory. Then nothing of it is left.
        """
        os.makedirs(self.directory, exist_ok=True)
        if os.listdir(self.directory):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), self.directory)
        os.mkdir(self.files_directory)
        with self.remove_on_error():
            for name, content in self._files.items():
                _write(os.path.join(self.files_directory, name), content, 0o755)

    @contextmanager
    def remove_on_error(self) -> Iterator[None]:
        """Remove the directory if the body raises an error."""
        try:
            yield
        except BaseException:  # Ctrl-C too
            self.remove()
            raise

    def write_stdin(self, pieces: Iterable[bytes]) -> None:
        """Write what the program reads."""
        with open(self.stdin, "xb") as file:
            for piece in pieces:
                with naming_file(self.stdin):
                    file.write(piece)
            with naming_file(self.stdin):
                file.flush()

    def finish(self, about: str) -> None:
        """Write the script, which has the lines of `about` as a comment."""
        comment = "\n".join(f"# {line}" for line in printable(about).splitlines())
        script = _SCRIPT.format(about=comment, command=shlex.join(self.command))
        _write(self.script, os.fsencode(script), 0o755)

    def remove(self) -> None:
        """Remove the directory with what was written before `finish`."""
        shutil.rmtree(self.files_directory)
        with suppress(FileNotFoundError):
            os.unlink(self.stdin)
        os.rmdir(self.directory)

    def debugger(self) -> list[str]:
        """The command of gdb, in `files_directory`; `run` in it runs the program on its input.

        A script is run by its interpreter, which is what gdb can debug.
        """
        with open(os.path.join(self.files_directory, "op"), "rb") as file:
            first_line = file.readline(1 << 12)
        program, *arguments = [*_interpreter(first_line), *self.command]
        run = f"set args {shlex.join(arguments)} <../stdin.bin >/dev/null"
        return ["gdb", "-q", "-ex", run, program]


def _write(path: str, content: bytes, mode: int) -> None:
    with naming_file(path), open(path, "xb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)


@contextmanager
def naming_file(path: str) -> Iterator[None]:
    """Let an OSError of the body name the file, as those of writes do not."""
    try:
        yield
    except OSError as e:
        raise OSError(e.errno, e.strerror, path) from None


def _interpreter(first_line: bytes) -> list[str]:
    """The program that runs a script, and its argument if it has one; empty for a binary."""
    if not first_line.startswith(b"#!"):
        return []
    return os.fsdecode(first_line[2:].strip()).split(None, 1)

"""A tree of files is removed whatever it is like, or the call says why not."""

import errno
import shutil
import subprocess
import sys

import pytest
from support.faults import injected

REMOVE = (
    "import sys; from kvproto._disco import ffi, lib; "
    "print(lib.kvproto_remove_tree(ffi.new('char[]', sys.argv[1].encode())))"
)


def removal(path, *launcher) -> int:
    """What kvproto_remove_tree() returns for a path, called by a process that is so launched."""
    command = [*launcher, sys.executable, "-c", REMOVE, path]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize(
    ("call", "number"),
    [("getdents64", errno.EIO), ("fcntl", errno.EMFILE), ("unlinkat", errno.EPERM)],
)
def test_why_a_tree_is_left(tmp_path, call, number):
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "file").touch()
    fault = f"error={errno.errorcode[number]}"
    assert removal(tree, *injected(call, fault), "-P", tree) == number
    assert (tree / "file").exists()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_what_is_too_deep_and_cannot_be_moved_is_left(tmp_path):
    tree = tmp_path / "tree"
    (tree / "/".join("d" * 100)).mkdir(parents=True)
    assert removal(tree, *injected("renameat", "error=EACCES")) == errno.EACCES
    assert removal(tree) == 0 and not tree.exists()


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_a_tree_is_removed_on_a_kernel_without_statx(tmp_path):
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    assert removal(tree, *injected("statx", "error=ENOSYS")) == 0 and not tree.exists()


def test_a_path_through_a_file_cannot_be_removed(tmp_path):
    (tmp_path / "file").touch()
    assert removal(tmp_path / "file" / "tree") == errno.ENOTDIR
    assert removal(tmp_path / "missing" / "tree") == 0

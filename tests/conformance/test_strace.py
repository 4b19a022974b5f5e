"""What is read from strace's log, by logs as other machines and other moments may give them."""

import pytest

from kvproto.conformance.strace import accesses

ROOT = "/w"
"""The worker's directory in the logs below."""

LOGS = {
    "an open that is interrupted by another process": (
        """1 openat(AT_FDCWD</w>, "../x", O_RDONLY <unfinished ...>
2 openat(AT_FDCWD</w>, "../y", O_WRONLY|O_CREAT, 0666) = 3</y>
1 <... openat resumed>) = 3</x>""",
        [("write", "/y"), ("read", "/x")],
    ),
    "the older form of a call that is resumed": (
        """1 openat(AT_FDCWD, "../x", O_RDONLY <unfinished ...>
1 <... openat resumed> )             = 3</x>""",
        [("read", "/x")],
    ),
    "arguments on both sides of an interruption": (
        """1 utimensat(AT_FDCWD, "x",  <unfinished ...>
1 <... utimensat resumed>NULL, 0) = 0""",
        [("write", "/w/x")],
    ),
    "a child that is seen before its parent's call comes back": (
        """1 chdir("sub") = 0
1 clone(child_stack=NULL, flags=CLONE_CHILD_CLEARTID|SIGCHLD <unfinished ...>
2 mkdir("a", 0777) = 0
1 <... clone resumed>, child_tidptr=0x7) = 2
1 chdir("..") = 0
2 mkdir("b", 0777) = 0
1 mkdir("c", 0777) = 0""",
        [("write", "/w/sub/a"), ("write", "/w/sub/b"), ("write", "/w/c")],
    ),
    "threads, which share a directory": (
        """1 clone3({flags=CLONE_VM|CLONE_FS, exit_signal=0} => {parent_tid=[2]}, 88) = 2
2 chdir("/") = 0
1 mkdir("a", 0777) = 0""",
        [("write", "/a")],
    ),
    "a directory that is changed by a descriptor": (
        """1 open("/", O_RDONLY|O_PATH) = 3</>
1 fchdir(3</>) = 0
1 rename("a", "b") = 0""",
        [("write", "/a"), ("write", "/b")],
    ),
    "paths beside descriptors": (
        """1 linkat(4</p>, "a", 5</q>, "b", 0) = 0
1 symlinkat("x", 4</p>, "b") = 0
1 unlinkat(5</q>, "a, b", 0) = 0
1 renameat2(4</p>, "c", AT_FDCWD</w>, "d", RENAME_NOREPLACE) = 0
1 fchmodat(AT_FDCWD</w>, "e", 0700) = 0""",
        [("write", path) for path in ("/q/b", "/p/b", "/q/a, b", "/p/c", "/w/d", "/w/e")],
    ),
    "a program that is executed": (
        """1 execve("./op", ["./op", "map"], 0x7ffc /* 3 vars */) = 0
1 execve("../op", ["../op", "(map"...], 0x7ffc /* 3 vars */) = 0""",
        [("read", "/op")],
    ),
    "what failed": (
        """1 openat(AT_FDCWD</w>, "/x", O_RDONLY) = -1 ENOENT (No such file or directory)
1 mkdir("x", 0777) = -1 EACCES (Permission denied)""",
        [],
    ),
    "letters that are escaped": (
        r'1 openat(AT_FDCWD</w>, "\"\n\303\251", O_RDWR) = 3</w/\"\n\303\251\74\76>',
        [("write", '/w/"\né<>')],
    ),
    "a file that is removed at once": (
        """1 openat(AT_FDCWD</w>, "x", O_RDWR|O_CREAT, 0600) = 3</w/x>(deleted)
1 openat(AT_FDCWD</w>, "y", O_RDWR|O_CREAT, 0600) = 3</w/y (deleted)>""",
        [("write", "/w/x"), ("write", "/w/y")],
    ),
    "a special file": (
        """1 mknod("x", S_IFCHR|0600, makedev(0x1, 0x3)) = 0""",
        [("write", "/w/x")],
    ),
    "a flag that a name has": (
        """1 openat(AT_FDCWD</w>, "O_CREAT", O_RDONLY) = 3</w/O_CREAT>""",
        [],
    ),
    "the other form of open": (
        """1 openat2(AT_FDCWD</w>, "x", {flags=O_WRONLY, resolve=0}, 24) = 3</w/x>""",
        [("write", "/w/x")],
    ),
    "the settings of its own process and of another": (
        """1 execve("./op", ["./op"], 0x7ffc /* 3 vars */) = 0
1 openat(AT_FDCWD</w>, "/proc/self/coredump_filter", O_RDWR) = 4</proc/1/coredump_filter>
1 openat(AT_FDCWD</w>, "/proc/9/oom_adj", O_RDWR) = 4</proc/9/oom_adj>""",
        [("write", "/proc/9/oom_adj")],
    ),
    "a cache, and another's": (
        """1 mkdir("/w/__pycache__", 0777) = 0
1 openat(AT_FDCWD</w>, "/w/__pycache__/a.pyc.12", O_WRONLY|O_CREAT, 0644) = 3</w/__pycache__/a.pyc.12>
1 rename("/w/__pycache__/a.pyc.12", "/w/__pycache__/a.pyc") = 0
1 mkdir("/v/__pycache__", 0777) = 0""",  # noqa: E501
        [("write", "/v/__pycache__")],
    ),
    "a log that was cut": (
        """1 openat(AT_FDCWD</w>, "/x", O_RDONLY) = 3</x>
1 openat(AT_FDCWD</w>, "/y", O_RD""",
        [("read", "/x")],
    ),
    "what happens twice": (
        """1 rmdir("x") = 0\n2 rmdir("x") = 0\n1 +++ exited with 0 +++""",
        [("write", "/w/x")],
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_a_log_of_strace_is_understood(name):
    log, expected = LOGS[name]
    assert [access[:2] for access in accesses(log, ROOT, ["/usr"])] == expected


def test_what_may_be_read_is_the_path_itself_and_what_is_below_it():
    log = "\n".join(
        f'1 openat(AT_FDCWD</w>, "{path}", O_RDONLY) = 3<{path}>'
        for path in ("/w", "/w/a", "/usr", "/usr/a/b", "/usrs", "/", "/wa", "pipe:[1]")
    )
    assert [access.path for access in accesses(log, ROOT, ["/usr/"])] == ["/usrs", "/", "/wa"]

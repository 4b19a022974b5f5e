"""System calls that fail."""

__all__ = ["injected"]


def injected(call: str, fault: str) -> list[str]:
    """A command that starts a program for which a system call fails."""
    quiet = ["strace", "-qqq", "-f", "-e", "signal=none", "-o", "/dev/null"]
    return [*quiet, "-e", f"trace={call}", "-e", f"inject={call}:{fault}"]

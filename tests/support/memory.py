"""Memory that ends."""

import resource
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def memory_for(n_bytes: int):
    """The process may grow by about n_bytes of address space, no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

"""Data compressed by the real programs, or by Python where a program is missing."""

import bz2
import gzip
import lzma
import shutil
import subprocess
import sys

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_CHECKED = {zstd.CompressionParameter.checksum_flag: 1}

PROGRAMS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: zstd.compress(data, options=_CHECKED),
}
"""Program -> what gives the same in Python."""


def compressed(name, data):
    """The data, compressed in one of the four formats."""
    if shutil.which(name) is None:
        return PROGRAMS[name](data)
    return subprocess.run([name, "-c"], input=data, capture_output=True, check=True).stdout

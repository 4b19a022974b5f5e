"""The whole of `make demo`: the words of Python's library, map and reduce in C, from
start to exit.
"""

import os
import re
import subprocess
import sys

from measure import directory, row


def main():
    home = {**os.environ, "KVPROTO_HOME": str(directory() / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "kvproto", "demo"],
        env=home,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    row(
        "words of Python's library, MB/s",
        float(re.search(r"([\d.]+) MB/s", done.stdout)[1]),
        "{:.0f}",
    )


main()

"""`python -m kvproto`: the command line."""

import sys

from kvproto.cli import main

sys.exit(main())

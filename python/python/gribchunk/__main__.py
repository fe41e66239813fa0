"""The command: ``python -m gribchunk``, and the script ``gribchunk``."""

from __future__ import annotations

import signal
import sys

from gribchunk import _gribchunk


def main() -> int:
    """Runs the command with the arguments of this process; the exit code."""
    # Ctrl-C ends the command as it does outside Python.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    return _gribchunk.command(["gribchunk", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

"""The command ``ptsm`` of the package."""

from __future__ import annotations

import sys

from ptsm._ptsm import run_cli


def main() -> int:
    """Runs the command line of the process and gives its exit code."""
    return run_cli(["ptsm", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())

"""``python -m ptsm``: the command."""

import sys

from ptsm._cli import main

if __name__ == "__main__":
    sys.exit(main())

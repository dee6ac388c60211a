"""``python -m ptsm``: the command."""

import sys

from ptsm._cli import main

sys.exit(main())

"""`python -m lossguard_server`: the same as the `lossguard` command."""

import sys

from .cli import main

sys.exit(main())

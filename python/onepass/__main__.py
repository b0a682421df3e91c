"""``python -m onepass`` is the console command."""

import sys

from onepass.cli import main

sys.exit(main())

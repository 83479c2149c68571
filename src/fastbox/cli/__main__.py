"""What the launcher starts, with -I -S. Never cached as bytecode, so it only opens the way to what
is.
"""

import sys

sys.path.insert(0, __file__.rpartition("/fastbox/")[0])

from fastbox.cli.main import run

run(sys.argv[1:])

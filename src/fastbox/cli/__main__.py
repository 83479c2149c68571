"""What the launcher starts, with -I -S. Never cached as bytecode, so it only opens the way to what
is.
"""

import sys
from _signal import SIG_DFL, SIGINT, default_int_handler, getsignal, signal

if getsignal(SIGINT) is default_int_handler:
    signal(SIGINT, SIG_DFL)  # until there is somebody to catch it: no traceback out of an import
sys.path.insert(0, __file__.rpartition("/fastbox/")[0])

from fastbox.cli.main import run  # noqa: E402

run(sys.argv[1:])

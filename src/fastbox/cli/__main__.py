"""What the launcher starts, with -I -S. Never cached as bytecode, so it only opens the way to what
is.
"""

import gc
import sys
import time

began = time.monotonic_ns()

# What the imports make lives until the end: looking through it for garbage costs 1 ms.
gc.set_threshold(1 << 16)
# A thread that comes back from native code goes on at once, not after 5 ms.
sys.setswitchinterval(0.0002)
sys.path.insert(0, __file__.rpartition("/fastbox/")[0])

from fastbox.cli.main import run  # noqa: E402

run(sys.argv[1:], began)

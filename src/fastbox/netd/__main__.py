"""`python -I -S .../fastbox/netd RUN [LOCK LISTENER]`: never cached as bytecode, so it only opens
the way to what is.
"""

import sys

sys.path.insert(0, __file__.rpartition("/fastbox/")[0])

from fastbox.netd.server import main

main(sys.argv[1:])

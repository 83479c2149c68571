"""Native work in a thread of its own: the caller's thread tells how far it is, and can be
interrupted, which ends the work.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait

from fastbox import _bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

LOOK = 0.1  # seconds between two looks at how far it is


def watched(
    run: Callable[[_bytes.Watch], T], tell: Callable[[_bytes.Watch], None] | None = None
) -> T:
    """The result of `run`, which must hand on what it is given.

    Args:
        run: The work.
        tell: Called some ten times a second, and at the end.

    Raises:
        KeyboardInterrupt: And whatever else comes to this thread; the work has ended then.
        OSError: What `run` raises is raised here.
    """
    watch = _bytes.Watch()
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(run, watch)
        try:
            while wait((future,), LOOK if tell else None).not_done:
                if tell:
                    tell(watch)
        except BaseException:
            watch.stop()
            raise
        found = future.result()
    if tell:
        tell(watch)
    return found

"""What a forked child must not share with its parent: sockets, pipes and locks that mean something
by being open.

A copy of them in a child that lives on keeps a lock locked, a pipe from ending and a supervisor
from seeing that its client is gone. So the child closes its copies before anything of it runs.
Programs that are executed get none: every descriptor here is close-on-exec.
"""

from __future__ import annotations

import os
from _weakref import ref  # `weakref` is an import of 1 ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Owned(Protocol):
        """Something with descriptors; closing it touches nothing but these."""

        def close(self) -> None:
            """Close our copies."""


_owned: dict[int, ref[Owned]] = {}


def own(thing: Owned) -> None:
    """The child's copy is closed at a fork."""
    key = id(thing)
    _owned[key] = ref(thing, lambda _: _owned.pop(key, None))


def disown(thing: Owned) -> None:
    """It is closed already."""
    _owned.pop(id(thing), None)


def _close_all() -> None:
    for each in tuple(_owned.values()):
        thing = each()
        try:
            if thing is not None:
                thing.close()
        except OSError:
            pass
    _owned.clear()


os.register_at_fork(after_in_child=_close_all)

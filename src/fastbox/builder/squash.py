"""`--squash`: the layers that the build has made, as one."""

from __future__ import annotations

import os

from fastbox.builder.made import stack
from fastbox.builder.state import Entry
from fastbox.store.merge import merge

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builder.build import Build
    from fastbox.builder.state import State


def squashed(build: Build, state: State) -> State:
    """A state with one layer in place of those that are not the base image's; its history says so.

    Raises:
        FastboxError: It can't be made.
    """
    layers = [made for made in stack(state.top) if not made.empty]
    own = [made for made in layers if made.descriptor is None]
    if len(own) < 2:
        return state
    below = layers[len(own)] if len(own) < len(layers) else None
    home = build.layers.new_home()
    os.mkdir(home + "/tree", 0o755)
    os.chmod(home + "/tree", 0o755)
    with build.layers.still():
        # Not by links: the tree's times are set, and the cache's layers must stay as they are.
        merge([made.tree for made in own], home + "/tree", copy=True)
    new = state.successor()
    new.top = build.layers.add(home, below, lambda _: None, lambda: None).wait()
    base = {id(made) for made in layers[len(own) :]}
    new.history = [
        entry.replace(made=entry.made if id(entry.made) in base else None)
        for entry in state.history
    ]
    new.history.append(
        Entry(created_by=f"merge of {len(own)} layers", created=build.now(), made=new.top)
    )
    return new

"""WORKDIR: the directory is made when the files so far have none of that name. It is USER's."""

from __future__ import annotations

from fastbox.builder.state import key_of
from fastbox.errors import InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.builder.state import State
    from fastbox.builder.telling import Vertex
    from fastbox.dockerfile.instructions import Workdir


def step(build: Build, course: Course, state: State, workdir: Workdir) -> None:
    """Make it, as a step of its own."""
    path = state.workdir

    def make(_vertex: Vertex, home: str) -> bool:
        from fastbox.builder.place import Place

        with Place(build, state, home) as place:
            place.directory(path, *_owner(state.user, place.view))
            return place.changed

    course.layer(
        state,
        workdir,
        workdir.where.text,
        lambda: [key_of("workdir", state.key, path, state.user, build.epoch)],
        make,
    )


def _owner(user: str, view: int) -> tuple[int, int]:
    from fastbox.builder import owners

    try:
        return owners.owner(user, view) if user else (0, 0)
    except InvalidArgument:  # nobody, whom a RUN would name; docker makes it root's
        return 0, 0

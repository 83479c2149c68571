"""Where results go: the store, a directory, an archive."""

from __future__ import annotations

import os

from fastbox.builder import result
from fastbox.builds import Built, Output
from fastbox.errors import InvalidArgument, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fastbox.builder.build import Build
    from fastbox.builder.state import State
    from fastbox.store.refs import Ref


def write_outputs(
    build: Build, state: State, document: Mapping[str, Any], names: Sequence[str]
) -> Built:
    """All that was asked for; without a wish, an image of the store.

    Raises:
        InvalidArgument: An unknown kind.
        FastboxError: It can't be written.
    """
    wanted = build.options.outputs or (Output(),)
    made = Built()
    for output in wanted:
        writer = _WRITERS.get(output.kind)
        if writer is None:
            raise InvalidArgument(
                f'unknown output "{output.kind}"', hint="the kinds are " + ", ".join(_WRITERS)
            )
        found = writer(build, state, document, names, output)
        if found is not None:
            made = found
    return made


def _image(
    build: Build,
    state: State,
    document: Mapping[str, Any],
    names: Sequence[str],
    output: Output,
) -> Built:
    if output.name:
        names = build.images.check_names([each for each in output.name.split(",") if each])
    with build.teller.vertex("exporting to image") as vertex:
        ref = result.publish(build, state, document, names)
        vertex.note(f"writing image {ref.config.digest}")
        for name in names:
            vertex.note(f"naming to {name}")
    return _built(ref, names)


def _built(ref: Ref, names: Sequence[str]) -> Built:
    return Built(
        image_id=ref.config.digest,
        digest=ref.manifest.digest,
        tags=tuple(names),
        metadata=result.metadata(ref, names),
    )


def _archive(
    build: Build,
    state: State,
    document: Mapping[str, Any],
    names: Sequence[str],
    output: Output,
) -> Built | None:
    """As `save` writes it, in both formats at once: OCI's layout with docker's manifest.json."""
    if not output.target:
        raise InvalidArgument(f"--output type={output.kind} needs dest=", hint='"-" is stdout')
    if output.name:
        names = build.images.check_names([each for each in output.name.split(",") if each])
    with build.teller.vertex(f"exporting to {output.kind} image format"):
        ref = result.publish(build, state, document, names)
        build.images.save(
            [*names] or [ref.config.digest],
            1 if output.target == "-" else output.target,
            format=_format(output),
        )
    return _built(ref, names)


def _format(output: Output) -> str:
    if output.kind == "docker":
        return "docker-archive"
    plain = (output.attributes or {}).get("tar") in ("false", "0")
    return "oci-dir" if plain else "oci-archive"


def _local(
    build: Build,
    state: State,
    _document: Mapping[str, Any],
    _names: Sequence[str],
    output: Output,
) -> None:
    from fastbox.builder.export import to_directory

    if not output.target:
        raise InvalidArgument("--output type=local needs dest=")
    with build.teller.vertex("exporting to client directory"):
        _with_view(build, state, lambda view: to_directory(view, output.target))


def _tar(
    build: Build,
    state: State,
    _document: Mapping[str, Any],
    _names: Sequence[str],
    output: Output,
) -> None:
    from fastbox.builder.export import to_tar

    if not output.target:
        raise InvalidArgument("--output type=tar needs dest=", hint='"-" is stdout')
    with build.teller.vertex("exporting to client tarball"):
        if output.target == "-":
            _with_view(build, state, lambda view: to_tar(view, 1, build.epoch))
            return
        temporary = f"{output.target}.{os.urandom(4).hex()}.tmp"
        try:
            with open(temporary, "xb", buffering=0) as file:
                _with_view(build, state, lambda view: to_tar(view, file.fileno(), build.epoch))
            os.rename(temporary, output.target)
        except BaseException as error:
            if os.path.exists(temporary):
                os.unlink(temporary)
            if isinstance(error, OSError):
                raise os_error(error, "cannot write the archive", output.target) from error
            raise


def _with_view(build: Build, state: State, use: Callable[[int], object]) -> None:
    from fastbox.builder.place import open_view

    view = open_view(build, state)
    if view < 0:  # nothing in it: an empty directory stands for it
        view = os.open(build.work.directory("empty"), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(view)
    finally:
        os.close(view)


_WRITERS: dict[str, Callable[..., Built | None]] = {
    "image": _image,
    "local": _local,
    "tar": _tar,
    "oci": _archive,
    "docker": _archive,
}

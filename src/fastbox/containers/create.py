"""Making a container on disk and launching it: the two halves of every start, each undone when it
fails.
"""

from __future__ import annotations

import os

from fastbox.containers import files
from fastbox.errors import FastboxError, ImageNotFound, InvalidArgument
from fastbox.runtime import process, resources
from fastbox.runtime.spec import Place, bundle, own_network
from fastbox.runtime.supervisor import SupervisorGone
from fastbox.store import names
from fastbox.store.containers import ContainerRecord, ExitRecord, new_id
from fastbox.support import clock, paths
from fastbox.support.clock import now
from fastbox.support.record import Record
from fastbox.types import DEFAULT_NETWORK, ImageConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from fastbox.containers.attachment import Streams
    from fastbox.containers.needs import NetworkService, VolumeService
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerStore, Held
    from fastbox.store.root import Root
    from fastbox.types import RunOptions


class Hidden(Record):
    """Variables that are secrets: neither the record nor the store's bundle has them."""

    env: tuple[str, ...]  # "NAME=value"
    path: str  # how the bundle's path begins: a file in memory that its owner removes


def rootfs_image(options: RunOptions) -> ImageConfig:
    """The stand-in for an image when a directory is the root."""
    if options.image:
        raise InvalidArgument("an image and a root directory exclude each other")
    return ImageConfig(id="", labels={}, layers=(files.check_rootfs(options.rootfs),))


def make(
    root: Root,
    store: ContainerStore,
    options: RunOptions,
    image: ImageConfig,
    volumes: Callable[[], VolumeService],
    networks: Callable[[], NetworkService],
    *,
    start: bool,
    session: str = "",
    sealed: str = "",
    hidden: Hidden | None = None,
) -> tuple[Held, ContainerRecord]:
    """A new container, locked, with all its files; nothing of it is left when it can't be made.

    `sealed` is the topmost sealed layer that it keeps; the image's layers begin with them.
    `hidden` are variables that the options don't have.

    Raises:
        InvalidArgument: Options that contradict each other or are out of range.
        NameInUse: Another container has the name.
    """
    container, network_files = new_id(), ""
    if options.link:
        from fastbox.containers import linking

        options = linking.settle(store, options)
    if "FASTBOX_LOG_DRIVER" in os.environ or "FASTBOX_LOG_OPTS" in os.environ:
        from fastbox.containers.logdefaults import with_log

        options = with_log(options)
    if resources.rare(options):
        from fastbox.runtime import limits

        options, _ = limits.fit(options)
    if _joins(options.as_dict()):
        from fastbox.containers import joining

        options, others, network_files = joining.by_id(store, options)
    else:
        others = ""
        if options.network != DEFAULT_NETWORK or options.endpoints or options.publish:
            networks().verify(plain(options))
    hostname = others or _hostname(options, container)
    record = _record(options, image, container, start=start, session=session)
    if sealed:
        record = record.replace(sealed=(sealed,))
    held, name = store.make(container, names.check(options.name) if options.name else "")
    record = record.replace(name=name)
    mounted = None
    try:
        if image.volumes or options.volumes_from or any(m.kind == "volume" for m in options.mounts):
            from fastbox.containers.mounting import Mounted

            mounted = Mounted(store, volumes(), options, image, held)
            options = options.replace(mounts=mounted.mounts)
            record = record.replace(mounts=mounted.as_dicts())
        scratch, lower = _layers(root, store, options, image, container)
        record = record.replace(scratch=scratch if scratch != held.directory else "")
        place = Place(
            id=container,
            name=name,
            directory=held.directory,
            run=root.run,
            hostname=hostname,
            lower=lower,
            scratch=scratch,
            root=root.skeleton,
            network_files=network_files,
            init=paths.libexec("fastbox-init"),
            seccomp_cache=root.path("cache", "seccomp"),
        )
        shown = image.replace(env=(*hidden.env, *image.env)) if hidden else image
        made = bundle(options, shown, place)
        if options.health is not None or image.health:
            made = _with_health(made, options, image, held.directory)
        if hidden:
            path = f"{hidden.path}.{container[:12]}"
            files.put(path, made)
            os.symlink(path, held.directory + "/config.json")
        else:
            files.put(held.directory + "/config.json", made)
        files.write_network_files(
            held.directory, options, hostname, gateways=_gateways(networks, options)
        )
        if scratch:
            files.make_scratch(scratch)
        if sealed and scratch:
            from fastbox.containers import seal

            seal.take_root(image.layers[0], scratch + "/upper")
        if options.link:
            linking.register(store, options.link, container)
        store.write(record)
        _check_layers(root, options, image)
        if mounted is not None:
            mounted.settle(lower, keep=not (record.remove or session))
    except BaseException:
        from fastbox.containers import heal

        heal.discard(store, held, record)
        held.close()
        raise
    return held, record


def _check_layers(root: Root, options: RunOptions, image: ImageConfig) -> None:
    """Whether the layers of a recorded container are there. Who removes an image takes its layers
    away, then looks at the records once more: a record that came after that finds them gone, the
    topmost for certain.

    Raises:
        ImageNotFound: They were removed meanwhile.
    """
    needed = [(each.source, each.layers) for each in options.mounts if each.kind == "image"]
    if image.id:  # else a directory of the host's
        needed.append((options.image, image.layers))
    for name, layers in needed:
        if not layers or os.path.exists(layers[0]):
            continue
        from fastbox.store.lease import hold

        with hold(root):  # if the record was seen, what it needs is being put back
            there = os.path.exists(layers[0])
        if not there:
            raise ImageNotFound(f"no such image: {name}", hint="it was removed just now")


def _with_health(text: bytes, options: RunOptions, image: ImageConfig, directory: str) -> bytes:
    """The bundle with its health check; the document of a probe is a file of its own."""
    from fastbox.containers import health

    changed, probe = health.added(text, options.health, image, directory + "/probe.json")
    if probe:
        files.put(directory + "/probe.json", probe)
    return changed


def _gateways(networks: Callable[[], NetworkService], options: RunOptions) -> list[str]:
    if not options.extra_hosts:
        return []
    from fastbox.containers import networking

    return networking.gateways(networks(), options.extra_hosts)


def _joins(options: Mapping[str, object]) -> bool:
    """Whether it uses a namespace of another container."""
    modes = (options.get(key) for key in ("network", "ipc", "pid"))
    return any(isinstance(mode, str) and mode[:10] == "container:" for mode in modes)


def _layers(
    root: Root, store: ContainerStore, options: RunOptions, image: ImageConfig, container: str
) -> tuple[str, tuple[str, ...]]:
    """Where the writable layer is, and what lies below it.

    overlayfs refuses layers that lie in one another. A root directory that holds the store (such as
    "/") is therefore the only lower layer, and its writable one lies in memory; with any other, the
    container's own directory has it. A read-only container needs none, unless mount points or a
    working directory may have to be made.
    """
    if options.rootfs and files.contains(image.layers[-1], root.store):
        return files.foreign_scratch(container, image.layers[-1], root.run), image.layers
    lower = (*image.layers, root.skeleton)
    if options.read_only and not options.mounts and not options.workdir:
        return "", lower
    if root.layers_in_memory:
        return files.foreign_scratch(container, root.store, root.run), lower
    return store.directory(container), lower


def _hostname(options: RunOptions, container: str) -> str:
    name = options.hostname or (
        os.uname().nodename
        if options.network == "host" or options.uts == "host"
        else container[:12]
    )
    for text, what in ((name, "host name"), (options.domainname, "domain name")):
        if len(text) > 64 or not all(c.isascii() and (c.isalnum() or c in "-._") for c in text):
            raise InvalidArgument(f'invalid {what} "{text}"')
    return name


def _record(
    options: RunOptions, image: ImageConfig, container: str, *, start: bool, session: str
) -> ContainerRecord:
    stop_signal = options.stop_signal or image.stop_signal or "SIGTERM"
    if options.stop_signal:
        from fastbox.support import signals

        signals.number(stop_signal)
    return ContainerRecord(
        id=container,
        name="",
        image=options.image or options.rootfs,
        image_id=image.id,
        created=now(),
        start=start,
        remove=options.remove,
        argv=process.command(options, image),
        entrypoint=process.entrypoint(options, image),
        labels={**image.labels, **(options.labels or {})},
        stop_signal=stop_signal,
        stop_timeout=options.stop_timeout,
        tty=options.tty,
        open_stdin=options.interactive,
        options=plain(options),
        session=session,
        exposed=tuple(dict.fromkeys((*options.expose, *image.exposed_ports))),
    )


def plain(options: RunOptions) -> dict[str, Any]:
    """The options as JSON has them."""
    values = options.as_dict()
    if options.health is not None:
        values["health"] = options.health.as_dict()
    for key in ("mounts", "ulimits", "device_limits", "devices", "endpoints"):
        values[key] = [each.as_dict() if isinstance(each, Record) else each for each in values[key]]
    return values


def launch(
    store: ContainerStore,
    held: Held,
    record: ContainerRecord,
    conversation: Conversation,
    streams: Streams,
    networks: Callable[[], NetworkService],
    *,
    rows: int = 0,
    columns: int = 0,
    tied: bool = False,
) -> int:
    """Tell the supervisor to start a locked container; after a failure it is gone (--rm, session)
    or has exited. How many containers the supervisor has now.

    Raises:
        LaunchError: With the stage, call and path that failed.
    """
    message: dict[str, object] = {
        "op": "launch",
        "id": held.id,
        "bundle": held.directory,
        "streams": streams.names,
    }
    if rows > 0 and columns > 0:
        message |= {"rows": rows, "cols": columns}
    if tied:
        message["tied"] = True
    if clock.wanted():
        message["clocks"] = True
    document = None
    try:
        if own_network(str(record.options.get("network"))):
            from fastbox.containers import networking

            document = networking.prepare(networks(), store, conversation.run, held, record)
        if _joins(record.options):
            from fastbox.containers import joining

            joining.refresh(store, conversation.run, held, record)
        answer = conversation.ask(message, streams.theirs)
    except FastboxError as error:
        if document is not None:  # if the supervisor got it, it is done already
            networks().abandon(held.id, document)
        conversation.close()
        streams.close()
        if isinstance(error, SupervisorGone):
            from fastbox.containers import heal

            heal.bury(store, conversation.run, held, conversation.supervisor)
        if os.path.isdir(held.directory):
            fail(store, held, record, error)
        raise
    streams.sent()
    clock.started("launch", answer | {"id": held.id})
    return int(answer.get("held", 0))


def fail(store: ContainerStore, held: Held, record: ContainerRecord, error: FastboxError) -> None:
    """Record that a start failed, unless the supervisor did; --rm and sessions remove it."""
    if record.remove or record.session:
        from fastbox.containers import heal

        heal.discard(store, held, record)
    elif os.path.isdir(held.directory) and store.read_exit(held.id) is None:
        store.write_exit(
            held.id, ExitRecord(code=error.exit_code, finished=now(), error=str(error))
        )

"""A command that runs to its end in a container of its own, over layers that need not be an image's
yet; what it wrote is kept. A build's RUN is one.
"""

from __future__ import annotations

import os
import select

from fastbox.containers import create, tied
from fastbox.containers.attachment import Streams
from fastbox.errors import FastboxError, StateConflict, os_error
from fastbox.runtime import supervisor
from fastbox.runtime.supervisor import SupervisorGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fastbox.containers.service import Containers
    from fastbox.runtime.session import Session
    from fastbox.runtime.supervisor import Conversation
    from fastbox.store.containers import ContainerRecord
    from fastbox.types import ImageConfig, RunOptions

_STREAMS = {"stdout": 1, "stderr": 2}
_CHUNK = 1 << 16


class Steps:
    """Runs commands one after the other or side by side, from any threads; they end with the
    session.
    """

    __slots__ = ("_service", "_session")

    def __init__(self, service: Containers, session: Session) -> None:
        self._service, self._session = service, session

    def run(
        self,
        made: Callable[[], tuple[RunOptions, ImageConfig]],
        keep: str,
        told: Callable[[int, bytes], None],
        stop: int,
        starting: AbstractContextManager[object],
        secrets: tuple[str, ...] = (),
        bundle: str = "",
    ) -> int:
        """Run one; its exit code (128+n after signal n).

        Args:
            made: Gives the container's options, and what it runs over; called while `starting`.
            keep: A path that becomes the directory of what it wrote, in overlayfs's form.
            told: Gets what it writes: 1 or 2, and bytes.
            stop: A descriptor that is readable when it is to be killed.
            starting: Entered while the container is made, so that nobody moves its layers.
            secrets: More variables, "NAME=value", that no file of the store may have.
            bundle: With secrets: the path of a file in memory for them, which the caller removes.

        Raises:
            LaunchError: It could not be started.
            StateConflict: It was killed because of `stop`.
        """
        hidden = create.Hidden(env=secrets, path=bundle) if secrets else None
        streams = Streams(list(_STREAMS))
        try:
            with starting:
                options, image = made()
                record, watch = self._service._starter.tied(
                    _with_parts(options), self._session, (image, ""), streams, hidden
                )
        except BaseException:
            streams.close()
            raise
        try:
            stopped = _carry(streams, told, stop)
            if stopped:
                tied.kill(self._service, watch, record.id)
                raise StateConflict("the step was canceled")
            code = watch.wait().code
            # Its end is told before its mounts are gone.
            supervisor.sync(watch.run, watch.supervisor)
            _take(record, self._service.directory(record.id), keep)
            return code
        except SupervisorGone:
            self._service.heal(record.id)
            raise
        finally:
            streams.close()
            self._discard(record, watch)

    def _discard(self, record: ContainerRecord, watch: Conversation) -> None:
        try:
            if watch.ended is None:
                tied.kill(self._service, watch, record.id)
            tied.discard(self._service, watch, record.id, record.name, record.scratch)
        except FastboxError:
            pass  # the end of the session removes it
        finally:
            watch.close()


def _with_parts(options: RunOptions) -> RunOptions:
    """Of the layers of each image mount, what they have at its subpath."""
    if not any(mount.kind == "image" and mount.subpath for mount in options.mounts):
        return options
    from fastbox.containers.imagemounts import below

    return options.replace(
        mounts=tuple(
            mount.replace(layers=below(mount.layers, mount), subpath="")
            if mount.kind == "image" and mount.subpath
            else mount
            for mount in options.mounts
        )
    )


def _carry(streams: Streams, told: Callable[[int, bytes], None], stop: int) -> bool:
    """Tell what it writes until it can't write any more; whether it is to stop instead."""
    poll = select.poll()
    names = {fd: name for name, fd in streams.ours.items()}
    for fd in (*names, stop):
        poll.register(fd, select.POLLIN)
    while names:
        for fd, _ in poll.poll():
            if fd == stop:
                return True
            data = os.read(fd, _CHUNK)
            if data:
                told(_STREAMS[names[fd]], data)
            else:
                poll.unregister(fd)
                streams.drop(names.pop(fd))
    return False


def _take(record: ContainerRecord, directory: str, keep: str) -> None:
    """Its writable layer becomes `keep`: by a rename, or copied when it was in memory."""
    upper = (record.scratch or directory) + "/upper"
    try:
        if record.scratch:
            from fastbox.store.merge import merge

            os.mkdir(keep, 0o755)
            merge([upper], keep, copy=True)
        else:
            os.rename(upper, keep)
        # Layers say nothing of the root itself.
        os.chmod(keep, 0o755)
        os.chown(keep, 0, 0)
    except OSError as error:
        raise os_error(error, "cannot keep what the step wrote", upper) from error

"""What a RUN may see and an image never holds: secrets, and the sockets of ssh agents.

A secret is copied to a file on the tmpfs of the live state, for as long as the build goes on; the
directory is locked by its build, and what a build that was killed has left there is removed by the
next.
"""

from __future__ import annotations

import _thread
import os
import stat

from fastbox.errors import InvalidArgument, NotFound, ResourceExhausted, os_error
from fastbox.store.lease import locked_directory, remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builds import BuildOptions
    from fastbox.store.root import Root

MAX_SECRET = 500 << 10  # as docker's


class SecretFiles:
    """The secrets and agents of one build."""

    __slots__ = ("_count", "_directory", "_fd", "_lock", "_parent", "_secrets", "_ssh")

    def __init__(self, root: Root, options: BuildOptions) -> None:
        self._secrets = {secret.id: secret for secret in options.secrets}
        self._ssh = {ssh.id: ssh for ssh in options.ssh}
        self._lock = _thread.allocate_lock()
        self._parent = root.live("builds")
        self._directory, self._fd, self._count = "", -1, 0

    def value(self, name: str) -> bytes | None:
        """A secret's content; None when there is none of that name.

        Raises:
            NotFound: Its file or variable is not there.
            ResourceExhausted: More than 500 KiB.
        """
        secret = self._secrets.get(name)
        if secret is None:
            return None
        if secret.env:
            value = os.environb.get(os.fsencode(secret.env))
            if value is None:
                raise NotFound(f'secret "{name}": the variable {secret.env} is not set')
            return value
        try:
            with open(secret.path, "rb") as file:
                data = file.read(MAX_SECRET + 1)
        except OSError as error:
            raise os_error(error, f'secret "{name}"', secret.path) from error
        if len(data) > MAX_SECRET:
            raise ResourceExhausted(f'secret "{name}" has more than 500 KiB', where=secret.path)
        return data

    def file(self, data: bytes, mode: int, uid: int, gid: int) -> str:
        """The path of a file that holds it."""
        path = self.place()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(data)
            os.fchown(fd, uid, gid)
            os.fchmod(fd, mode)
        return path

    def place(self) -> str:
        """The path of a file that is not there yet, and goes with the build."""
        with self._lock:
            self._count += 1
            return f"{self._private()}/{self._count}"

    def agent(self, name: str) -> str | None:
        """The path of an ssh agent's socket; None when there is none of that name.

        Raises:
            InvalidArgument: It is no socket.
        """
        ssh = self._ssh.get(name)
        if ssh is None:
            return None
        path = ssh.paths[0] if ssh.paths else os.environ.get("SSH_AUTH_SOCK", "")
        if not path:
            raise InvalidArgument(
                f'ssh "{name}": there is no agent', hint="start one: SSH_AUTH_SOCK is not set"
            )
        path = os.path.realpath(path)
        try:
            is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError as error:
            raise os_error(error, f'ssh "{name}"', path) from error
        if not is_socket:
            raise InvalidArgument(
                f'ssh "{name}": not an agent\'s socket', where=path, hint="add the key to ssh-agent"
            )
        return path

    def _private(self) -> str:
        if not self._directory:
            os.makedirs(self._parent, mode=0o700, exist_ok=True)
            name, self._fd = locked_directory(self._parent)
            self._directory = f"{self._parent}/{name}"
        return self._directory

    def close(self) -> None:
        """Delete the files."""
        if self._directory:
            remove(self._parent, os.path.basename(self._directory))
            os.close(self._fd)
            self._directory = ""

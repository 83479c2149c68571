"""Volumes on disk: <root>/volumes/<name>/ with `record.json`, `_data` and, when it is anonymous,
`users`.

A volume appears by one rename, so the name is exclusive by the kernel and nothing is half-made. An
anonymous one counts its users by files in `users`, since it ends with the last of them, which a
supervisor finds out without Python (trash.h). Whoever removes a volume by name holds the lock on
volumes/, moves it to .rm-<name>, looks once more who needs it, and then deletes it or puts it
back. A start takes no lock: it looks after it was recorded whether its volumes are there.
"""

from __future__ import annotations

import errno
import os

from fastbox.errors import InvalidArgument, os_error
from fastbox.store.lease import Lock, Work
from fastbox.store.root import read_record, write_record
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from fastbox.store.root import Root

ANONYMOUS = "com.docker.volume.anonymous"  # docker's label
AWAY = ".rm-"
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LATER = _LETTERS | frozenset("_.-")


class VolumeRecord(Record):
    """record.json: what the volume was made with."""

    name: str
    created: str
    driver: str = "local"
    labels: Mapping[str, str]
    options: Mapping[str, str]

    @property
    def anonymous(self) -> bool:
        """Whether nobody gave it its name."""
        return ANONYMOUS in self.labels


def check_name(name: str) -> str:
    """The name itself.

    Raises:
        InvalidArgument: It breaks [a-zA-Z0-9][a-zA-Z0-9_.-]+ or is longer than a file's name.
    """
    if len(name) == 1 and name in _LETTERS:
        raise InvalidArgument(
            f'the volume name "{name}" is too short', hint="two letters or digits, or more"
        )
    if not (1 < len(name) <= 255 and name[0] in _LETTERS and _LATER.issuperset(name)):
        raise InvalidArgument(
            f'invalid volume name "{name}"',
            hint="letters, digits, _ . - are allowed, a letter or digit first; "
            "a directory of the host begins with / or ./",
        )
    return name


class VolumeStore:
    """The volumes below one root.

    Attributes:
        root: The store.
    """

    __slots__ = ("_volumes", "root")

    def __init__(self, root: Root) -> None:
        self.root, self._volumes = root, root.path("volumes")

    def directory(self, name: str) -> str:
        """Its directory; the name was checked, or listed."""
        return f"{self._volumes}/{name}"

    def data(self, name: str) -> str:
        """Where its files are."""
        return f"{self._volumes}/{name}/_data"

    def names(self) -> list[str]:
        """All volumes, sorted."""
        try:
            return sorted(name for name in os.listdir(self._volumes) if name[0] in _LETTERS)
        except FileNotFoundError:  # a store of before there were volumes
            return []

    def read(self, name: str) -> VolumeRecord | None:
        """Its record; None when there is no such volume.

        A record that a power failure left empty was a volume's without options or labels: the
        others are synced.

        Raises:
            ValueError: The record is damaged.
        """
        path = self.directory(name) + "/record.json"
        try:
            if os.stat(path, follow_symlinks=False).st_size == 0:
                return VolumeRecord(name=name, created="", labels={}, options={})
        except FileNotFoundError:
            return None
        found = read_record(path)
        if found is None:
            return None
        values: dict[str, Any] = {field: found.get(field) for field in VolumeRecord._fields}
        texts, maps = ("name", "created", "driver"), ("labels", "options")
        if not all(isinstance(values[key], str) for key in texts) or values["name"] != name:
            raise ValueError("the record is damaged, or of another volume")
        if not all(_is_texts(values[key]) for key in maps):
            raise ValueError("the record's labels or options are damaged")
        return VolumeRecord(**values)

    def make(self, record: VolumeRecord, user: str = "") -> bool:
        """Make the volume; False when there is one of that name.

        Args:
            record: What it is to be.
            user: The id of the container that it is made for.

        Raises:
            DiskFull: No space or inode.
        """
        try:
            os.makedirs(self._volumes, mode=0o700, exist_ok=True)
            with Work(self.root) as work:
                made = work.directory("volume")
                os.mkdir(made + "/_data", 0o755)
                os.chmod(made + "/_data", 0o755)
                if record.anonymous:
                    os.mkdir(made + "/users", 0o700)
                    if user:
                        _touch(f"{made}/users/{user}")
                durable = bool(record.labels or record.options) and not record.anonymous
                write_record(made + "/record.json", record.as_dict(), durable=durable)
                os.rename(made, self.directory(record.name))
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return False
            path = self.directory(record.name)
            raise os_error(error, "cannot make the volume", path) from error
        return True

    def use(self, name: str, container: str) -> bool:
        """Count a container among the users of an anonymous volume; False when the volume is gone,
        or going.
        """
        try:
            _touch(f"{self.directory(name)}/users/{container}")
        except FileNotFoundError:
            return False
        return True

    def is_there(self, name: str) -> bool:
        """Whether the volume exists."""
        return os.path.isdir(self.data(name))

    def is_away(self, name: str) -> bool:
        """Whether somebody is about to remove it, or died over that."""
        return os.path.lexists(self.directory(AWAY + name))

    def recover(self, needed: Callable[[str], Sequence[str]]) -> None:
        """Wait for whoever removes volumes; put back what one that was killed moved away and
        somebody needs, and delete the rest.
        """
        try:
            with Lock(self._volumes):
                self._recover(needed)
        except FileNotFoundError:  # a store of before there were volumes
            pass

    def _recover(self, needed: Callable[[str], Sequence[str]]) -> None:
        for entry in os.listdir(self._volumes):
            if entry.startswith(AWAY):
                name = entry.removeprefix(AWAY)
                if os.path.exists(self.directory(name)) or not needed(name):
                    self._delete(entry).__exit__()
                else:
                    os.rename(self.directory(entry), self.directory(name))

    def _delete(self, entry: str) -> Work:
        """The work directory that it is in now, and ends with."""
        work = Work(self.root)
        try:
            os.rename(self.directory(entry), work.path + "/volume")
        except BaseException:
            work.__exit__()
            raise
        return work

    def remove(self, name: str, needed: Callable[[str], Sequence[str]]) -> Sequence[str] | None:
        """Delete a volume, unless somebody needs it.

        Args:
            name: Its name.
            needed: Who needs a volume, by their records as they are at the call.

        Returns:
            Who needs it, in which case it stays; None: there is no such volume.

        Raises:
            FastboxError: The kernel said no.
        """
        try:
            with Lock(self._volumes):
                self._recover(needed)
                users = needed(name)
                if users:
                    return users
                os.rename(self.directory(name), self.directory(AWAY + name))
                users = needed(name)
                if users:
                    os.rename(self.directory(AWAY + name), self.directory(name))
                    return users
                work = self._delete(AWAY + name)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise os_error(error, "cannot remove the volume", self.directory(name)) from error
        with work:  # large trees take their time: nobody has to wait for that
            return ()


def _is_texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))

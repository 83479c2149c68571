"""`ps --filter`: docker's keys. Several values of one key are alternatives, except for labels; all
keys have to fit.
"""

from __future__ import annotations

from fastbox import units
from fastbox.errors import FastboxError, InvalidArgument
from fastbox.support.filters import Filters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fastbox.containers.listing import Found
    from fastbox.containers.needs import ImageService
    from fastbox.store.containers import ContainerStore

KEYS = (
    "ancestor", "before", "exited", "expose", "health", "id", "is-task", "isolation", "label",
    "name", "network", "publish", "since", "status", "volume",
)  # fmt: skip
STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTH = ("none", "starting", "healthy", "unhealthy")


class Selection:
    """The filters of one listing.

    Attributes:
        any_state: Whether they ask for a state, so that what does not run counts, too.
    """

    def __init__(
        self, store: ContainerStore, images: Callable[[], ImageService], texts: Sequence[str]
    ) -> None:
        """Read and check them.

        Raises:
            InvalidArgument: An unknown key, or a value that it can't have.
            ContainerNotFound: `before` or `since` names none.
        """
        self._filters = Filters(texts, KEYS)
        self._images = images
        self.any_state = bool(self._filters.values("status"))
        self._check("status", STATES)
        self._check("health", HEALTH)
        self._codes = {self._number(text) for text in self._filters.values("exited")}
        self._task = self._filters.truth("is-task")
        self._before = [_created(store, name) for name in self._filters.values("before")]
        self._since = [_created(store, name) for name in self._filters.values("since")]
        self._exposed = [_ports(text) for text in self._filters.values("expose")]
        self._published = [_ports(text) for text in self._filters.values("publish")]
        self._networks = _network_names(store, self._filters.values("network"))

    def _check(self, key: str, known: Sequence[str]) -> None:
        for value in self._filters.values(key):
            if value not in known:
                raise InvalidArgument(
                    f"invalid filter '{key}={value}'", hint="it is one of " + ", ".join(known)
                )

    def _number(self, text: str) -> int:
        try:
            return units.integer(text, -(1 << 31), 1 << 31)
        except ValueError:
            raise InvalidArgument(
                f"invalid filter 'exited={text}'", hint="write an exit code: exited=0"
            ) from None

    def __call__(self, found: list[Found]) -> list[Found]:
        """Those that fit."""
        values = self._filters.values
        if values("ancestor"):
            family = self._family(found)
            found = [each for each in found if each.record.get("image_id") in family]
        tests: list[tuple[object, Callable[[Found], bool]]] = [
            (values("id"), lambda each: _any_matches(values("id"), each.id)),
            (values("name"), lambda each: self._named(each)),
            (values("status"), lambda each: each.state in values("status")),
            (values("health"), lambda each: _health(each) in values("health")),
            (values("label"), lambda each: self._filters.labels_fit(each.record.get("labels", {}))),
            (self._networks, lambda each: not self._networks.isdisjoint(each.networks)),
            (values("volume"), lambda each: self._mounts(each)),
            (self._codes, lambda each: each.state == "exited" and _code(each) in self._codes),
            (self._before, lambda each: all(each.created < limit for limit in self._before)),
            (self._since, lambda each: all(each.created > limit for limit in self._since)),
            (self._exposed, lambda each: self._exposes(each)),
            (self._published, lambda each: self._publishes(each)),
            (self._task, lambda _: False),  # there are none of these
        ]
        for wanted, fits in tests:
            if wanted:
                found = [each for each in found if fits(each)]
        return found

    def _named(self, each: Found) -> bool:
        name = str(each.record.get("name", ""))
        patterns = self._filters.values("name")
        return _any_matches(patterns, name) or _any_matches(patterns, "/" + name)

    def _mounts(self, each: Found) -> bool:
        names = {
            mount.get(key) for mount in each.mounts for key in ("name", "source", "path", "target")
        }
        return bool(names.intersection(self._filters.values("volume")))

    def _exposes(self, each: Found) -> bool:
        ports = [_ports(text) for text in each.record.get("exposed", ())]
        return any(
            kind == wanted and low <= port <= high
            for low, high, wanted in self._exposed
            for port, _, kind in ports
        )

    def _publishes(self, each: Found) -> bool:
        return any(
            port.get("protocol") == wanted and low <= int(str(port.get("host_port", 0))) <= high
            for low, high, wanted in self._published
            for port in (each.info.ports if each.info else each.live.get("ports") or ())
        )

    def _family(self, found: list[Found]) -> set[str]:
        """The images that `ancestor` names, and of the containers' those that were made of one."""
        from fastbox.containers.listing import ids_of

        layers = {image: self._layers(image) for image in ids_of(found) if image}
        family = set()
        for reference in self._filters.values("ancestor"):
            try:
                ancestor = self._images().resolve(reference)
            except FastboxError:  # of an image that was removed its containers still tell
                family |= {
                    str(each.record.get("image_id"))
                    for each in found
                    if reference in (each.record.get("image"), each.record.get("image_id"))
                }
                continue
            family.add(ancestor.id)
            count = len(ancestor.layers)
            family |= {i for i, own in layers.items() if count and own[-count:] == ancestor.layers}
        return family

    def _layers(self, image: str) -> tuple[str, ...]:
        try:
            return self._images().resolve(image).layers
        except FastboxError:
            return ()


def _network_names(store: ContainerStore, given: Sequence[str]) -> set[str]:
    """Whatever a container may call these networks: their names, their ids, as it was given."""
    found = set(given)
    networks = store.networks() if given else None
    for text in given:
        try:
            record = networks.known(text) if networks else None
        except FastboxError:  # "none", or one that is gone: its containers still name it
            continue
        found |= {record.id, record.id[:12], record.name} if record else set()
    return found


def _created(store: ContainerStore, name: str) -> str:
    record = store.read(store.find(name))
    return record.created if record else ""


def _code(each: Found) -> int:
    return int(each.info.exit_code if each.info else each.exit.get("code", 0))


def _health(each: Found) -> str:
    return getattr(each.info, "health", "") or "none"


def _any_matches(patterns: Sequence[str], text: str) -> bool:
    """Whether one of the regular expressions is found in the text; one that is none is as it
    stands.
    """
    for pattern in patterns:
        if pattern.replace("-", "").replace("_", "").isalnum():
            if pattern in text:
                return True
            continue
        import re

        try:
            if re.search(pattern, text):
                return True
        except re.error:
            if pattern in text:
                return True
    return False


def _ports(text: str) -> tuple[int, int, str]:
    """`80`, `80/udp`, `8000-8010/tcp` as the first, the last and the protocol."""
    numbers, _, kind = text.partition("/")
    first, dash, last = numbers.partition("-")
    try:
        low = units.integer(first, 0, 65535)
        high = units.integer(last, low, 65535) if dash else low
    except ValueError as error:
        raise InvalidArgument(f'invalid port "{text}": {error}', hint="write 80/tcp") from None
    return low, high, kind or "tcp"

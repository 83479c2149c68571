"""Names of containers: a symlink each, so the kernel says who was first; one that points to nothing
is free.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, NameInUse, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.store.lease import Lock

MAX_NAME = 128
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_LATER = _LETTERS | frozenset("_.-")

_ADJECTIVES = (
    "able amber brave brisk calm clever crisp daring dapper eager early fair fleet fond gentle "
    "glad golden hardy honest humble jolly keen kind lively lucid lucky mellow merry mild neat "
    "nimble noble patient plain polite proud quick quiet ready rosy serene sharp silent silver "
    "sleek smart snug sober solid spry steady still stout sunny swift tidy trim true upbeat vivid "
    "warm wise witty young zesty"
).split()
_SURNAMES = (
    "abel ampere banach bardeen bell bohr boole borg bose brahe cantor carson cauchy church curie "
    "dalton darwin dirac ekeblad elion euclid euler faraday fermat fermi franklin galois gauss "
    "germain goedel goldberg haber halley hamilton hawking hertz hilbert hodgkin hopper huygens "
    "hypatia joule kepler kilby knuth lamarr laplace leavitt lovelace maxwell mccarthy meitner "
    "mendel milner morse newton nobel noether pascal pauling planck ramanujan ritchie shannon "
    "sinoussi tesla thompson turing volta wiles wing yonath"
).split()


def check(name: str) -> str:
    """The name itself; docker's leading "/" is dropped.

    Raises:
        InvalidArgument: It breaks [a-zA-Z0-9][a-zA-Z0-9_.-]+ or is longer than 128.
    """
    plain = name.removeprefix("/")
    if not (1 < len(plain) <= MAX_NAME and plain[0] in _LETTERS and _LATER.issuperset(plain)):
        raise InvalidArgument(
            f'invalid container name "{name}"',
            hint="letters, digits, _ . - are allowed, two or more, a letter or digit first",
        )
    return plain


def random_name() -> str:
    """An adjective and a scientist's surname."""
    number = int.from_bytes(os.urandom(4), "little")
    return f"{_ADJECTIVES[number % len(_ADJECTIVES)]}_{_SURNAMES[number // 65536 % len(_SURNAMES)]}"


def claim(names: str, name: str, container: str) -> None:
    """Point `name` to the container, whose directory exists already.

    Raises:
        NameInUse: Another container has it.
    """
    path, target = os.path.join(names, name), "../containers/" + container
    try:
        os.symlink(target, path)
    except FileExistsError:
        _replace_free(names, name, target)
    except OSError as error:
        raise os_error(error, "cannot give the name", path) from error


def claim_random(names: str, container: str) -> str:
    """Claim a random name; after a few that were taken, with a number behind it."""
    for attempt in range(1000):
        name = random_name() + (str(attempt) if attempt > 5 else "")
        try:
            claim(names, name, container)
            return name
        except NameInUse:
            continue
    raise NameInUse("no random name is free", hint="give one with --name")


def _replace_free(names: str, name: str, target: str) -> None:
    try:
        with _lock(names):
            # Only a link that was seen to dangle is removed: where there is none, one who merely
            # creates, without the lock, may be first.
            if holder(names, name):
                if os.path.exists(os.path.join(names, name)):
                    raise _taken(names, name)
                _unlink(names, name)
            os.symlink(target, os.path.join(names, name))
    except FileExistsError:
        raise _taken(names, name) from None


def release(names: str, name: str, container: str) -> None:
    """Give the name back, if it is still the container's (`fb_record_trash` does the same)."""
    with _lock(names):
        if holder(names, name) == container:
            _unlink(names, name)


def _lock(names: str) -> Lock:
    """Between a look at a link and its end nobody replaces it: only one finds it dangling, and none
    removes what another has put there.
    """
    from fastbox.store.lease import Lock

    return Lock(names)


def holder(names: str, name: str) -> str:
    """The id that the name points to, or ""."""
    try:
        return os.readlink(os.path.join(names, name)).rpartition("/")[2]
    except OSError:
        return ""


def _unlink(names: str, name: str) -> None:
    try:
        os.unlink(os.path.join(names, name))
    except FileNotFoundError:
        pass


def _taken(names: str, name: str) -> NameInUse:
    return NameInUse(
        f'the name "{name}" belongs to container {holder(names, name)[:12]}',
        hint=f"remove it with `fastbox rm {name}`",
    )

"""Health checks: what the image and the command line ask for, the probe's document, and what the
supervisor has found out.

An image's check is data of its author: it is read strictly, and runs in the container only.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument, InvalidSpec
from fastbox.runtime.process import exec_document
from fastbox.support import json
from fastbox.types import HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.types import ImageConfig

_MAX_BYTES = 1 << 20
_DURATIONS = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
}
_LEAST = 0.001  # seconds
_MOST_SECONDS = float(1 << 32)


def wanted(given: HealthCheck | None, image: ImageConfig) -> HealthCheck | None:
    """The check of a container: what was given over what the image says; None without one.

    Raises:
        InvalidArgument: A duration below a millisecond, or a test of no known kind.
        InvalidSpec: The image's check is malformed.
    """
    mine = given or HealthCheck()
    theirs = of_image(image.health)
    values = {
        field: getattr(mine, field) or getattr(theirs, field) for field in HealthCheck._fields
    }
    check = HealthCheck(**values)
    if not check.test or check.test[0] == "NONE":
        return None
    if check.test[0] not in ("CMD", "CMD-SHELL") or len(check.test) < 2:
        raise InvalidArgument(
            f'unknown kind of health check "{check.test[0]}"',
            hint="CMD, CMD-SHELL and NONE are known",
        )
    for field in _DURATIONS.values():
        value = values[field]
        if value < 0 or 0 < value < _LEAST or value > _MOST_SECONDS:
            raise InvalidArgument(f"{field} in the health check cannot be less than 1ms")
    if check.retries < 0:
        raise InvalidArgument("--health-retries cannot be negative")
    return check


def of_image(found: Mapping[str, object] | None) -> HealthCheck:
    """An image's Healthcheck.

    Raises:
        InvalidSpec: It is malformed.
    """
    if not found:
        return HealthCheck()
    if not hasattr(found, "items"):
        raise InvalidSpec("the image's health check is not an object")
    test = found.get("Test") or []
    if not isinstance(test, list) or not all(isinstance(word, str) for word in test):
        raise InvalidSpec("the image's health check: Test is not a list of texts")
    values: dict[str, float] = {}
    for member, field in _DURATIONS.items():
        value = found.get(member) or 0
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidSpec(f"the image's health check: {member} is not a number")
        values[field] = value / 1e9
    retries = found.get("Retries") or 0
    if not isinstance(retries, int) or isinstance(retries, bool):
        raise InvalidSpec("the image's health check: Retries is not a number")
    return HealthCheck(test=tuple(test), retries=retries, **values)


def described(check: HealthCheck) -> dict[str, object]:
    """As docker's Healthcheck: nanoseconds, and only what was given."""
    made: dict[str, object] = {"Test": list(check.test)} if check.test else {}
    for member, field in _DURATIONS.items():
        if getattr(check, field):
            made[member] = round(getattr(check, field) * 1e9)
    return made | ({"Retries": check.retries} if check.retries else {})


def added(
    text: bytes, given: HealthCheck | None, image: ImageConfig, path: str
) -> tuple[bytes, bytes]:
    """The text of a bundle whose supervisor asks, and the document of a probe, which is to be at
    `path`; b"" when nobody is to ask.

    Raises:
        InvalidArgument: As `wanted`.
        InvalidSpec: The image's check is malformed.
    """
    check = wanted(given, image)
    bundle = json.loads_object(text)
    engine = bundle["fastbox"]
    if check is None:
        if given is not None and given.test == ("NONE",):
            engine["healthcheck"] = {"Test": ["NONE"]}
        return _text(bundle), b""
    kind, *words = check.test
    argv = [*(image.shell or ("/bin/sh", "-c")), words[0]] if kind == "CMD-SHELL" else words
    found = engine["healthcheck"] = described(check)
    engine["health"] = {
        "document": path,
        "interval": found.get("Interval", 0),
        "timeout": found.get("Timeout", 0),
        "start_period": found.get("StartPeriod", 0),
        "start_interval": found.get("StartInterval", 0),
        "retries": check.retries,
    }
    return _text(bundle), _text(exec_document(bundle["process"], engine, argv))


def _text(document: object) -> bytes:
    return json.dumps(document).encode("utf-8", "surrogateescape")


def read(directory: str) -> dict[str, object]:
    """Docker's `State.Health` of the container in this directory; {} when it is not asked."""
    try:
        with open(directory + "/health", "rb") as file:
            found = json.loads_object(file.read(_MAX_BYTES))
    except (OSError, ValueError):
        return {}
    found.pop("schema", None)
    return found

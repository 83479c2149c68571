"""`--change`: Dockerfile instructions that alter an image's configuration, as `import` and `commit`
take them.
"""

from __future__ import annotations

import posixpath
import shlex
import signal

from fastbox import units
from fastbox.errors import InvalidArgument
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


def apply_changes(config: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A configuration with instructions applied in order.

    Raises:
        InvalidArgument: An unknown instruction, or one that is malformed.

    Example:
        >>> apply_changes({}, ["CMD echo hi"])["Cmd"]
        ['/bin/sh', '-c', 'echo hi']
    """
    found = dict(config)
    for change in changes:
        word, _, rest = change.strip().partition(" ")
        handler = _HANDLERS.get(word.upper())
        if handler is None:
            known = ", ".join(sorted(_HANDLERS))
            raise InvalidArgument(
                f"--change {change!r}: unknown instruction", hint=f"known: {known}"
            )
        if not rest.strip() or "\0" in rest:
            raise InvalidArgument(f"--change {change!r}: it needs an argument")
        try:
            handler(found, rest.strip())
        except ValueError as error:
            raise InvalidArgument(f"--change {change!r}: {error}") from None
    return found


def _array(text: str) -> list[str] | None:
    """The JSON form of an instruction, or None when the text is in the shell form."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("its array holds something else than strings")
    return value


def _command(text: str) -> list[str]:
    array = _array(text)
    return ["/bin/sh", "-c", text] if array is None else array


def _cmd(config: dict[str, Any], text: str) -> None:
    config["Cmd"] = _command(text)


def _entrypoint(config: dict[str, Any], text: str) -> None:
    config["Entrypoint"] = _command(text)
    config.pop("Cmd", None)  # the image's own command was made for the old entry point


def _pairs(text: str) -> list[tuple[str, str]]:
    """`A=b "C=d e"`, or the old form `A the rest`."""
    first = text.split(None, 1)
    if "=" not in first[0]:
        if len(first) != 2:
            raise ValueError("a value is missing")
        return [(first[0], first[1])]
    pairs = []
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ValueError(f"{word!r} is not of the form name=value")
        pairs.append((name, value))
    return pairs


def _env(config: dict[str, Any], text: str) -> None:
    entries = dict(entry.partition("=")[::2] for entry in config.get("Env") or ())
    entries.update(_pairs(text))
    config["Env"] = [f"{name}={value}" for name, value in entries.items()]


def _label(config: dict[str, Any], text: str) -> None:
    config["Labels"] = dict(config.get("Labels") or {}) | dict(_pairs(text))


def _expose(config: dict[str, Any], text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in text.split():
        numbers, _, protocol = word.partition("/")
        protocol = (protocol or "tcp").lower()
        first, dash, last = numbers.partition("-")
        if protocol not in ("tcp", "udp", "sctp"):
            raise ValueError(f"{word!r}: the protocol is tcp, udp or sctp")
        for port in range(_port(first), _port(last if dash else first) + 1):
            ports[f"{port}/{protocol}"] = {}
    config["ExposedPorts"] = ports


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port")
    return int(text)


def _user(config: dict[str, Any], text: str) -> None:
    config["User"] = text


def _volume(config: dict[str, Any], text: str) -> None:
    array = _array(text)
    paths = text.split() if array is None else array
    if not all(paths):
        raise ValueError("an empty path")
    config["Volumes"] = dict(config.get("Volumes") or {}) | {path: {} for path in paths}


def _workdir(config: dict[str, Any], text: str) -> None:
    path = posixpath.normpath(posixpath.join("/", config.get("WorkingDir") or "/", text))
    config["WorkingDir"] = "/" + path.lstrip("/")


def _onbuild(config: dict[str, Any], text: str) -> None:
    word = text.split()[0].upper()
    if word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ValueError(f"{word} can't be triggered")
    config["OnBuild"] = [*(config.get("OnBuild") or ()), text]


def _stopsignal(config: dict[str, Any], text: str) -> None:
    name = text.upper().removeprefix("SIG")
    real = name.partition("+")[0].partition("-")[0] in ("RTMIN", "RTMAX")
    number = name.isascii() and name.isdigit() and len(name) <= 2 and 0 < int(name) < 65
    if not (number or real or "SIG" + name in signal.Signals.__members__):
        raise ValueError(f"{text!r} is not a signal")
    config["StopSignal"] = text


_HEALTH = {
    "--interval": "Interval",
    "--timeout": "Timeout",
    "--start-period": "StartPeriod",
    "--start-interval": "StartInterval",
}


def _healthcheck(config: dict[str, Any], text: str) -> None:
    found: dict[str, object] = {}
    word, _, rest = text.partition(" ")
    while word[:2] == "--":
        flag, _, value = word.partition("=")
        if flag == "--retries":
            found["Retries"] = units.integer(value, 0, (1 << 31) - 1)
        elif flag in _HEALTH:
            found[_HEALTH[flag]] = round(units.duration(value) * 1e9)
        else:
            raise ValueError(f"unknown flag {flag}")
        word, _, rest = rest.lstrip().partition(" ")
    rest = rest.strip()
    if word.upper() == "NONE":
        if rest or found:
            raise ValueError("NONE takes no arguments")
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if word.upper() != "CMD" or not rest:
        raise ValueError("neither NONE nor CMD and a command")
    array = _array(rest)
    test = ["CMD-SHELL", rest] if array is None else ["CMD", *array]
    config["Healthcheck"] = {"Test": test, **found}


_HANDLERS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}

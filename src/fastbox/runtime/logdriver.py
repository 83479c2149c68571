"""Log drivers and their options, by docker's rules, to the bundle's `log` object.

Imported only when a container asks for more than json-file without options.
"""

from __future__ import annotations

import os
import re

from fastbox.errors import InvalidArgument
from fastbox.runtime import process
from fastbox.support import paths
from fastbox.units import MAX_SIZE, integer, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastbox.runtime.spec import Place
    from fastbox.types import ImageConfig, RunOptions

JOURNALD_SOCKET = "/run/systemd/journal/socket"
SYSLOG_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
_ANY = ("mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file")
_ANY_COMPRESS = ("cache-compress",)
_FILE = ("max-size", "max-file", "compress")
_RECORD = ("labels", "labels-regex", "env", "env-regex", "tag")
_SYSLOG = (
    "syslog-address", "syslog-facility", "syslog-format", "syslog-tls-ca-cert", "syslog-tls-cert",
    "syslog-tls-key", "syslog-tls-skip-verify",
)  # fmt: skip
_KNOWN = {
    "json-file": _FILE + _RECORD,
    "local": _FILE,
    "journald": _RECORD,
    "syslog": _SYSLOG + _RECORD,
    "none": (),
}
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "", "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
)  # fmt: skip
_FORMATS = ("rfc3164", "rfc5424", "rfc5424micro")
_DECIMAL = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", re.IGNORECASE)
_FIELD = re.compile(r"\{\{\s*\.(\w+)\s*\}\}")
_MAX_FILES = 1000
_KINDS = {"json-file": 0, "local": 1}  # as containers.logfiles has them
_BUFFER = 1 << 20  # docker's default of a non-blocking log
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


def section(options: RunOptions, image: ImageConfig, place: Place) -> dict[str, object] | None:
    """The bundle's `log`; None: nothing is kept.

    Raises:
        InvalidArgument: An unknown driver or option, or a value that the option can't have.
    """
    driver, opts = options.log_driver or "json-file", dict(options.log_opts or {})
    _check_names(driver, opts)
    made: dict[str, object] = {}
    buffer = _buffer(opts)
    if driver == "none":
        return None
    if driver in ("json-file", "local"):
        made |= _file(driver, opts, place)
    if driver == "journald":
        made |= _journald(opts, options, image, place)
    elif driver == "syslog":
        made |= _syslog(opts, options, image, place)
    elif driver == "json-file":
        attrs = _extra(opts, options, image)
        tag = _tag(opts, options, image, place, "")
        made["attrs"] = dict(sorted((attrs | ({"tag": tag} if tag else {})).items()))
    if driver in ("journald", "syslog"):
        made |= ({"buffer": buffer} if buffer else {}) | _cache(opts, place)
    if driver != "json-file":
        made["driver"] = driver
    return made


def _check_names(driver: str, opts: Mapping[str, str]) -> None:
    if driver not in _KNOWN:
        raise InvalidArgument(
            f'logger: no log driver named "{driver}" is registered',
            hint="known: " + ", ".join(sorted(_KNOWN)),
        )
    if driver == "none" and opts:
        raise InvalidArgument("invalid logging opts for driver none", hint="it takes no --log-opt")
    for name in opts:
        if name not in (*_KNOWN[driver], *_ANY, *_ANY_COMPRESS):
            raise InvalidArgument(
                f'unknown log opt "{name}" for {driver} log driver',
                hint="known: " + ", ".join(sorted((*_KNOWN[driver], "mode", "max-buffer-size"))),
            )


def _bad(name: str, value: str, why: str) -> InvalidArgument:
    return InvalidArgument(f'invalid log opt {name}="{value}": {why}')


def _buffer(opts: Mapping[str, str]) -> int:
    """How much a non-blocking log holds back; 0: it blocks."""
    mode = opts.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidArgument(f'logger: logging mode not supported: "{mode}"')
    text = opts.get("max-buffer-size")
    if text is None:
        return _BUFFER if mode == "non-blocking" else 0
    if mode != "non-blocking":
        raise InvalidArgument(
            "logger: max-buffer-size option is only supported with mode=non-blocking"
        )
    try:
        return max(size(text), 1)
    except ValueError as error:
        raise _bad("max-buffer-size", text, str(error)) from None


def _boolean(opts: Mapping[str, str], name: str, absent: str = "false") -> bool:
    text = opts.get(name, absent)
    if text not in _TRUE + _FALSE:
        raise _bad(name, text, "neither true nor false")
    return text in _TRUE


def _file(driver: str, opts: Mapping[str, str], place: Place) -> dict[str, object]:
    local = driver == "local"
    text, count = opts.get("max-size"), opts.get("max-file", "5" if local else "1")
    limit = 20_000_000 if local else 0
    if text is not None and text != "-1":
        found = _DECIMAL.fullmatch(text)
        limit = (
            int(float(found[1]) * 1000 ** " kmgtp".index(found[2].lower() or " ")) if found else 0
        )
        if not 0 < limit <= MAX_SIZE:
            raise _bad("max-size", text, "not a size above zero")
    try:
        files = integer(count, 1, _MAX_FILES)
    except ValueError as error:
        raise _bad("max-file", count, str(error)) from None
    compress = _boolean(opts, "compress", "true" if local else "false")
    if compress and (files < 2 or not limit):
        raise InvalidArgument(
            "compression cannot be enabled when max file count is 1"
            if local
            else "compress cannot be true when max-file is less than 2 or max-size is not set"
        )
    path = "local-logs/container.log" if local else place.id + "-json.log"
    made = {"path": f"{place.directory}/{path}", "max_size": limit, "max_file": files}
    return made | ({"pack": paths.logpack(_KINDS[driver])} if compress else {})


def _cache(opts: Mapping[str, str], place: Place) -> dict[str, object]:
    """The copy that `logs` reads, of a driver that can't be read: docker's "dual logging"."""
    if _boolean(opts, "cache-disabled"):
        return {}
    words = ("max-size", "max-file", "compress")
    mine = {word: opts["cache-" + word] for word in words if "cache-" + word in opts}
    made = _file("local", mine, place)
    return {"cache": made | {"path": f"{place.directory}/container-cached.log"}}


def _labels(options: RunOptions, image: ImageConfig) -> dict[str, str]:
    return {**image.labels, **(options.labels or {})}


def _pattern(opts: Mapping[str, str], name: str) -> re.Pattern[str] | None:
    if not opts.get(name):
        return None
    try:
        return re.compile(opts[name])
    except re.error as error:
        raise _bad(name, opts[name], str(error)) from None


def _extra(opts: Mapping[str, str], options: RunOptions, image: ImageConfig) -> dict[str, str]:
    """The labels and variables that each record is to have."""
    labels = _labels(options, image)
    env = {
        name: value
        for name, equals, value in (
            entry.partition("=") for entry in process.merged_env(options.env, image.env)
        )
        if equals
    }
    found: dict[str, str] = {}
    for name, values in (("labels", labels), ("env", env)):
        wanted = opts.get(name, "").split(",")
        found |= {key: values[key] for key in wanted if key in values}
        pattern = _pattern(opts, name + "-regex")
        if pattern is not None:
            found |= {key: value for key, value in values.items() if pattern.search(key)}
    return found


def _tag(
    opts: Mapping[str, str], options: RunOptions, image: ImageConfig, place: Place, default: str
) -> str:
    """The tag, its template filled in."""
    template = opts.get("tag", "") or default
    values = {
        "ID": place.id[:12],
        "FullID": place.id,
        "Name": place.name,
        "ImageID": image.id.removeprefix("sha256:")[:12],
        "ImageFullID": image.id,
        "ImageName": options.image or options.rootfs,
        "Command": " ".join(process.command(options, image)),
        "DaemonName": "fastbox",
    }

    def fill(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise _bad("tag", template, f"no field {found[1]}; there are " + ", ".join(values))
        return values[found[1]]

    made = _FIELD.sub(fill, template)
    if "{{" in made:
        raise _bad("tag", template, "only fields such as {{.Name}} can be filled in")
    return made


def _journal_name(name: str) -> str:
    upper = "".join(c.upper() if c.isascii() and c.isalnum() else "_" for c in name)
    return upper.lstrip("_")


def _journald(
    opts: Mapping[str, str], options: RunOptions, image: ImageConfig, place: Place
) -> dict[str, object]:
    tag = _tag(opts, options, image, place, "{{.ID}}")
    fields = {
        "CONTAINER_ID": place.id[:12],
        "CONTAINER_ID_FULL": place.id,
        "CONTAINER_NAME": place.name,
        "CONTAINER_TAG": tag,
        "IMAGE_NAME": options.image or options.rootfs,
        "SYSLOG_IDENTIFIER": tag,
    }
    extra = {_journal_name(k): v for k, v in _extra(opts, options, image).items()}
    extra.pop("", None)
    return {"path": JOURNALD_SOCKET, "attrs": fields | extra}


def _syslog(
    opts: Mapping[str, str], options: RunOptions, image: ImageConfig, place: Place
) -> dict[str, object]:
    _extra(opts, options, image)  # checked only: a message has no place for them, as docker's
    made = _address(opts.get("syslog-address", ""))
    facility = opts.get("syslog-facility", "daemon")
    if facility in _FACILITIES and facility:
        made["facility"] = _FACILITIES.index(facility)
    elif facility.isascii() and facility.isdigit() and int(facility) < 24:
        made["facility"] = int(facility)
    else:
        raise _bad("syslog-facility", facility, "neither a name such as local0 nor 0 to 23")
    form = opts.get("syslog-format", "")
    if form and form not in _FORMATS:
        raise _bad("syslog-format", form, "not " + ", ".join(_FORMATS))
    return (
        made
        | ({"format": form} if form else {})
        | {"tag": _tag(opts, options, image, place, "{{.ID}}")[:255]}
    )


def _address(text: str) -> dict[str, object]:
    """Where a syslog server is. Names are looked up here: the supervisor knows numbers only."""
    if not text:
        local = next((path for path in SYSLOG_SOCKETS if os.path.exists(path)), SYSLOG_SOCKETS[0])
        return {"protocol": "unixgram", "path": local}
    protocol, separator, rest = text.partition("://")
    if protocol == "tcp+tls":
        raise _bad("syslog-address", text, "TLS is not supported; use tcp, udp or a local socket")
    if not separator or protocol not in ("unix", "unixgram", "udp", "tcp"):
        raise _bad(
            "syslog-address", text, "not unix://PATH, unixgram://, udp:// or tcp://HOST:PORT"
        )
    if protocol in ("unix", "unixgram"):
        if not os.path.exists(rest):
            raise _bad("syslog-address", text, "there is no such socket")
        return {"protocol": protocol, "path": os.path.abspath(rest)}
    host, colon, port = rest.rpartition(":") if not rest.endswith("]") else (rest, "", "")
    host = (host if colon else rest).strip("[]")
    try:
        number = integer(port, 1, 65535) if colon else 514
    except ValueError as error:
        raise _bad("syslog-address", text, f"the port is {error}") from None
    import socket

    try:
        kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
        address = socket.getaddrinfo(host, number, type=kind)[0][4][0]
    except OSError as error:
        raise _bad("syslog-address", text, f"{host}: {error.strerror or error}") from None
    return {"protocol": protocol, "address": address, "port": number}

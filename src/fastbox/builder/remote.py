"""Files from http and https addresses: ADD's, and contexts.

The server is hostile: redirects, time and size have bounds, no other scheme is followed, and a
password in the address goes to the host that it is for only.
"""

from __future__ import annotations

import errno
import os
import posixpath

from fastbox.builder.giturl import is_url, redacted
from fastbox.errors import (
    DigestMismatch,
    FastboxError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    SizeMismatch,
    Timeout,
    os_error,
)
from fastbox.store.content import hex_of
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPResponse
    from urllib.request import OpenerDirector, Request

    from fastbox.store.lease import Work

MAX_BYTES = 16 << 30
UNNAMED = "__unnamed__"  # docker's, for an address without a path
_SECONDS = 60.0  # without a byte
_CHUNK = 1 << 20
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_SAFE = "%/:=&?~#+!$,;'@()*[]"


class Download(Record):
    """What an address gave. `path` "" is: what is known already, unchanged."""

    url: str  # as written
    path: str  # in the work directory, mode 0600
    name: str  # that a file of it gets in a directory
    digest: str
    size: int
    mtime: int  # seconds since 1970; 0: the server does not say
    etag: str = ""
    last_modified: str = ""


def name_of(url: str) -> str:
    """The file's name that an address ends in, as docker takes it."""
    from urllib.parse import unquote, urlsplit

    try:
        path = unquote(urlsplit(url).path, errors="surrogateescape")
    except ValueError:
        path = ""
    name = posixpath.basename(posixpath.normpath("/" + path))
    return UNNAMED if name in ("", ".", "..") or "\0" in name else name


def download(
    url: str,
    work: Work,
    *,
    checksum: str = "",
    known: Download | None = None,
    limit: int = MAX_BYTES,
    tell: Callable[[int, int], None] | None = None,
) -> Download:
    """Bring a file into the work directory, hashed on its way.

    Args:
        url: The address.
        work: Where the file goes.
        checksum: "sha256:" and the digits that it must have, or "".
        known: What an earlier build got there: the server may answer that it is still so.
        limit: The most bytes.
        tell: Called with the bytes that came and those that will (0: unknown); what it raises ends
            the download.

    Raises:
        InvalidArgument: No address of http or https; a checksum that is none.
        NotFound: The server has no such file.
        DigestMismatch: It is not what the checksum says.
        ResourceExhausted: More than `limit` bytes.
        Timeout: The server says nothing for a minute.
        FastboxError: It can't be reached, or refuses.
    """
    if checksum:
        hex_of(checksum)
    if known and checksum not in ("", known.digest):
        known = None
    response = _request(url, known)
    if response is None:
        assert known is not None
        return known.replace(path="")
    with response:
        path = os.path.join(work.directory("downloads"), os.urandom(8).hex())
        digest, size = _save(response, url, path, limit, tell)
        if checksum not in ("", digest):
            os.unlink(path)
            raise DigestMismatch(
                f"the file's digest is {digest}, not {checksum}", where=redacted(url)
            )
        modified = response.headers.get("Last-Modified") or ""
        return Download(
            url=url,
            path=path,
            name=name_of(url),
            digest=digest,
            size=size,
            mtime=_seconds(modified),
            etag=response.headers.get("ETag") or "",
            last_modified=modified,
        )


def _request(url: str, known: Download | None) -> HTTPResponse | None:
    """The answer, its body unread; None when what is known is unchanged."""
    from http.client import HTTPException
    from urllib.error import HTTPError, URLError

    try:
        answer: HTTPResponse = _opener().open(_asked(url, known), timeout=_SECONDS)
        return answer
    except HTTPError as error:
        error.close()
        if error.code == 304 and known:
            return None
        kind = NotFound if error.code in (404, 410) else FastboxError
        raise kind(f"invalid response status {error.code}", where=redacted(url)) from None
    except TimeoutError as error:
        raise _timeout(url) from error
    except URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _timeout(url) from error
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise FastboxError(
            f"cannot be reached: {str(reason).lower()}", where=redacted(url)
        ) from error
    except (HTTPException, OSError, ValueError) as error:
        text = str(error).lower() or type(error).__name__
        raise FastboxError(f"cannot be fetched: {text}", where=redacted(url)) from error


def _asked(url: str, known: Download | None) -> Request:
    from base64 import b64encode
    from urllib.parse import quote, unquote, urlsplit
    from urllib.request import Request

    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not is_url(url) or not host:
        raise InvalidArgument("not an http or https address", where=redacted(url[:200]))
    netloc = parts.netloc.rpartition("@")[2]
    plain = parts._replace(netloc=netloc, fragment="").geturl()
    request = Request(quote(plain, safe=_SAFE), headers={"User-Agent": "fastbox"})
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_unredirected_header("Authorization", "Basic " + b64encode(pair).decode())
    if known and known.etag:
        request.add_header("If-None-Match", known.etag)
    elif known and known.last_modified:
        request.add_header("If-Modified-Since", known.last_modified)
    return request


def _opener() -> OpenerDirector:
    """One that knows http and https only: what urllib makes by itself opens files, too."""
    from urllib import request

    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(),
        request.HTTPDefaultErrorHandler(),
        request.HTTPErrorProcessor(),
        request.HTTPRedirectHandler(),  # ten at most, none to a file
    ):
        opener.add_handler(handler)
    return opener


def _save(
    response: HTTPResponse,
    url: str,
    path: str,
    limit: int,
    tell: Callable[[int, int], None] | None,
) -> tuple[str, int]:
    from hashlib import sha256
    from http.client import HTTPException

    promised = response.length
    _check_size(promised or 0, limit, url)
    whole = sha256()
    size = 0
    try:
        with open(os.open(path, _NEW, 0o600), "wb", buffering=0) as file:
            while data := response.read(_CHUNK):
                size += len(data)
                _check_size(size, limit, url)
                whole.update(data)
                _write(file.fileno(), data)
                if tell:
                    tell(size, promised or 0)
    except TimeoutError as error:
        raise _timeout(url) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise os_error(error, "cannot keep the file", path) from error
        raise FastboxError(f"broken off: {str(error).lower()}", where=redacted(url)) from error
    except (HTTPException, ValueError) as error:  # a chunk cut short, or with a size that is none
        raise FastboxError("broken off: malformed answer", where=redacted(url)) from error
    if promised is not None and size != promised:
        raise SizeMismatch(f"{size} bytes where {promised} were promised", where=redacted(url))
    return "sha256:" + whole.hexdigest(), size


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _check_size(size: int, limit: int, url: str) -> None:
    if size > limit:
        raise ResourceExhausted(f"more than {limit} bytes", where=redacted(url))


def _timeout(url: str) -> Timeout:
    return Timeout(f"no answer within {_SECONDS:.0f} seconds", where=redacted(url))


def _seconds(modified: str) -> int:
    """The seconds of a date in a header; 0 when there is none."""
    from email.utils import parsedate_to_datetime

    try:
        return max(0, int(parsedate_to_datetime(modified).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return 0

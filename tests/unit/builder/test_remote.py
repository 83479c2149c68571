"""Downloads from a real server on loopback."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fastbox.builder import remote
from fastbox.builder.context import open_context
from fastbox.builder.remote import download, name_of
from fastbox.builds import BuildOptions
from fastbox.errors import (
    DigestMismatch,
    FastboxError,
    IntegrityError,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    SizeMismatch,
    Timeout,
)
from tests.unit.builder.conftest import fill
from tests.unit.builder.test_unpacking import tar

DATA = b"content " * 1000
DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
_USUAL = (
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nLast-Modified: %s\r\nETag: \"e\"\r\n\r\n"
    % (len(DATA), DATE.encode()) + DATA
)  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        self.close_connection = True
        answer = self.server.answers.get(self.path.partition("?")[0], _USUAL)
        if (
            self.headers.get("If-None-Match") == '"e"'
            or self.headers.get("If-Modified-Since") == DATE
        ):
            answer = b"HTTP/1.1 304 Not Modified\r\n\r\n"
        try:
            self.wfile.write(answer)
        except OSError:
            pass


class Server(ThreadingHTTPServer):
    answers: dict[str, bytes]
    seen: list[tuple[str, dict[str, str]]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server(("127.0.0.1", 0), Handler) as made:
        made.answers, made.seen = {}, []
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def test_a_file(server, work) -> None:
    got = download(server.url + "/dir/a%20b.txt?x=1#y", work)
    with open(got.path, "rb") as file:
        assert file.read() == DATA
    assert os.stat(got.path).st_mode & 0o777 == 0o600
    assert (got.name, got.digest, got.size) == ("a b.txt", DIGEST, len(DATA))
    assert (got.mtime, got.etag, got.last_modified) == (1445412480, '"e"', DATE)
    assert server.seen[0][0] == "/dir/a%20b.txt?x=1"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("", "__unnamed__"),
        ("/", "__unnamed__"),
        ("/a/b/", "b"),
        ("/a/..", "__unnamed__"),
        ("/..%2f..%2fetc", "etc"),
        ("/a%00b", "__unnamed__"),
        ("/%2e%2e", "__unnamed__"),
        ("/%ff", os.fsdecode(b"\xff")),
    ],
)
def test_names(path, name) -> None:
    assert name_of("https://host" + path) == name


def test_a_checksum(server, work) -> None:
    assert download(server.url + "/x", work, checksum=DIGEST).digest == DIGEST
    with pytest.raises(DigestMismatch, match=DIGEST):
        download(server.url + "/x", work, checksum="sha256:" + "0" * 64)
    with pytest.raises(InvalidArgument):
        download(server.url + "/x", work, checksum="md5:0")
    assert len(os.listdir(work.directory("downloads"))) == 1


def test_redirects_are_followed_within_bounds(server, work) -> None:
    server.answers = {
        "/a": redirect("/b"),
        "/b": redirect(server.url + "/c"),
        "/loop": redirect("/loop"),
    }
    got = download(server.url + "/a", work)
    assert (got.digest, got.name) == (DIGEST, "a")
    with pytest.raises(FastboxError, match="302"):
        download(server.url + "/loop", work)


@pytest.mark.parametrize(
    "to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x", "data:,x", "jar:x"]
)
def test_redirects_to_other_schemes_are_refused(server, work, to) -> None:
    server.answers = {"/a": redirect(to)}
    with pytest.raises(FastboxError, match="302"):
        download(server.url + "/a", work)


def test_a_password_goes_to_its_host_only(server, work) -> None:
    other = server.url.replace("127.0.0.1", "localhost")
    server.answers = {"/a": redirect(other + "/b")}
    download(server.url.replace("//", "//user:p%40ss@") + "/a", work)
    (_, first), (_, second) = server.seen
    assert first["Authorization"] == "Basic " + b64encode(b"user:p@ss").decode()
    assert "Authorization" not in second


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 500, 503])
def test_refusals(server, work, code) -> None:
    server.answers = {"/a": b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % code}
    with pytest.raises(FastboxError, match=f"invalid response status {code}") as caught:
        download(server.url.replace("//", "//u:secret@") + "/a", work)
    assert isinstance(caught.value, NotFound) == (code in (404, 410))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (_USUAL[:-1], SizeMismatch),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\nx", ResourceExhausted),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 9000, ResourceExhausted),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", FastboxError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc", FastboxError),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000, FastboxError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, FastboxError),
        (b"nonsense", FastboxError),
        (b"", FastboxError),
    ],
)
def test_bad_answers(server, work, answer, kind) -> None:
    server.answers = {"/a": answer}
    with pytest.raises(kind):
        download(server.url + "/a", work, limit=8500)


def test_chunks(server, work) -> None:
    server.answers = {
        "/a": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    }
    got = download(server.url + "/a", work)
    assert (got.size, got.mtime) == (3, 0)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Wed, 99 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 1915 07:28:00 GMT"]
)
def test_dates_that_are_none(server, work, date) -> None:
    server.answers = {"/a": _USUAL.replace(DATE.encode(), date.encode())}
    assert download(server.url + "/a", work).mtime == 0


@pytest.mark.parametrize("without", [b"", b'ETag: "e"\r\n'])
def test_what_is_known_is_not_fetched_again(server, work, without) -> None:
    server.answers = {"/a": _USUAL.replace(without, b"")}
    known = download(server.url + "/a", work)
    again = download(server.url + "/a", work, known=known)
    assert (again.path, again.digest, again.mtime) == ("", DIGEST, known.mtime)
    with pytest.raises(DigestMismatch):
        download(server.url + "/a", work, known=known, checksum="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://host/x", "http://", "http:///x", "/etc/passwd", "http://[::1", "https:x",
     "http://h:port/", "http://a\nb/"],
)  # fmt: skip
def test_what_is_no_address(work, url) -> None:
    with pytest.raises(FastboxError):
        download(url, work)


def test_line_breaks_do_not_get_into_the_request(server, work) -> None:
    download(server.url + "/a b\r\nX-Evil: 1", work)
    assert "X-Evil" not in server.seen[0][1]


def test_a_server_that_is_not_there(work) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(FastboxError, match="cannot be reached: connection refused"):
        download(f"http://127.0.0.1:{port}/", work)


def test_a_server_that_says_nothing(server, work, monkeypatch) -> None:
    monkeypatch.setattr(remote, "_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(Timeout):
        download(f"http://127.0.0.1:{silent.getsockname()[1]}/", work)


def test_it_can_be_stopped(server, work) -> None:
    def tell(done: int, total: int) -> None:
        assert (done, total) == (len(DATA), len(DATA))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url + "/a", work, tell=tell)


def test_contexts(server, work, tmp_path) -> None:
    def answer(data: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data

    place = fill(tmp_path / "place", {"Dockerfile": "FROM a", "x": ""})
    server.answers = {
        "/tar": answer(tar(place, "xz")),
        "/file": answer(b"FROM b"),
        "/cut": answer(tar(place, "gzip")[:-20]),
    }
    for path, names, wanted in (("/tar", ["Dockerfile", "x"], b"FROM a"), ("/file", [], b"FROM b")):
        context, data, _ = open_context(BuildOptions(context=server.url + path), work)
        with context:
            assert ([found.path for found in context.tree.below("")], data) == (names, wanted)
    with pytest.raises(IntegrityError):
        open_context(BuildOptions(context=server.url + "/cut"), work)
    with pytest.raises(FastboxError, match="canceled"):
        open_context(BuildOptions(context=server.url + "/tar"), work, lambda: True)

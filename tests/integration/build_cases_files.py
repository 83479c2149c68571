"""Dockerfiles about the files that COPY and ADD bring."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile

from .build_parties import OLD, File, case


def archive() -> bytes:
    """A tar of every kind of entry."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, data: bytes = b"", **fields: object) -> None:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), OLD + 7, 0o640
            for key, value in fields.items():
                setattr(entry, key, value)
            tar.addfile(entry, io.BytesIO(data))

        add("dir", type=tarfile.DIRTYPE, mode=0o750, uid=7, gid=8)
        add("dir/file", b"in the tar", uid=1000, gid=29)
        add("dir/hard", type=tarfile.LNKTYPE, linkname="dir/file", uid=1000, gid=29)
        add("dir/sym", type=tarfile.SYMTYPE, linkname="../none", uid=3)
        add("suid", b"s", mode=0o4755)
        add("fifo", type=tarfile.FIFOTYPE)
        add("no/parents/here", b"x")
        add("ü and space", b"x")
    return out.getvalue()


TAR = archive()
TREE = {
    "d/a": "a", "d/b.txt": "b", "d/sub/c.txt": "c", "d/sub/deep/e": "e", "d/empty/": "",
    "f": "file", "g": "other", "x.go": "1", "y.go": "2",
}  # fmt: skip
IGNORED = {
    "a.md": "1", "b.md": "2", "README.md": "r", "d/a.md": "3", "d/e/b.md": "4", "d/e/keep.md": "5",
    "node_modules/x": "6", "d/node_modules/y": "7", "temp1/x": "8", "tempo": "9", "xtemp": "10",
    "d/temp2": "11", "keep/in/a": "12", "keep/b": "13", "#hash": "14", "c.txt": "15", "d/c.txt": "16",
}  # fmt: skip


def ignoring(*lines: str) -> dict[str, str]:
    return {**IGNORED, ".dockerignore": "".join(line + "\n" for line in lines)}


ALL = "FROM scratch\nCOPY . /all/\n"
LINKS = r"""
FROM @
RUN mkdir -p /run /real/dir; ln -s /run /var/run; ln -s ../real /home/rel; ln -s /made/later /dangling; touch /file; ln -s /file /to-file
"""

CASES = [
    case("copy-targets", r"""
FROM @
COPY f /1
COPY f /2/
COPY f /3/x/y
COPY d /4
COPY d /5/
COPY d/ /6
COPY f g /7/
COPY f d /8/
COPY . /9
WORKDIR /10
COPY f .
COPY f ./
COPY g sub/
COPY g up/../h
COPY d rel
COPY ./f /11/./x/
COPY d/. /12
COPY d/sub/.. /13/
COPY /f /14
""", TREE),
    case("copy-several-needs-slash", "FROM @\nCOPY f g /x\n", TREE, fails=True),
    case("copy-wildcards", r"""
FROM @
COPY *.go /1/
COPY d/* /2/
COPY ?  /3/
COPY [fg] /4/
COPY d/sub/*.txt /5
COPY d/*/c.txt /6/
COPY x.g[^a] /7/
COPY [a-g] /8/
COPY *.go f* /9/
""", TREE),
    case("copy-wildcard-of-nothing", "FROM @\nCOPY *.none /1/\n", TREE),
    case("copy-missing", "FROM @\nCOPY none /1/\n", TREE, fails=True),
    case("copy-outside", "FROM @\nCOPY ../../f /1\n", TREE),
    case("copy-onto-links", LINKS + r"""
COPY f /var/run/x
COPY d /var/run/d
COPY f /home/rel/dir/
COPY f /home/rel/dir/deeper/x
COPY f /var/run/new/
""", TREE),
    case("copy-file-onto-link-to-directory", LINKS + "COPY f /var/run\nCOPY g /var/run/\n", TREE),
    case("copy-file-onto-link-to-file", LINKS + "COPY f /to-file\n", TREE),
    case("copy-file-onto-dangling", LINKS + "COPY f /dangling\n", TREE),
    case("copy-directory-onto-dangling", LINKS + "COPY d /dangling\n", TREE),
    case("copy-directory-onto-link", LINKS + "COPY d /home/rel\n", TREE),
    case("copy-directory-over-inner-link", LINKS + "RUN ln -s /real/dir /home/sub\nCOPY d /home\n", TREE, fails=True),
    case("copy-file-over-inner-link", LINKS + "RUN ln -s /file /home/a\nCOPY d /home\n", TREE),
    case("copy-overwrites", r"""
FROM @
RUN echo before > /f; chown app:app /f; chmod 600 /f; mkdir -m 700 /d; chown app /d; echo kept > /d/kept; echo old > /d/a; chmod 777 /d/a
COPY f /f
COPY d /d
COPY g /etc/passwd
""", TREE),
    case("copy-directory-onto-file", "FROM @\nCOPY d /etc/passwd\n", TREE, fails=True),
    case("copy-file-onto-directory", "FROM @\nRUN mkdir -p /x/a\nCOPY d /x\n", TREE, fails=True),
    case("copy-directory-onto-inner-file", "FROM @\nRUN mkdir /x; touch /x/sub\nCOPY d /x\n", TREE, fails=True),
    case("copy-below-a-file", "FROM @\nCOPY f /etc/passwd/x\n", TREE, fails=True),
    case("copy-root", "FROM @\nCOPY d /\nCOPY f /\n", TREE),
    case("copy-whole-context", "FROM @\nCOPY . /\nCOPY . .\nWORKDIR /w\nCOPY . .\n", {"etc/new": "n", "tmp/x": "x", "q": "q"}),
    case("copy-context-links", "FROM @\nCOPY . /all/\nCOPY rel abs-file /files/\nCOPY to-dir /dir\nCOPY to-dir/a /a\n", {
        "f": "f", "d/a": "a", "d/up": File(link="../f"), "rel": File(link="f"), "to-dir": File(link="d"),
        "abs-file": File(link="/f"), "d/dangling": File(link="none"), "d/out": File(link="../../../etc/passwd"),
    }),
    case("copy-dangling-source", "FROM @\nCOPY l /x\n", {"l": File(link="none")}, fails=True),
    case("copy-link-out-of-context", "FROM @\nCOPY l /x\n", {"l": File(link="../../../../etc/hostname")}, fails=True),
    case("copy-link-in-directory", "FROM @\nCOPY d /x/\n", {"d/l": File(link="a"), "d/a": "a", "d/abs": File(link="/etc/passwd")}),
    case("copy-modes", "FROM @\nCOPY . /all/\nCOPY x s /some/\n", {
        "x": File(content=b"x", mode=0o755), "s": File(content=b"s", mode=0o6711), "r": File(mode=0o400),
        "none": File(mode=0), "d/": File(directory=True, mode=0o700), "d/t/": File(directory=True, mode=0o1777),
        "g/": File(directory=True, mode=0o2775), "g/f": "f", "e/": File(directory=True), "owned": File(uid=1000),
    }),
    case("copy-special-names", 'FROM @\nCOPY . /all/\nCOPY ["a b", "ü", "/x y/"]\nCOPY -dash /dash\nCOPY ["[1]", "/one"]\n', {
        "a b": "1", "ü": "2", "-dash": "3", "[1]": "4", "1": "5", "c\\d": "6", "new\nline": "7", "'q'": "8",
        "$x": "9", "#c": "10", ".hidden": "11", "..two": "12", "d d/ e /f": "13",
    }),
    case("copy-brackets-escaped", 'FROM @\nCOPY ["[[]1]", "/one"]\nCOPY [[]1] /two\nCOPY \\$x /three\n', {"[1]": "4", "1": "5", "$x": "d"}),
    case("copy-hard-links", "FROM @\nCOPY . /all/\n", {"a": "a", "b": File(hard="a"), "d/c": File(hard="a")}),
    case("copy-chown", r"""
FROM @
COPY --chown=app f /1
COPY --chown=app:audio f /2
COPY --chown=1234 f /3
COPY --chown=12:34 d /4
COPY --chown=app:34 d /5/new/
COPY --chown=0:10 f /6/
COPY --chown=app f /home/app/
COPY --chown=root:wheel f /home/x/y/
ARG who=app
COPY --chown=$who:${who} f /8
USER app
COPY f /9
COPY d /made/10
""", TREE),
    case("copy-chown-group-only", "FROM @\nCOPY --chown=:audio f /7\n", TREE),
    case("copy-chown-unknown", "FROM @\nCOPY --chown=nobody f /1\n", TREE, fails=True),
    case("copy-chown-unknown-group", "FROM @\nCOPY --chown=app:none f /1\n", TREE, fails=True),
    case("copy-chown-scratch", "FROM scratch\nCOPY --chown=1:2 f /1\n", TREE),
    case("copy-chown-scratch-name", "FROM scratch\nCOPY --chown=app f /1\n", TREE, fails=True),
    case("copy-chown-setuid", "FROM @\nCOPY --chown=app s /1\n", {"s": File(content=b"s", mode=0o6755)}),
    case("copy-chmod", r"""
FROM @
COPY --chmod=600 f /1
COPY --chmod=0755 d /2
COPY --chmod=4711 --chown=app f /3/new/
COPY --chmod=777 l /4
ADD --chmod=640 f d /5/
""", {**TREE, "l": File(link="f"), "d/ln": File(link="a")}, parties=("buildkit",)),
    case("copy-capabilities", "FROM @\nCOPY p /p\nCOPY . /all/\n", {"p": File(content=b"p", mode=0o755, capabilities="cap_net_bind_service+ep")}),
    case("copy-json", 'FROM @\nCOPY ["f", "g", "/1/"]\nADD [ "d" , "/2" ]\n', TREE),
    case("copy-from-nothing", "FROM @\nCOPY f\n", TREE, fails=True),
    case("copy-unknown-flag", "FROM @\nCOPY --none=1 f /\n", TREE, fails=True),
    case("copy-times", "FROM @\nCOPY . /all/\nCOPY f /f\nADD d /d\n", {"f": File(mtime=OLD + 5), "d/g": File(mtime=1), "d/h/": File(directory=True, mtime=OLD + 9), "l": File(link="f", mtime=77)}),
    case("add-plain", "FROM @\nADD f /1\nADD d /2/\nADD *.go /3/\nADD f g /4/\n", TREE),
    case("add-archives", r"""
FROM @
ADD a.tar /tar
ADD a.tar.gz /gz/
ADD a.tar.bz2 /bz2
ADD a.tar.xz /xz/deep/er
ADD named.txt /by-content
ADD not.tar /not/
ADD text.tar.gz /text/
COPY a.tar /copied/
""", {
        "a.tar": TAR, "a.tar.gz": gzip.compress(TAR), "a.tar.bz2": bz2.compress(TAR), "a.tar.xz": lzma.compress(TAR),
        "named.txt": gzip.compress(TAR), "not.tar": "no archive", "text.tar.gz": gzip.compress(b"text"),
    }),
    case("add-archive-over-files", r"""
FROM @
RUN mkdir -m 700 -p /x/dir; echo old > /x/dir/file; echo kept > /x/dir/kept; ln -s /x /link
ADD a.tar /x
ADD a.tar /link
WORKDIR /w
ADD a.tar .
""", {"a.tar": TAR}),
    case("add-archives-and-files", "FROM @\nADD a.tar f b.tar /x/\nADD *.tar /y/\n", {"a.tar": TAR, "b.tar": TAR, "f": "f"}),
    case("add-archive-in-directory", "FROM @\nADD d /x/\n", {"d/a.tar": TAR}),
    case("add-archive-by-link", "FROM @\nADD l /x/\n", {"a.tar": TAR, "l": File(link="a.tar")}),
    case("add-archive-chown", "FROM @\nADD --chown=app:app a.tar /x/new\n", {"a.tar": TAR}),
    case("add-archive-replaces-link", "FROM @\nRUN mkdir /x /y; ln -s /y /x/dir; ln -s /y/f /x/suid\nADD a.tar /x\n", {"a.tar": TAR}),
    case("add-archive-damaged", "FROM @\nADD a.tar.gz /x\n", {"a.tar.gz": gzip.compress(TAR)[:-200]}, fails=True),
    case("add-empty-file", "FROM @\nADD e /x/\nADD e.tar /y/\n", {"e": "", "e.tar": ""}),
    case("ignore-simple", ALL, ignoring("# comment", "", "*.md", "temp*", "/c.txt", "  node_modules  ")),
    case("ignore-deep", ALL, ignoring("**/*.md", "**/node_modules", "*/temp*")),
    case("ignore-question", ALL, ignoring("temp?", "*/temp?", "?temp")),
    case("ignore-exceptions", ALL, ignoring("*.md", "**/*.md", "!README.md", "!d/e/keep.md")),
    case("ignore-order", ALL, ignoring("*.md", "!README*.md", "README.md")),
    case("ignore-all-but", ALL, ignoring("*", "!keep", "!d/e")),
    case("ignore-all-but-below", ALL, ignoring("**", "!d/**/keep.md", "!keep/b")),
    case("ignore-directory-and-back", ALL, ignoring("d", "!d/c.txt")),
    case("ignore-slashes", ALL, ignoring("./d/", "/keep/in/", "temp1/../c.txt", "d//e")),
    case("ignore-hash", ALL, ignoring("\\#hash", "[ab].md")),
    case("ignore-then-copied", "FROM scratch\nCOPY c.txt /\n", ignoring("c.txt"), fails=True),
    case("ignore-wildcards-skip", "FROM scratch\nCOPY *.md /x/\n", ignoring("a.md")),
    case("ignore-add", "FROM scratch\nADD d /x/\nADD keep /y\n", ignoring("**/*.md", "keep/in")),
]  # fmt: skip

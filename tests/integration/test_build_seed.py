"""The seed's Dockerfiles, step by step, with a stand-in for golang: what ran, and what was cached."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator

import pytest

import fastbox
from fastbox.errors import ImageNotFound

from . import buildtool
from .buildtool import build, context
from .conftest import Box, busybox_tar

pytestmark = pytest.mark.integration

# `go` of a shell: it "downloads" modules, and "compiles" a directory of main.go files to a script.
GO = """#!/bin/sh
set -e
case "$1 $2" in
"mod download") mkdir -p /go/pkg/mod; cp go.mod /go/pkg/mod/ ;;
"version ") echo "go version go$GOLANG_VERSION linux/amd64" ;;
"build "*)
  shift; out=""; src=""
  while [ $# -gt 0 ]; do case "$1" in -o) out="$2"; shift ;; -*) ;; *) src="$1" ;; esac; shift; done
  [ -d /go/pkg/mod ] || { echo "no modules" >&2; exit 1; }
  { echo '#!/bin/sh'; echo "# go$GOLANG_VERSION"; sed 's#^#echo #' "$src"/main.go; } > "$out"
  chmod 755 "$out" ;;
*) echo "go: $*" >&2; exit 2 ;;
esac
"""
FIRST = """# syntax=docker/dockerfile:1
FROM golang:1.21-alpine
WORKDIR /src
COPY . .
RUN go mod download
RUN go build -o /bin/client ./cmd/client
RUN go build -o /bin/server ./cmd/server
ENTRYPOINT [ "/bin/server" ]
"""
ORDERED = """# syntax=docker/dockerfile:1
FROM golang:1.21-alpine
WORKDIR /src
COPY go.mod go.sum .
RUN go mod download
COPY . .
RUN go build -o /bin/client ./cmd/client
RUN go build -o /bin/server ./cmd/server
ENTRYPOINT [ "/bin/server" ]
"""
MULTI = """# syntax=docker/dockerfile:1
FROM golang:1.21-alpine
WORKDIR /src
COPY go.mod go.sum .
RUN go mod download
COPY . .
RUN go build -o /bin/client ./cmd/client
RUN go build -o /bin/server ./cmd/server

FROM scratch
COPY --from=0 /bin/client /bin/server /bin/
ENTRYPOINT [ "/bin/server" ]
"""
PARALLEL = """# syntax=docker/dockerfile:1
FROM golang:1.21-alpine AS base
WORKDIR /src
COPY go.mod go.sum .
RUN go mod download
COPY . .

FROM base AS build-client
RUN go build -o /bin/client ./cmd/client

FROM base AS build-server
RUN go build -o /bin/server ./cmd/server

FROM scratch AS client
COPY --from=build-client /bin/client /bin/
ENTRYPOINT [ "/bin/client" ]

FROM scratch AS server
COPY --from=build-server /bin/server /bin/
ENTRYPOINT [ "/bin/server" ]
"""
ARGS = """# syntax=docker/dockerfile:1
ARG GO_VERSION=1.21
FROM golang:${GO_VERSION}-alpine AS base
WORKDIR /src
COPY go.mod go.sum .
RUN go mod download
COPY . .
RUN go version
RUN go build -o /bin/server ./cmd/server
"""
SOURCE = {
    "go.mod": "module example.org/buildme\n",
    "go.sum": "none\n",
    "cmd/client/main.go": "client\n",
    "cmd/server/main.go": "server\n",
    "README.md": "buildme\n",
    ".dockerignore": "Dockerfile\n",
}


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine


@pytest.fixture
def golang(box: Box) -> Iterator[None]:
    """golang:1.21-alpine and golang:1.19-alpine; what a test built goes with them."""
    for version in ("1.21", "1.19"):
        out = io.BytesIO(busybox_tar())
        with tarfile.open(fileobj=out, mode="a") as tar:
            data = GO.encode()
            entry = tarfile.TarInfo("usr/bin/go")
            entry.mode, entry.size = 0o755, len(data)
            tar.addfile(entry, io.BytesIO(data))
        change = f"ENV GOLANG_VERSION={version}"
        box("import", "-c", change, "-", f"golang:{version}-alpine", stdin=out.getvalue())
    yield
    names = box("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    for name in [name for name in names if name.startswith(("golang:", "buildme"))]:
        box("rmi", "-f", name)
    box("image", "prune", "-f")
    box("builder", "prune", "-af")


def test_a_change_of_the_source_spares_no_step_after_copy(
    engine: fastbox.Engine, golang: None
) -> None:
    with context({**SOURCE, "Dockerfile": FIRST}) as where:
        first = build(engine, where, tags=("buildme",))
        assert len(first.ran) == 5
        again = build(engine, where, tags=("buildme",))
        assert not again.ran
        assert len(again.cached) == 6
        assert again.result.image_id == first.result.image_id
        for path in where.rglob("*"):  # times don't count
            buildtool.touch(path, 1_000_000_000)
        assert not build(engine, where).ran
        (where / "cmd/server/main.go").write_text("server 2\n")
        third = build(engine, where)
        assert [name.split()[0] for name in third.ran] == ["COPY", "RUN", "RUN", "RUN"]
        assert third.cached == ["FROM golang:1.21-alpine", "WORKDIR /src"]


def test_dependencies_first_keeps_their_step(engine: fastbox.Engine, golang: None) -> None:
    with context({**SOURCE, "Dockerfile": ORDERED}) as where:
        build(engine, where, tags=("buildme",))
        (where / "cmd/server/main.go").write_text("server 2\n")
        after = build(engine, where, tags=("buildme",))
        assert after.cached[-1] == "RUN go mod download"
        assert [name.split()[0] for name in after.ran] == ["COPY", "RUN", "RUN"]
        (where / "go.mod").write_text("module example.org/other\n")
        assert build(engine, where).ran[0] == "COPY go.mod go.sum ."


def test_several_stages_make_a_small_image(engine: fastbox.Engine, golang: None) -> None:
    with context({**SOURCE, "Dockerfile": ORDERED}) as where:
        big = build(engine, where, tags=("buildme:big",))
        (where / "Dockerfile").write_text(MULTI)
        small = build(engine, where, tags=("buildme:small",))
    # The stage that both have is not built again.
    assert small.ran == ["COPY --from=0 /bin/client /bin/server /bin/"]
    sizes = {info.tag: info.size for info in engine.images.list("buildme")}
    assert sizes["small"] < 1000 < sizes["big"]
    assert big.result.image_id != small.result.image_id
    assert buildtool.cat(engine, "buildme:small", "/bin/server") == [
        "#!/bin/sh\n# go1.21\necho server\n"
    ]


def test_targets_of_one_file(engine: fastbox.Engine, golang: None) -> None:
    with context({**SOURCE, "Dockerfile": PARALLEL}) as where:
        client = build(engine, where, tags=("buildme-client",), target="client")
        ran = client.ran
        assert "RUN go build -o /bin/client ./cmd/client" in ran
        assert "RUN go build -o /bin/server ./cmd/server" not in ran
        server = build(engine, where, tags=("buildme-server",), target="server")
        assert server.ran == [
            "RUN go build -o /bin/server ./cmd/server",
            "COPY --from=build-server /bin/server /bin/",
        ]
        assert not build(engine, where, target="client").ran
    assert buildtool.config(engine, "buildme-client")["Entrypoint"] == ["/bin/client"]
    assert buildtool.config(engine, "buildme-server")["Entrypoint"] == ["/bin/server"]


def test_stages_side_by_side(engine: fastbox.Engine, golang: None) -> None:
    """Each of two stages waits for the other's file on a cache mount: one by one they never end."""
    meet = (
        "RUN --mount=type=cache,target=/meet touch /meet/{0}; "
        "i=0; while [ ! -e /meet/{1} ]; do i=$((i+1)); [ $i -lt 600 ] || exit 1; sleep 0.1; done; "
        "echo {0} > /done\n"
    )
    text = (
        "FROM golang:1.21-alpine AS a\n" + meet.format("a", "b")
        + "FROM golang:1.21-alpine AS b\n" + meet.format("b", "a")
        + "FROM scratch\nCOPY --from=a /done /a\nCOPY --from=b /done /b\n"
    )  # fmt: skip
    with context({"Dockerfile": text}) as where:
        build(engine, where, tags=("buildme",))
    assert buildtool.cat(engine, "buildme", "/a", "/b") == ["a\n", "b\n"]


def test_arguments_choose_the_base(engine: fastbox.Engine, golang: None) -> None:
    with context({**SOURCE, "Dockerfile": ARGS}) as where:
        assert "go1.21" in build(engine, where, tags=("buildme",)).output
        other = build(engine, where, tags=("buildme:19",), args={"GO_VERSION": "1.19"})
        assert "go1.19" in other.output
        # Both stand-ins have the same files, so what comes before the first RUN is the same.
        assert [name.split()[0] for name in other.ran] == ["RUN", "COPY", "RUN", "RUN"]
        with pytest.raises(ImageNotFound, match=r"golang:1\.18-alpine"):
            build(engine, where, args={"GO_VERSION": "1.18"})


def test_the_command_line(box: Box, golang: None) -> None:
    with context({**SOURCE, "Dockerfile": FIRST}) as where:
        first = box("build", "--tag=buildme", str(where))
        assert first.stderr.count("CACHED") == 1  # FROM
        again = box("build", "--tag=buildme", str(where), "--progress=plain")
        assert again.stderr.count("CACHED") == 6
        lines = box("images", "buildme").stdout.splitlines()
        assert lines[0].split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
        assert lines[1].split()[:2] == ["buildme", "latest"]
        assert box("run", "--rm", "buildme").stdout == "server\n"
        quiet = box("build", "-q", str(where)).stdout.strip()
        assert quiet == box("images", "-q", "--no-trunc", "buildme").stdout.strip()

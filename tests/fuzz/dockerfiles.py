"""Dockerfiles and .dockerignore files under changes: `python -m tests.fuzz.dockerfiles SECONDS [CRASH-FILE...]`.

Each input is a Dockerfile made of what instructions are made of, with changes of bytes, and with pieces that are repeated many
times. It is read, expanded, applied to a configuration and checked; the same bytes are an ignore file that paths are asked of. All
of it ends with a result that JSON can hold, or with the one error that is documented, within a second of work and a gigabyte
of address space. Anything else stops the run, with the input in crash-dockerfile of the current directory.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastbox.dockerfile import checks, config, ignore
from fastbox.dockerfile.expand import expanded
from fastbox.dockerfile.instructions import Copy, Expose, Onbuild, Run
from fastbox.dockerfile.parse import parse_line, understood
from fastbox.dockerfile.source import parse
from fastbox.errors import DockerfileError, InvalidArgument

SECONDS, MEMORY, HANGS = 1.0, 1 << 30, 60
LONGEST = 100_000  # bytes of an input: a second of work is much for so many
FIXED = 200  # seeds that every run begins with
CRASH = "crash-dockerfile"
ENV = {"A": "1", "B": "x  y", "E": "", "PATH": "/bin", "P": "80 81/udp", "T": "cache"}
PATHS = ["a", "a/b", "a/b/c.go", "node_modules/x", "x y", "\udcff", "a" * 200, "a/" * 100 + "b"]
KEYWORDS = (
    "FROM RUN COPY ADD ARG ENV LABEL EXPOSE VOLUME USER WORKDIR CMD ENTRYPOINT SHELL HEALTHCHECK ONBUILD STOPSIGNAL MAINTAINER from Run x"
).split()
WORDS = [
    *'a b/c . / * ** *.go !a a=b A=$A B=\'x y\' C="$B" D=\\ d = AS as 80 80/udp 1-9 0 -1 99999 [ ] ["a"] ["a", ["'.split(),
    *"CMD NONE --from=a --chown=1:2 --mount=type=cache,target=/x --mount=type=$T --network=none --link --x --interval=1s --".split(),
    *"<<EOF <<-EOF <<'EOF' <<\"E F\" 3<<EOF <<<x << EOF $ $A ${A} ${A:-b} ${X:?no} ${A#*1} ${A%%?} ${A/1/2} ${A//1/2} ${ ${A:-${B".split(),
    *'\' " \\ ` # \\\\ \\" é \x85 \u2028 sha256:x https://x/y scratch SIGTERM /bin/sh -c [[ ]] [a-z] [^x] ? a?b'.split(),
]
VALID = [
    *(
        "FROM a AS b",
        "FROM b",
        "FROM --platform=$TARGETPLATFORM x:${V:-1}",
        "RUN x $A \\\n  # c\n  && y",
        "RUN <<EOF\nx $A\nEOF",
    ),
    *(
        "RUN --mount=type=cache,target=/x,uid=$A cat <<A <<-'B'\nx\nA\n\ty\n\tB",
        'RUN ["a", "b"]',
        "COPY a b/ /c",
        "COPY <<a <<'b' /x\n$A\na\n$B\nb",
    ),
    *(
        "ADD --checksum=sha256:$A https://x/y /",
        "COPY --from=b --link --exclude=*.x a /",
        "ARG A=$B C D='x y'",
        'ENV A=$A B="$B c" C=d\\ e',
        "ENV A the $B",
    ),
    *(
        "LABEL a=b 'c d'=e",
        "EXPOSE $P 1-9/udp 1:2",
        'VOLUME ["/a b"]',
        "VOLUME /a $A",
        "USER $A:1",
        "WORKDIR x/$A",
        'CMD ["x"]',
        "CMD x $A",
        "ENTRYPOINT []",
    ),
    *(
        'SHELL ["/s", "-c"]',
        "HEALTHCHECK --interval=1m --retries=3 CMD x",
        "HEALTHCHECK NONE",
        "ONBUILD RUN <<E\nx\nE",
        "ONBUILD COPY a b",
        "STOPSIGNAL 9",
    ),
]
LINES = [
    "# escape=`",
    "# syntax=x",
    "# check=skip=all",
    "# check=experimental=all",
    "# a",
    "#",
    "",
    "EOF",
    "\tEOF",
    "E F",
    "\\",
    "  # c",
]
ENDS = ["\n"] * 12 + [" \\\n"] * 3 + ["\r\n", " `\n", "", "\\\\\n", "\n\n", " \\ \n\n"]


def line(source: random.Random) -> str:
    if source.random() < 0.2:
        return source.choice(LINES) + source.choice(ENDS)
    if source.random() < 0.9:
        return source.choice(VALID) + "\n"
    words = [source.choice(KEYWORDS)] + [
        source.choice(WORDS) for _ in range(source.choice([0, 1, 2, 3, 6]))
    ]
    if source.random() < 0.03:
        at = source.randrange(len(words))
        words[at] *= source.choice([10, 100, 3000])
    return source.choice([" "] * 9 + ["\t", "  "]).join(words) + source.choice(ENDS)


def make(source: random.Random) -> bytes:
    lines = [source.choice(["", "# escape=`\n", "ARG A=1\n"]), "FROM scratch AS a\n"]
    lines += [line(source) for _ in range(source.choice([1, 3, 10, 40]))]
    if source.random() < 0.05:
        at = source.randrange(len(lines))
        lines[at] *= source.choice([50, 2000])
    data = "".join(lines).encode()
    for _ in range(source.choice([0, 0, 1, 1, 4])):
        at = source.randrange(len(data) + 1)
        until = min(len(data), at + source.choice([0, 1, 2, 20]))
        piece = source.choice(
            [
                b"",
                b"\0",
                b"\xff",
                b"$",
                b"{",
                b"}",
                b"'",
                b'"',
                b"\\",
                b"\n",
                b"<<",
                data[at:until] * 3,
            ]
        )
        data = data[:at] + piece + data[until:]
    return data[:LONGEST]


class Failed(Exception):
    """What must not be."""


def check_error(error: InvalidArgument) -> None:
    if not str(error).isprintable() or not error.what or len(str(error)) > 1 << 20:
        raise Failed(f"a line for nobody: {str(error)[:300]!r}")
    if isinstance(error, DockerfileError) and len(error.detail.splitlines()) > 2:
        raise Failed(f"an excerpt of several lines: {error.detail!r}")


def build(data: bytes) -> None:
    document = parse(data)
    dockerfile = understood(document)
    for stage in dockerfile.stages:
        run: dict[str, Any] = {}
        for instruction in stage.instructions:
            if not 1 <= instruction.where.line <= instruction.where.end <= len(dockerfile.lines):
                raise Failed(f"a place that is not in the file: {instruction.where}")
            try:
                config.apply(run, expanded(instruction, ENV, dockerfile.escape))
            except InvalidArgument as error:
                check_error(error)
            look(instruction)
        json.dumps(run).encode()
        json.dumps(run, ensure_ascii=False).encode()
    for warned in checks.check(
        dockerfile, document, override="experimental=all", ignored=lambda path: path == "a"
    ):
        if not 1 <= warned.line <= len(dockerfile.lines):
            raise Failed(f"a place that is not in the file: {warned}")


def look(instruction: object) -> None:
    """What holds of an instruction by itself."""
    if isinstance(instruction, Onbuild):
        parse_line(instruction.text) if "`" not in instruction.text else None
    elif isinstance(instruction, Run) and instruction.command.shell == bool(
        instruction.command.argv
    ):
        raise Failed(f"no command: {instruction}")
    elif isinstance(instruction, Copy) and not (instruction.target or instruction.sources):
        raise Failed(f"nothing to copy: {instruction}")
    elif isinstance(instruction, Expose) and not instruction.ports:
        raise Failed(f"no port: {instruction}")


def one(data: bytes) -> bool:
    """Whether the Dockerfile was accepted."""
    begin, accepted = time.process_time(), True
    try:
        build(data)
    except InvalidArgument as error:
        accepted = False
        check_error(error)
    try:
        patterns = ignore.Ignore.parse(data)
        for path in PATHS:
            if patterns.matches(path):
                patterns.may_hold(path)
            patterns.hides(path)
    except DockerfileError as error:
        check_error(error)
    if time.process_time() - begin > SECONDS:
        raise Failed(f"{time.process_time() - begin:.1f} s of work for {len(data)} bytes")
    return accepted


def inputs(seconds: float, seed: int, crashes: list[str]) -> Iterator[bytes]:
    for path in crashes:
        yield Path(path).read_bytes()
    for number in range(FIXED):
        yield make(random.Random(number))
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        yield make(random.Random(f"{seed}/{number}"))
        number += 1


def main(words: list[str]) -> int:
    seed = int(os.environ.get("FUZZ_SEED", 0)) or time.time_ns()
    print(f"FUZZ_SEED={seed}", file=sys.stderr)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))
    count = accepted = 0
    for data in inputs(float(words[0]), seed, words[1:]):
        signal.alarm(HANGS)
        Path(CRASH).write_bytes(data)  # an alarm leaves no time for it
        try:
            accepted += one(data)
        except BaseException:  # whatever comes out is the finding
            traceback.print_exc()
            return 1
        count += 1
    Path(CRASH).unlink(missing_ok=True)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{accepted} accepted\n{count} inputs, {most} MiB at most", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""One Dockerfile, several builders: what each makes of it, in a form that can be compared."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import socket
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fastbox
from fastbox.errors import FastboxError
from fastbox.support.record import Record

from . import buildtool
from .conftest import Docker

# Of Debian's docker.io: a newer client needs a plug-in for BuildKit, which the daemon has built in.
CLIENT = "/usr/bin/docker"
OLD = 1_500_000_000  # the time of a context's files; what is later was made by the build
NOW = 1_600_000_000

# What can't be equal, and is left out of both sides.
ENGINES_OWN = {
    "dev": "every engine has its own",
    "proc": "mounted",
    "sbin": "fastbox makes it for --init; no case has files there",
    "sys": "mounted",
    ".dockerenv": "docker's mark",
    "etc/hosts": "mounted; docker leaves a file where there was none",
    "etc/hostname": "the same",
    "etc/resolv.conf": "the same",
    "etc/mtab": "docker makes a link to /proc/mounts",
}
TIMES_OF_STUBS = ("etc", "")  # the directories that get those files
CONTAINERS_OWN = {
    "Hostname": "of the container that classic took the image from",
    "Domainname": "the same",
    "Image": "classic: the image before the last step",
    "AttachStdin": "an option of containers, as those below",
    "AttachStdout": "",
    "AttachStderr": "",
    "Tty": "",
    "OpenStdin": "",
    "StdinOnce": "",
    "ArgsEscaped": "Windows",
}


class File(Record):
    """A file, a directory or a link of a context, where content and 0644 don't say all."""

    content: bytes = b""
    mode: int = 0o644
    link: str = ""
    hard: str = ""  # another name of the context's, made before
    uid: int = 0
    directory: bool = False
    capabilities: str = ""  # what setcap takes
    mtime: int = OLD


class Case(Record):
    """One Dockerfile; its context; and with what it is built."""

    name: str
    text: str
    files: Mapping[str, str | bytes | File]
    before: str = ""  # a Dockerfile whose image is before:NAME
    args: Mapping[str, str] | None = None
    target: str = ""
    parties: tuple[str, ...] = ("buildkit", "classic")
    fails: bool = False  # for all


def case(name: str, text: str, files: Mapping[str, str | bytes | File] | None = None, /,
         **more: Any) -> Case:  # fmt: skip
    """A case, its Dockerfile without the first line break; `@` is busybox, `%` before:NAME."""
    text = (
        text.lstrip("\n").replace("FROM @", "FROM busybox").replace("FROM %", f"FROM before:{name}")
    )
    return Case(name=name, text=text, files=files or {}, **more)


def fill(base: Path, files: Mapping[str, str | bytes | File]) -> None:
    """Make a context of files whose modes and times are known."""
    times: list[tuple[Path, int]] = []
    for name, given in files.items():
        path = base / name
        data = given.encode() if isinstance(given, str) else given
        file = data if isinstance(data, File) else File(content=data)
        for above in reversed(path.relative_to(base).parents[:-1]):
            if not (base / above).exists():
                (base / above).mkdir()
                (base / above).chmod(0o755)
                times.append((base / above, OLD))
        if file.link:
            path.symlink_to(file.link)
        elif file.hard:
            path.hardlink_to(base / file.hard)
        elif file.directory or name.endswith("/"):
            path.mkdir(exist_ok=True)
            path.chmod(file.mode | 0o111 if file.mode == 0o644 else file.mode)
        else:
            path.write_bytes(file.content)
            if file.uid:
                os.chown(path, file.uid, file.uid)
            path.chmod(file.mode)
        if file.capabilities:
            subprocess.run(["setcap", file.capabilities, str(path)], check=True)
        times.append((path, file.mtime))
    for path, mtime in reversed(times):
        os.utime(path, (mtime, mtime), follow_symlinks=False)


class Outcome(Record):
    """What a builder made: a configuration and files; or why it did not."""

    error: str = ""
    config: Mapping[str, Any] | None = None
    tree: Mapping[str, Mapping[str, Any]] | None = None


def of_fastbox(engine: fastbox.Engine, case: Case, where: Path) -> Outcome:
    """Build with fastbox."""
    try:
        if case.before:
            buildtool.build(engine, where, tags=(f"before:{case.name}",), file=f"{where}.before",
                            network="none")  # fmt: skip
        buildtool.build(engine, where, tags=(f"made:{case.name}",), file=f"{where}/Dockerfile",
                        args=case.args, target=case.target, network="none")  # fmt: skip
    except FastboxError as error:
        return Outcome(error=str(error))
    stream = io.BytesIO()
    with engine.create(f"made:{case.name}", ["/none"]) as container:
        container.export(stream)
    config = buildtool.config(engine, f"made:{case.name}")
    author = engine.images.inspect(f"made:{case.name}").get("Author")
    return Outcome(config=settings(config, author), tree=tree_of(stream.getvalue()))


class Api(http.client.HTTPConnection):
    """A daemon's own interface: a client's process for each question takes longer than the answer."""

    def __init__(self, path: str) -> None:
        super().__init__("docker")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def __call__(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        headers = {"Content-Type": "application/json"} if body else {}
        self.request(method, f"/v1.41{path}", json.dumps(body) if body else None, headers)
        answer = self.getresponse()
        data = answer.read()
        assert answer.status < 300, (path, data)
        return data


def of_docker(docker: Docker, case: Case, where: Path, builder: str) -> Outcome:
    """Build with the daemon's BuildKit, or with its classic builder."""
    environ = {**docker.environ, "DOCKER_BUILDKIT": str(int(builder == "buildkit"))}

    def call(*words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [CLIENT, *words], env=environ, capture_output=True, timeout=120, check=False
        )

    made = f"{builder}:{case.name}"
    words = [word for pair in (case.args or {}).items() for word in ("--build-arg", "=".join(pair))]
    words += ["--target", case.target] if case.target else []
    builds = [(f"{where}.before", f"before:{case.name}", [])] if case.before else []
    for file, tag, flags in [*builds, (f"{where}/Dockerfile", made, words)]:
        done = call("build", "--network=none", "-t", tag, "-f", file, *flags, str(where))
        if done.returncode:
            return Outcome(error=done.stderr.decode().strip().splitlines()[-1])
    api = Api(f"{docker.base}/docker.sock")
    found = json.loads(api("GET", f"/images/{made}/json"))
    container = json.loads(api("POST", "/containers/create", {"Image": made, "Cmd": ["/none"]}))
    tree = tree_of(api("GET", f"/containers/{container['Id']}/export"))
    api("DELETE", f"/containers/{container['Id']}?v=1")
    api.close()
    return Outcome(config=settings(found["Config"], found.get("Author")), tree=tree)


def settings(config: Mapping[str, Any], author: str | None) -> dict[str, Any]:
    """A run configuration, without what is absent in one way or another."""
    found = {
        name: value
        for name, value in config.items()
        if name not in CONTAINERS_OWN and value not in (None, "", [], {})
    }
    return found | ({"Author": author} if author else {})


def tree_of(data: bytes) -> dict[str, dict[str, Any]]:
    """The files of an export; names of one file are known by the first of them."""
    found: dict[str, dict[str, Any]] = {}
    firsts: dict[str, str] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            name = member.name.strip("/").removeprefix("./")
            if name in ("", ".") or any(f"{name}/".startswith(own + "/") for own in ENGINES_OWN):
                continue
            if member.islnk():
                first = firsts.setdefault(name, firsts.get(member.linkname, member.linkname))
                found[name] = dict(found[first])
                found[first]["names"] = found[name]["names"] = None
                continue
            row = found[name] = {
                "type": member.type.decode(),
                "mode": oct(member.mode & 0o7777),  # some put the type into it
                "owner": (member.uid, member.gid),
                "link": member.linkname,
                "size": member.size,
                "time of directory" if member.isdir() else "time": (
                    "now" if member.mtime > NOW or name in TIMES_OF_STUBS else member.mtime
                ),
                "device": (member.devmajor, member.devminor),
                "names": name,
                "attributes": {
                    key: value
                    for key, value in member.pax_headers.items()
                    if key.startswith("SCHILY.xattr.")
                },
            }
            if member.isreg():
                file = archive.extractfile(member)
                assert file is not None
                row["sha256"] = hashlib.sha256(file.read()).hexdigest()[:16]
    groups: dict[str, list[str]] = {}
    for name in found:
        groups.setdefault(firsts.get(name, name), []).append(name)
    for names in groups.values():
        for name in names:
            found[name]["names"] = tuple(sorted(names))
    return found


def compare(ours: Outcome, theirs: Outcome) -> list[str]:
    """How they differ, a line each: what, and both sides."""
    if ours.error or theirs.error:
        if ours.error and theirs.error:
            return []
        return [f"outcome: {ours.error or 'built'!r} / {theirs.error or 'built'!r}"]
    lines: list[str] = []
    mine, other = ours.config or {}, theirs.config or {}
    lines += [
        f"config {key}: {mine.get(key)!r} / {other.get(key)!r}"
        for key in sorted({*mine, *other})
        if mine.get(key) != other.get(key)
    ]
    files, others = ours.tree or {}, theirs.tree or {}
    for path in sorted({*files, *others}):
        one, two = files.get(path), others.get(path)
        if one is None or two is None:
            lines.append(f"file {path}: {_short(one)} / {_short(two)}")
            continue
        lines += [
            f"{field} {path}: {one.get(field)!r} / {two.get(field)!r}"
            for field in sorted({*one, *two})
            if one.get(field) != two.get(field)
        ]
    return lines


def _short(row: Mapping[str, Any] | None) -> str:
    return "absent" if row is None else f"{row['type']} {row['mode']} {row['owner']} {row['size']}"

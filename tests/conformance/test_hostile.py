"""Documents, roots and paths that are not what they should be: refused in one line, and the host is as it was before."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import stage
from .bundle import Bundle
from .conftest import Court
from .document import full
from .party import Party

Edit = Callable[[Bundle], None]


class Host:
    """What of the host must not change."""

    def __init__(self, party: Party) -> None:
        self.party = party
        self.mounts = self.read()

    def read(self) -> list[str]:
        paths = (f"/proc/{self.party.stage.keeper.pid}/mountinfo", "/proc/self/mountinfo")
        # Others mount and unmount beside these tests: below the tests' own directories only they do.
        lines = [line for path in paths for line in Path(path).read_text().splitlines()]
        return [line for line in lines if "fastbox-conformance-" in line]

    def children(self) -> set[int]:
        text = "".join(p.read_text() for p in Path("/proc/self/task").glob("*/children"))
        return {int(word) for word in text.split()}

    def check(self, before: set[int]) -> None:
        assert self.read() == self.mounts
        assert not [g for g in stage.groups() if (Path(g) / "cgroup.procs").read_text()]
        for pid in self.children() - before:
            status = Path(f"/proc/{pid}/status")
            assert not status.exists() or "zombie" in status.read_text(), f"process {pid} is left"
        assert self.party.containers() == []


class Judge:
    """Runs a bundle that has to be refused."""

    def __init__(self, court: Court, party: Party) -> None:
        self.court, self.party = court, party
        self.host = Host(party)
        self.bundles: list[Bundle] = []

    def bundle(self) -> Bundle:
        bundle = self.court.bundle(self.party)
        bundle.process["args"] = ["/bin/true"]
        self.bundles.append(bundle)
        return bundle

    def refuses(self, bundle: Bundle, *flags: str, write: bool = True) -> str:
        if write:
            (bundle.path / "config.json").write_text(json.dumps(bundle.config))
        before = self.host.children()
        done = self.party(
            "run", "--bundle", str(bundle.path), *flags, bundle.name, check=False, timeout=20
        )
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert len(lines) == 1, done.stderr
        assert "level=error" in lines[0]
        assert len(lines[0]) < 2000
        self.host.check(before)
        return lines[0]


@pytest.fixture
def judge(court: Court, fastbox: Party) -> Iterator[Judge]:
    judge = Judge(court, fastbox)
    yield judge
    for bundle in judge.bundles:
        bundle.close()


# --- the file ---


def _text(text: str | bytes) -> Edit:
    def edit(b: Bundle) -> None:
        (b.path / "config.json").write_bytes(text.encode() if isinstance(text, str) else text)

    return edit


def _fifo(b: Bundle) -> None:
    os.mkfifo(b.path / "config.json")


def _sparse(b: Bundle) -> None:
    with (b.path / "config.json").open("wb") as file:
        file.truncate(1 << 30)


FILES: dict[str, Edit] = {
    "missing": lambda b: None,
    "empty": _text(""),
    "a fifo": _fifo,
    "a directory": lambda b: (b.path / "config.json").mkdir(),
    "a device": lambda b: (b.path / "config.json").symlink_to("/dev/zero"),
    "a link to nowhere": lambda b: (b.path / "config.json").symlink_to("nowhere"),
    "a gigabyte of nothing": _sparse,
    "no JSON": _text("hello"),
    "an array": _text("[]"),
    "a string": _text('"x"'),
    "null": _text("null"),
    "two documents": _text("{}{}"),
    "deep arrays": _text("[" * 200000),
    "deep objects": _text('{"a":' * 200000),
    "deep and closed": _text('{"process":' * 5000 + "1" + "}" * 5000),
    "a trailing comma": _text('{"ociVersion": "1.0.2",}'),
    "not UTF-8": _text(b'{"ociVersion": "1.0.2", "hostname": "\xff\xfe"}'),
    "a byte order mark": _text(b"\xef\xbb\xbf{}"),
    "a number that is none": _text('{"ociVersion": 1e999}'),
    "a control character": _text(b'{"ociVersion": "1.0\x01"}'),
}


@pytest.mark.parametrize("name", FILES)
def test_the_file(judge: Judge, name: str) -> None:
    b = judge.bundle()
    FILES[name](b)
    judge.refuses(b, write=False)


@pytest.mark.parametrize("part", range(1, 40, 3))
def test_a_document_that_is_cut(judge: Judge, part: int) -> None:
    b = judge.bundle()
    b.write()
    text = (b.path / "config.json").read_text()
    (b.path / "config.json").write_text(text[: len(text) * part // 40])
    judge.refuses(b, write=False)


@pytest.mark.parametrize("path", ["/no/such/bundle", "/etc/passwd", "/dev/null", ""])
def test_a_bundle_that_is_none(judge: Judge, path: str) -> None:
    b = judge.bundle()
    done = judge.party("run", "--bundle", path, b.name, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert judge.party.containers() == []


# --- every field with values of the wrong type ---


def _leaves(value: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in a document, first items of arrays only."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, (*at, key))
    elif isinstance(value, list) and value:
        yield from _leaves(value[0], (*at, 0))


def _put(document: Any, at: tuple[str | int, ...], value: Any) -> None:
    for key in at[:-1]:
        document = document[key]
    document[at[-1]] = value


def _get(document: Any, at: tuple[str | int, ...]) -> Any:
    for key in at:
        document = document[key]
    return document


def _wrong(value: Any) -> list[Any]:
    """Values of other types than this one's."""
    if isinstance(value, bool):
        return ["true", 1, [], {}]
    if isinstance(value, int):
        return ["1", 1.5, True, [1], {}]
    if isinstance(value, str):
        return [1, True, ["x"], {"x": "y"}]
    if isinstance(value, list):
        return ["x", 1, {}, True]
    return ["x", 1, ["x"], True]


def _name(at: tuple[str | int, ...]) -> str:
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in at)


# Names of the author's own choice, and what is no Linux container's: skipped, whatever it is.
SKIPPED = (
    ".linux.resources.rdma.mlx5_1",
    ".process.user.username",
    ".process.commandLine",
    ".solaris",
    ".windows",
    ".vm",
    ".zos",
)
PLACES = [at for at in _leaves(full()) if not _name(at).startswith(SKIPPED[1:])]


@pytest.mark.parametrize("at", PLACES, ids=_name)
def test_a_field_of_the_wrong_type(judge: Judge, at: tuple[str | int, ...]) -> None:
    for value in _wrong(_get(full(), at)):
        b = judge.bundle()
        b.config = full()
        _put(b.config, at, value)
        message = judge.refuses(b)
        last = next(str(key) for key in reversed(at) if isinstance(key, str))
        assert last in message or last.lower() in message.lower(), (value, message)
        judge.bundles.remove(b)
        b.close()


WHOLE = [at for at in PLACES if type(_get(full(), at)) is int]
# Of 64 bits without a sign: what is larger is the largest.
LARGEST = ("hard", "soft", "value", "valueTwo", "runtime", "deadline", "period", "rate")
UNSIGNED = ".linux.resources.hugepageLimits[0].limit"


@pytest.mark.parametrize(
    "at", [at for at in WHOLE if at[-1] not in LARGEST and _name(at) != UNSIGNED], ids=_name
)
def test_a_number_that_does_not_fit(judge: Judge, at: tuple[str | int, ...]) -> None:
    b = judge.bundle()
    b.config = full()
    _put(b.config, at, 1 << 70)
    assert str(at[-1]) in judge.refuses(b)


# --- values that no field has ---


def _set(*at: str | int, to: Any) -> Edit:
    return lambda b: _put(b.config, at, to)


def _add(*at: str | int, item: Any) -> Edit:
    def edit(b: Bundle) -> None:
        _get(b.config, at).append(item)

    return edit


def _linux(key: str, value: Any) -> Edit:
    return _set("linux", key, to=value)


def _filter(**more: Any) -> Edit:
    rule = {"names": ["getppid"], "action": "SCMP_ACT_ERRNO"}
    return _linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule], **more})


def _rule(**more: Any) -> Edit:
    return _filter(syscalls=[{"names": ["getppid"], "action": "SCMP_ACT_ERRNO", **more}])


def _user(*mappings: tuple[int, int, int]) -> Edit:
    def edit(b: Bundle) -> None:
        b.namespace("user")
        entries = [{"containerID": c, "hostID": h, "size": n} for c, h, n in mappings]
        b.linux["uidMappings"] = b.linux["gidMappings"] = entries

    return edit


def _without(*at: str) -> Edit:
    def edit(b: Bundle) -> None:
        del _get(b.config, at[:-1])[at[-1]]

    return edit


def _resources(**more: Any) -> Edit:
    return lambda b: b.linux["resources"].update(more)


def _linked_root(b: Bundle) -> None:
    (b.path / "link").symlink_to("rootfs")
    b.config["root"]["path"] = "link"


VALUES: dict[str, Edit] = {
    "no version": _without("ociVersion"),
    "a version of the future": _set("ociVersion", to="2.0.0"),
    "a version that is none": _set("ociVersion", to="one"),
    "no process": _without("process"),
    "no root": _without("root"),
    "no arguments": _set("process", "args", to=[]),
    "no cwd": _without("process", "cwd"),
    "a relative cwd": _set("process", "cwd", to="data"),
    "an argument with a zero": _set("process", "args", to=["/bin/true", "a\0b"]),
    "an environment with a zero": _set("process", "env", to=["A=\0"]),
    "a host name with a zero": _set("hostname", to="a\0b"),
    "a host name of 65": _set("hostname", to="x" * 65),
    "a domain name of 65": _set("domainname", to="x" * 65),
    "a host name without its namespace": lambda b: b.without_namespace("uts"),
    "a user of minus one": _set("process", "user", "uid", to=4294967295),
    "a negative user": _set("process", "user", "uid", to=-1),
    "groups without end": _set("process", "user", "additionalGids", to=list(range(100000))),
    "an rlimit that is none": _add(
        "process", "rlimits", item={"type": "RLIMIT_NONE", "soft": 1, "hard": 1}
    ),
    "an rlimit above its hard one": _add(
        "process", "rlimits", item={"type": "RLIMIT_CORE", "soft": 2, "hard": 1}
    ),
    "an rlimit twice": _add(
        "process", "rlimits", item={"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}
    ),
    "an oom score of 1001": _set("process", "oomScoreAdj", to=1001),
    "a scheduler that is none": _set("process", "scheduler", to={"policy": "SCHED_NONE"}),
    "a flag of a scheduler": _set(
        "process", "scheduler", to={"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NONE"]}
    ),
    "a class of priority": _set("process", "ioPriority", to={"class": "IOPRIO_CLASS_NONE"}),
    "a namespace that is none": _add("linux", "namespaces", item={"type": "nonesuch"}),
    "a namespace twice": _add("linux", "namespaces", item={"type": "pid"}),
    "a personality that is none": _linux("personality", {"domain": "LINUX64"}),
    "a flag of a personality": _linux(
        "personality", {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}
    ),
    "a propagation that is none": _linux("rootfsPropagation", "sideways"),
    "an action that is none": _rule(action="SCMP_ACT_NONE"),
    "a default action that is none": _filter(defaultAction="SCMP_ACT_NONE"),
    "an architecture that is none": _filter(architectures=["SCMP_ARCH_NONE"]),
    "a flag of a filter": _filter(flags=["SECCOMP_FILTER_FLAG_NONE"]),
    "a comparison that is none": _rule(args=[{"index": 0, "value": 1, "op": "SCMP_CMP_NONE"}]),
    "an argument that is none": _rule(args=[{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]),
    "an error that is none": _rule(errnoRet=70000),
    "a rule without names": _rule(names=[]),
    "a device of no kind": _linux(
        "devices", [{"path": "/dev/x", "type": "x", "major": 1, "minor": 3}]
    ),
    "a device that is relative": _linux(
        "devices", [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]
    ),
    "a device rule of no kind": _resources(devices=[{"allow": True, "type": "x", "access": "r"}]),
    "an access of no kind": _resources(devices=[{"allow": True, "type": "c", "access": "rx"}]),
    "an id that is mapped twice": _user((0, 100000, 10), (5, 200000, 10)),
    "a host's id that is mapped twice": _user((0, 100000, 10), (100, 100005, 10)),
    "a mapping of nothing": _user((0, 100000, 0)),
    "a mapping over the end": _user((4294967290, 0, 100)),
    "no mapping": lambda b: b.namespace("user"),
    "mappings without end": _user(*((n, 100000 + n, 1) for n in range(1000))),
    "mappings without a namespace": _linux(
        "uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}]
    ),
    "a group that climbs": _linux("cgroupsPath", "/../../conformance-x"),
    "a group of dots": _linux("cgroupsPath", ".."),
    "a group with a zero": _linux("cgroupsPath", "/a\0b"),
    "a group without end": _linux("cgroupsPath", "/x" * 3000),
    "a setting that climbs": _linux("sysctl", {"net.../../../etc/passwd": "x"}),
    "a setting with slashes that climbs": _linux("sysctl", {"net/../../etc/passwd": "x"}),
    "a setting of the host": _linux("sysctl", {"vm.swappiness": "1"}),
    "a setting of the host's kernel": _linux("sysctl", {"kernel.sysrq": "1"}),
    "a setting that is none": _linux("sysctl", {"net.none.such": "1"}),
    "a setting of a shared network": lambda b: (
        b.without_namespace("network"),
        b.linux.update(sysctl={"net.core.somaxconn": "1"}),
    )[0],
    "a setting of shared messages": lambda b: (
        b.without_namespace("ipc"),
        b.linux.update(sysctl={"kernel.msgmax": "1"}),
    )[0],
    "a limit below zero": _resources(memory={"limit": -2}),
    "a v2 file that climbs": _resources(unified={"../x": "1"}),
    "a page size that is none": _resources(hugepageLimits=[{"pageSize": "3MB", "limit": 1}]),
    "a set of no processors": _resources(cpu={"cpus": "zero"}),
    "a time without its namespace": _linux("timeOffsets", {"monotonic": {"secs": 1}}),
    "a cache to share": _linux("intelRdt", {"closID": "x", "l3CacheSchema": "L3:0=f"}),
    "a hook by a relative path": _set("hooks", to={"prestart": [{"path": "true"}]}),
    "a hook without a path": _set("hooks", to={"prestart": [{}]}),
    "a hook without time": _set("hooks", to={"prestart": [{"path": "/bin/true", "timeout": 0}]}),
    "a mount without a destination": _add("mounts", item={"type": "tmpfs"}),
    "a mount of no kind": _add(
        "mounts", item={"destination": "/mnt", "type": "nonesuch", "source": "x"}
    ),
    "an option of a mount": _add(
        "mounts", item={"destination": "/mnt", "type": "tmpfs", "options": ["nonesuch=1"]}
    ),
    "a mount with a zero": _add("mounts", item={"destination": "/m\0", "type": "tmpfs"}),
    "a source that is not there": _add(
        "mounts",
        item={"destination": "/mnt", "type": "bind", "source": "/no/such", "options": ["bind"]},
    ),
    "a source that is a fifo's child": _add(
        "mounts",
        item={"destination": "/mnt", "type": "bind", "source": "/dev/null/x", "options": ["bind"]},
    ),
    "a root that is not there": _set("root", "path", to="nonesuch"),
    "a root that is a link": _linked_root,
    "a root that is a file": _set("root", "path", to="config.json"),
    "a root that is a device": _set("root", "path", to="/dev/null"),
    "a root that is nothing": _set("root", "path", to=""),
    "a masked path that is relative": _linux("maskedPaths", ["etc"]),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_that_no_field_has(judge: Judge, name: str) -> None:
    b = judge.bundle()
    VALUES[name](b)
    judge.refuses(b)


def test_a_capability_that_is_none_is_a_warning(judge: Judge) -> None:
    """The specification: what can't be granted is no failure."""
    b = judge.bundle()
    b.process["capabilities"]["bounding"].append("CAP_NONESUCH")
    b.write()
    done = judge.party("run", "--bundle", str(b.path), b.name)
    assert "CAP_NONESUCH" in done.stderr
    assert "level=warning" in done.stderr


# --- roots that point elsewhere ---


def _link(name: str, target: str) -> Edit:
    def edit(b: Bundle) -> None:
        (b.rootfs / name).symlink_to(target)

    return edit


ROOTS: dict[str, Edit] = {
    "proc to tmp": _link("proc", "tmp"),
    "proc to the host's": _link("proc", "../../../../../../proc"),
    "proc to itself": _link("proc", "proc"),
    "sys to etc": _link("sys", "/etc"),
    "proc is a file": lambda b: (b.rootfs / "proc").write_text("x"),
    "proc is a fifo": lambda b: os.mkfifo(b.rootfs / "proc"),
    "dev is a file": lambda b: (b.rootfs / "dev").write_text("x"),
}


@pytest.mark.parametrize("name", ROOTS)
def test_a_root_that_points_elsewhere(judge: Judge, name: str) -> None:
    b = judge.bundle()
    ROOTS[name](b)
    judge.refuses(b)


@pytest.mark.parametrize("target", ["/etc", "../../../../../../etc", "/tmp"])
def test_dev_as_a_link_stays_in_the_root(judge: Judge, target: str) -> None:
    """What the image says is followed in the image: the host's directory of that name gets no mount and no node."""
    b = judge.bundle()
    (b.rootfs / "dev").symlink_to(target)
    (b.path / "etc").mkdir()
    before = sorted(os.listdir("/etc")), sorted(os.listdir("/tmp"))
    b.write()
    done = judge.party("run", "--bundle", str(b.path), b.name, check=False)
    assert done.returncode in (0, 1)
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1
    assert "null" not in os.listdir("/etc")
    assert "null" not in os.listdir("/tmp")
    assert sorted(os.listdir("/etc")) == before[0]
    judge.host.check(judge.host.children())


@pytest.mark.parametrize(
    "destination", ["../../../../x", "/../../../x", "/data/../../../../x", "/up/x", "/up/../../x"]
)
def test_a_mount_that_climbs_stays_in_the_root(judge: Judge, destination: str) -> None:
    b = judge.bundle()
    b.writable()
    (b.rootfs / "up").symlink_to("../../../../..")
    b.mount(destination, "tmpfs", "climber", "size=64k")
    b.process["args"] = ["cat", "/proc/self/mountinfo"]
    b.write()
    done = judge.party("run", "--bundle", str(b.path), b.name, check=False)
    if done.returncode:
        assert len(done.stderr.splitlines()) == 1
    else:
        assert " climber " in done.stdout
    assert not Path("/x").exists()
    assert not (b.path / "x").exists()
    judge.host.check(judge.host.children())


def test_a_device_that_climbs_stays_in_the_root(judge: Judge) -> None:
    b = judge.bundle()
    b.writable()
    b.linux["devices"] = [{"path": "/dev/../../../node", "type": "c", "major": 1, "minor": 3}]
    b.write()
    done = judge.party("run", "--bundle", str(b.path), b.name, check=False)
    assert done.returncode in (0, 1)
    assert not Path("/node").exists()
    assert not (b.path / "node").exists()


@pytest.mark.parametrize(
    "destination", ["/proc", "/proc/self/fd", "/proc/sys/kernel", "/proc/thread-self/attr"]
)
def test_a_mount_that_hides_the_kernels_own(judge: Judge, destination: str) -> None:
    """A file system of the image's choice in place of /proc would answer what is asked of the kernel (CVE-2019-16884, CVE-2019-19921)."""
    b = judge.bundle()
    b.mount(destination, "bind", f"{b.material}/directory", "bind")
    judge.refuses(b)


# --- paths of the wrong kind ---


def _paths(b: Bundle) -> dict[str, str]:
    os.mkfifo(b.path / "fifo")
    (b.path / "plain").write_text("x")
    return {
        "another kind": "/proc/self/ns/mnt",
        "a user namespace": "/proc/self/ns/user",
        "a fifo": str(b.path / "fifo"),
        "a file": str(b.path / "plain"),
        "a directory": str(b.path),
        "a device": "/dev/null",
        "not there": "/no/such/namespace",
        "relative": "proc/self/ns/net",
        "a process that is gone": "/proc/4194303/ns/net",
    }


KINDS = (
    "another kind",
    "a user namespace",
    "a fifo",
    "a file",
    "a directory",
    "a device",
    "not there",
    "relative",
    "a process that is gone",
)


@pytest.mark.parametrize(
    "kind", ["network", "ipc", "uts", "pid", "cgroup", "mount", "user", "time"]
)
@pytest.mark.parametrize("name", KINDS)
def test_a_namespace_of_the_wrong_kind(judge: Judge, kind: str, name: str) -> None:
    b = judge.bundle()
    path = _paths(b)[name]
    if (kind, name) in (("mount", "another kind"), ("user", "a user namespace")):
        path = "/proc/self/ns/net"
    b.namespace(kind, path)
    if kind == "uts":
        del b.config["hostname"]
    judge.refuses(b)


@pytest.mark.parametrize(
    "cwd", ["/proc/self/fd/7", "/proc/self/fd/7/../..", "/proc/self/cwd", "/proc/1/cwd", "/link"]
)
def test_a_cwd_of_the_host(judge: Judge, cwd: str) -> None:
    """CVE-2024-21626: a descriptor that the runtime has open is no way out."""
    b = judge.bundle()
    (b.rootfs / "link").symlink_to("/proc/self/fd/7")
    b.process["cwd"] = cwd
    b.process["args"] = ["ls", "."]
    b.write()
    before = judge.host.children()
    words = judge.party.argv("run", "--bundle", str(b.path), b.name)
    script = 'exec 7<"$1" 8<"$1" 9<"$1"; shift; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", "/usr", *words], capture_output=True, text=True, check=False
    )
    assert "share" not in done.stdout, "the host's /usr is the working directory"
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1
    judge.host.check(before)


@pytest.mark.parametrize("cwd", ["/etc/passwd", "/etc/passwd/x", "/loop"])
def test_a_cwd_that_is_none(judge: Judge, cwd: str) -> None:
    b = judge.bundle()
    (b.rootfs / "loop").symlink_to("loop")
    b.process["cwd"] = cwd
    judge.refuses(b)


def test_a_null_device_that_is_another(judge: Judge) -> None:
    """Masking with it would give the container that other device under the name of what is masked (CVE-2025-31133)."""
    b = judge.bundle()
    b.linux["devices"] = [
        {"path": "/dev/null", "type": "c", "major": 1, "minor": 5, "fileMode": 0o666}
    ]
    judge.refuses(b)


# --- the other documents ---


@pytest.fixture
def running(judge: Judge) -> Iterator[Bundle]:
    from .container import Container

    b = judge.bundle()
    b.process["args"] = ["/bin/sleep", "1000"]
    b.write()
    c = Container(judge.party, b)
    c.detached()
    yield b
    c.end()


@pytest.mark.parametrize("command", ["exec", "update"])
@pytest.mark.parametrize(
    "name",
    [
        "missing",
        "empty",
        "a fifo",
        "a directory",
        "a device",
        "no JSON",
        "an array",
        "deep arrays",
        "null",
    ],
)
def test_documents_of_other_commands(
    judge: Judge, running: Bundle, command: str, name: str
) -> None:
    (running.path / "config.json").unlink()
    FILES[name](running)
    option = "--process" if command == "exec" else "--resources"
    before = judge.host.children()
    done = judge.party(
        command, option, str(running.path / "config.json"), running.name, check=False, timeout=20
    )
    assert done.returncode == (255 if command == "exec" else 1)
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert judge.host.children() <= before | judge.host.children()


@pytest.mark.parametrize("cwd", ["/proc/self/fd/7", "/proc/1/cwd/../../..", "relative", "/no/such"])
def test_the_cwd_of_an_exec(judge: Judge, running: Bundle, cwd: str) -> None:
    words = judge.party.argv("exec", "--cwd", cwd, running.name, "ls", ".")
    script = 'exec 7</usr 8</usr 9</usr; exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words], capture_output=True, text=True, check=False
    )
    assert "share" not in done.stdout
    assert done.returncode == 0 or len(done.stderr.splitlines()) == 1


def test_a_state_that_was_tampered_with(judge: Judge, running: Bundle) -> None:
    """Somebody writes into the state's directory: the commands refuse it in one line, and force still removes it."""
    state = judge.party.root / running.name / "state.json"
    good = state.read_bytes()
    for text in (b"", b"{", b"[]", b"null", good[: len(good) // 2], b'{"pid": "x"}'):
        state.write_bytes(text)
        for command in ("state", "kill", "ps"):
            done = judge.party(command, running.name, check=False)
            assert done.returncode == 1
            assert len(done.stderr.splitlines()) == 1
    state.write_bytes(good)
    assert json.loads(judge.party("state", running.name).stdout)["status"] == "running"

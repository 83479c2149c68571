"""fastbox-oci's commands that start nothing, next to runc's answers about a container of the same bundle."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import host
from .host import until

pytestmark = pytest.mark.integration

GROUP = f"/fastbox-test-oci-{os.getpid()}"
Done = subprocess.CompletedProcess[str]


class Runtime:
    """An OCI runtime with a root of its own; `made` are the containers to delete."""

    def __init__(self, program: str, base: Path) -> None:
        self.program, self.base, self.root = program, base, base / Path(program).name
        self.words = [program, "--root", str(self.root)]
        self.made: list[str] = []

    def __call__(self, *words: str, stdin: str | None = None) -> Done:
        # Files, not pipes: a container that lives on holds what it was given.
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            done = subprocess.run(
                [*self.words, *words],
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                stdout=out,
                stderr=err,
                env={**os.environ, "COLUMNS": "1000"},  # the width of the ps that runc runs
                text=True,
                timeout=60 * host.SLOW,
            )
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, out.read(), err.read())

    def ok(self, *words: str, stdin: str | None = None) -> str:
        done = self(*words, stdin=stdin)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def fails(self, *words: str, stdin: str | None = None) -> str:
        """One line on stderr and exit code 1; the message that a caller would get."""
        log = self.base / "log"
        log.unlink(missing_ok=True)
        done = subprocess.run(
            [*self.words, "--log", str(log), "--log-format", "json", *words],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=60 * host.SLOW,
        )
        assert done.returncode == 1, (words, done)
        (entry,) = [json.loads(line) for line in log.read_text().splitlines()]
        assert entry["level"] == "error"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)", entry["time"])
        assert done.stderr == entry["msg"] + "\n"
        return str(entry["msg"])

    def start(self, bundle: Path, name: str) -> str:
        self.made.append(name)
        self.ok("run", "-d", "-b", str(bundle), name)
        return name

    def state(self, name: str) -> dict[str, Any]:
        state = json.loads(self.ok("state", name))
        assert isinstance(state, dict)
        return state

    def end(self) -> None:
        for name in self.made:
            self("delete", "-f", name)
        self.made = []


MakeBundle = Callable[..., Path]


@pytest.fixture(scope="module")
def rootfs() -> Iterator[Path]:
    base = Path(tempfile.mkdtemp(prefix="fastbox-test-", dir="/var/tmp"))
    binaries = base / "bin"
    binaries.mkdir()
    for name in ("proc", "dev", "sys", "tmp", "mnt"):
        (base / name).mkdir()
    shutil.copy("/bin/busybox", binaries / "busybox")
    for applet in ("sh", "sleep", "true", "cat", "head", "tail", "dd", "kill"):
        (binaries / applet).symlink_to("busybox")
    yield base
    shutil.rmtree(base)


@pytest.fixture
def base() -> Iterator[Path]:
    """Where states and bundles are; afterwards no mount, group or process is left of a test."""
    before = host.mounts()
    path = Path(tempfile.mkdtemp(prefix="fastbox-test-", dir="/run"))
    yield path
    shutil.rmtree(path)
    assert not [m for m in host.mounts() if m not in before and str(path) in m]
    left = [g for top in groups() for g in top.iterdir() if g.is_dir()]
    for group in groups():
        group.rmdir()
    assert not left


@pytest.fixture
def bundle(base: Path, rootfs: Path) -> MakeBundle:
    template = subprocess.run(
        ["fastbox-oci", "spec", "-b", str(base)], check=True, capture_output=True
    )
    assert not template.stdout
    spec = json.loads((base / "config.json").read_text())

    def make(name: str = "b", args: list[str] | None = None, **changes: Any) -> Path:
        path = base / name
        path.mkdir()
        document = json.loads(json.dumps(spec))
        document["root"]["path"] = str(rootfs)
        document["process"]["args"] = args or ["sleep", "1000"]
        document["process"]["terminal"] = False
        document["linux"]["cgroupsPath"] = f"{GROUP}/{name}"
        document["linux"]["resources"].update(changes.pop("resources", {}))
        document.update(changes)
        (path / "config.json").write_text(json.dumps(document))
        return path

    return make


@pytest.fixture
def ours(base: Path) -> Iterator[Runtime]:
    runtime = Runtime("fastbox-oci", base)
    yield runtime
    runtime.end()


@pytest.fixture
def runc(base: Path) -> Iterator[Runtime]:
    runtime = Runtime("runc", base)
    yield runtime
    runtime.end()


def groups() -> list[Path]:
    below = GROUP.lstrip("/")
    return [p for p in (host.CGROUPS / below, *host.CGROUPS.glob(f"*/{below}")) if p.exists()]


def setting(name: str, *files: str) -> str:
    """The content of the first of these files that a group of the container has."""
    for file in files:
        for group in groups():
            if (group / name / file).exists():
                return (group / name / file).read_text().strip()
    raise AssertionError(f"no {files} in {groups()}")


def runc_spec() -> str:
    words = subprocess.run(["runc", "-v"], capture_output=True, text=True).stdout.split()
    return words[words.index("spec:") + 1]


# --- state and list ---


def test_state_is_runcs(ours: Runtime, runc: Runtime, bundle: MakeBundle) -> None:
    notes = {"org.example.a": 'x "quoted" <&> \u00e4', "bundle": "no"}
    states = [
        runtime.state(runtime.start(bundle(name, annotations=notes), "c"))
        for runtime, name in ((ours, "o"), (runc, "r"))
    ]
    for state in states:
        assert Path(f"/proc/{state.pop('pid')}/cmdline").read_bytes() == b"sleep\0001000\0"
        assert re.fullmatch(r"\d{4}(-\d\d){2}T\d\d(:\d\d){2}\.\d{1,9}Z", state.pop("created"))
        assert state.pop("bundle").endswith(("/o", "/r"))
    assert (states[0].pop("ociVersion"), states[1].pop("ociVersion")) == ("1.2.0", runc_spec())
    # runc takes `bundle` for its own label; the specification has it as any other annotation.
    assert states[0]["annotations"].pop("bundle") == "no"
    assert states[0] == states[1]


def test_status(ours: Runtime, bundle: MakeBundle) -> None:
    ours.made.append("c")
    ours.ok("create", "-b", str(bundle()), "c")
    assert ours.state("c")["status"] == "created"
    assert ours.state("c")["pid"] > 0
    ours.ok("start", "c")
    assert ours.state("c")["status"] == "running"
    ours.ok("pause", "c")
    assert ours.state("c")["status"] == "paused"
    ours.ok("resume", "c")
    assert ours.state("c")["status"] == "running"
    ours.ok("kill", "c", "KILL")
    until(lambda: ours.state("c")["status"] == "stopped")
    assert ours.state("c")["pid"] == 0
    ours.ok("delete", "c")
    assert ours.fails("state", "c") == "container does not exist: c"
    assert not (ours.root / "c").exists()


def test_list_is_runcs(ours: Runtime, runc: Runtime, bundle: MakeBundle) -> None:
    shown = []
    for runtime, name in ((ours, "o"), (runc, "r")):
        path = bundle(name)
        for container in ("second", "first-of-all"):
            runtime.start(path if container == "second" else bundle(name + "2"), container)
        table = runtime.ok("list")
        titles, *lines = table.splitlines()
        for title in re.finditer(r"\w+", titles):
            assert all(line[: title.start()].endswith("   ") for line in lines if title.start())
            assert all(line[title.start()] != " " for line in lines)
        for state in json.loads(runtime.ok("list", "--format", "json")):
            assert state.pop("owner") == "root"
            assert runtime.state(state["id"]).items() >= state.items()
            table = table.replace(f"{state['pid']:<12}", "PID         ")
        table = re.sub(r"\d{4}-\d\d-\S+Z", "WHEN", table.replace("/r", "/o"))
        shown.append(re.sub(" +", " ", table))
        assert runtime.ok("list", "-q") == "first-of-all\nsecond\n"
    assert shown[0] == shown[1]


def test_list_without_containers(ours: Runtime, base: Path) -> None:
    titles = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    assert ours.ok("list") == titles
    assert ours.ok("list", "-f", "json") == "[]\n"
    assert ours.ok("list", "-q") == ""
    assert not ours.root.exists()
    (base / "file").write_text("")
    done = subprocess.run(
        ["fastbox-oci", "--root", str(base / "file"), "list"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "not a directory" in done.stderr.lower()


def test_a_broken_state_does_not_hide_the_others(ours: Runtime, bundle: MakeBundle) -> None:
    ours.start(bundle(), "b")
    for name, text in (("a", '{"schema":1'), ("c", '{"schema":7,"id":"c"}'), ("d", None)):
        (ours.root / name).mkdir()
        if text:
            (ours.root / name / "state.json").write_text(text)
    (ours.root / "file").write_text("")
    (ours.root / "@cache").mkdir()
    (ours.root / "not an id").mkdir()
    (ours.root / "link").symlink_to(ours.root / "b")
    done = ours("list", "-q")
    assert (done.returncode, done.stdout) == (0, "b\n")
    # Nothing of the others: they are no containers.
    told = re.findall(r"container (.+): its state.json is damaged", done.stderr)
    assert (told, done.stderr.count("\n")) == (["a", "c"], 2)
    assert "newer" in ours.fails("state", "c")
    assert ours.fails("state", "d") == "container does not exist: d"


# --- spec and features ---


@pytest.mark.parametrize("words", [[], ["--rootless"]])
def test_spec_is_runcs(base: Path, words: list[str]) -> None:
    documents = []
    for program in ("fastbox-oci", "runc"):
        path = base / program
        path.mkdir()
        subprocess.run([program, "spec", *words, "--bundle", path], check=True)
        documents.append(json.loads((path / "config.json").read_text()))
    mine, theirs = documents
    assert (mine.pop("ociVersion"), mine.pop("hostname")) == ("1.2.0", "fastbox")
    assert theirs.pop("ociVersion").startswith("1.")
    assert theirs.pop("hostname") == "runc"
    # Newer versions than Debian's don't write an ambient set without an inheritable one.
    theirs["process"]["capabilities"].pop("ambient", None)
    assert mine == theirs


def test_spec_overwrites_nothing(ours: Runtime, base: Path) -> None:
    (base / "config.json").write_text("mine")
    assert "remove it first" in ours.fails("spec", "-b", str(base))
    assert (base / "config.json").read_text() == "mine"
    assert "No such file" in ours.fails("spec", "-b", str(base / "missing"))
    assert "no arguments" in ours.fails("spec", "x")


def test_spec_runs(ours: Runtime, runc: Runtime, base: Path, rootfs: Path) -> None:
    ours.ok("spec", "-b", str(base))
    spec = json.loads((base / "config.json").read_text())
    spec["process"].update(terminal=False, args=["cat", "/proc/self/status"])
    spec["linux"]["cgroupsPath"] = f"{GROUP}/spec"
    spec["root"]["path"] = str(rootfs)
    (base / "config.json").write_text(json.dumps(spec))
    answers = [
        [
            line
            for line in runtime.ok("run", "-b", str(base), "c").splitlines()
            if line.startswith(("Cap", "NoNewPrivs", "Uid", "NSpid"))
        ]
        for runtime in (ours, runc)
    ]
    assert answers[0]
    assert [line for line in answers[0] if "CapAmb" not in line] == [
        line for line in answers[1] if "CapAmb" not in line
    ]


def test_features(ours: Runtime, runc: Runtime) -> None:
    mine, theirs = (json.loads(runtime.ok("features")) for runtime in (ours, runc))
    assert (mine["ociVersionMin"], mine["ociVersionMax"]) == ("1.0.0", "1.2.0")
    assert mine["hooks"] == theirs["hooks"]
    # runc clears a flag for these two that no kernel reads; here a file system gets its own word.
    assert set(theirs["mountOptions"]) - set(mine["mountOptions"]) == {"acl", "noacl"}
    for key in ("namespaces", "capabilities"):
        assert set(mine["linux"][key]) >= set(theirs["linux"][key])
    for key in ("actions", "operators", "archs"):
        assert set(mine["linux"]["seccomp"][key]) >= set(theirs["linux"]["seccomp"][key])
    assert mine["linux"]["cgroup"]["v1"] is mine["linux"]["cgroup"]["v2"] is True
    assert mine["linux"]["mountExtensions"] == {"idmap": {"enabled": True}}
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    assert len(mine["linux"]["capabilities"]) >= last + 1
    for words in (mine["mountOptions"], mine["linux"]["namespaces"], mine["hooks"]):
        assert len(words) == len(set(words))


def test_every_mount_option_of_features_is_one(
    ours: Runtime, bundle: MakeBundle, base: Path
) -> None:
    """What is not known goes to the file system as its own setting: proc takes none of these."""
    mapped = {"idmap", "ridmap"}  # of binds in a user namespace only
    words = [w for w in json.loads(ours.ok("features"))["mountOptions"] if w not in mapped]
    (base / "from").mkdir()
    options = [w for w in words if w not in ("remount", "tmpcopyup", "bind", "rbind")]
    path = bundle(args=["true"])
    spec = json.loads((path / "config.json").read_text())
    # Not all at once, as some contradict each other; on one container, as each start is dear.
    spec["mounts"] += [
        {"destination": f"/mnt/{i}", "source": str(base / "from"), "options": ["rbind", word]}
        for i, word in enumerate(options)
    ]
    spec["mounts"] += [
        {"destination": "/mnt/own", "type": "tmpfs", "source": "t", "options": ["tmpcopyup"]},
        {"destination": "/mnt/own", "type": "tmpfs", "source": "t", "options": ["remount", "ro"]},
    ]
    (path / "config.json").write_text(json.dumps(spec))
    ours.ok("run", "-b", str(path), "c")
    spec["mounts"][-3]["options"] = ["rbind", "rnonsense"]
    (path / "config.json").write_text(json.dumps(spec))
    assert ours("run", "-b", str(path), "c").returncode == 1


# --- ps ---


def settled(table: str) -> bool:
    """Each of the three has executed its own command."""
    return len(re.findall(r"\d sleep 100\d\n", table)) == 3


def test_ps_is_runcs(ours: Runtime, runc: Runtime, bundle: MakeBundle) -> None:
    script = "sleep 1001 & sleep 1002 & sleep 1000; :"
    shown = []
    for runtime, name in ((ours, "o"), (runc, "r")):
        runtime.start(bundle(name, args=["sh", "-c", script]), "c")
        until(lambda runtime=runtime: settled(runtime.ok("ps", "c")))  # type: ignore[misc]
        pids = sorted(json.loads(runtime.ok("ps", "--format=json", "c")))
        rows = [line.split(None, 7) for line in runtime.ok("ps", "c").splitlines()]
        assert sorted(int(row[1]) for row in rows[1:]) == pids
        first = runtime.state("c")["pid"]
        shown.append(
            (rows[0], sorted((row[0], row[2] == str(first), row[5], row[7]) for row in rows[1:]))
        )
    assert shown[0] == shown[1]


def test_ps_columns(ours: Runtime, bundle: MakeBundle) -> None:
    """What the host's ps says of the same processes."""
    ours.start(bundle(args=["sh", "-c", "exec sleep 1003"]), "c")
    pid = str(ours.state("c")["pid"])
    until(lambda: b"1003" in Path(f"/proc/{pid}/cmdline").read_bytes())
    columns = "pid,ppid,pgid,sid,uid,user,vsz,ni,nlwp,stat,stime,tty,comm,args"
    for words in (["-o", columns], [f"-o{columns}"], ["-eo", columns]):
        lines = ours.ok("ps", "c", *words).splitlines()
        theirs = subprocess.run(
            ["ps", "-o", columns, "-p", pid], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        assert [line.split() for line in lines] == [line.split() for line in theirs]
    ours_aux = ours.ok("ps", "c", "aux").splitlines()
    theirs_aux = subprocess.run(
        ["ps", "u", "-p", pid], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    rows = [ours_aux[1].split(), theirs_aux[1].split()]
    assert ours_aux[0].split() == theirs_aux[0].split()
    # The kernel counts resident pages in batches, for each processor.
    assert abs(int(rows[0].pop(5)) - int(rows[1].pop(5))) < 1024
    for row in rows:
        assert re.fullmatch(r"\d+\.\d", row.pop(2))  # of the time since it began, which goes on
        assert re.fullmatch(r"\d+:\d\d", row.pop(7))
    assert rows[0] == rows[1]
    assert "-Z" in ours.fails("ps", "c", "-Z")
    assert "nonsense" in ours.fails("ps", "c", "-o", "pid,nonsense")
    assert "needs columns" in ours.fails("ps", "c", "-o")
    assert ours.fails("ps") == "ps takes a container id"
    assert "format" in ours.fails("ps", "--format", "xml", "c")


def test_ps_shows_no_control_characters(ours: Runtime, bundle: MakeBundle) -> None:
    args = ["sh", "-c", "sleep 1004; true", "a\nroot 1 1 0 00:00 ? 00:00:00 fake\x1b[2J"]
    ours.start(bundle(args=args), "c")
    until(lambda: len(json.loads(ours.ok("ps", "-f", "json", "c"))) == 2)
    lines = ours.ok("ps", "c").splitlines()
    assert len(lines) == 3
    assert "a?root 1 1 0 00:00 ? 00:00:00 fake?[2J" in lines[1]


def test_ps_of_a_stopped_container(ours: Runtime, bundle: MakeBundle) -> None:
    ours.start(bundle(args=["true"]), "c")
    until(lambda: ours.state("c")["status"] == "stopped")
    assert ours.ok("ps", "-f", "json", "c") == "[]\n"
    assert len(ours.ok("ps", "c").splitlines()) == 1


# --- events ---


# Left out when they are 0, which is chance for some; pressure is what newer versions tell on cgroup v2.
OMITTED = (
    "psi cache usage max periods throttledPeriods throttledTime percpu percpu_kernel percpu_user"
)


def tree(value: object) -> object:
    """The members of a document without their values."""
    if not isinstance(value, dict):
        return [] if isinstance(value, list) else None
    return {
        key: tree(member)
        for key, member in value.items()
        if key not in OMITTED.split() or (key == "usage" and isinstance(member, dict))
    }


def test_stats_are_runcs(ours: Runtime, runc: Runtime, bundle: MakeBundle) -> None:
    limits = {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 50},
        "cpu": {"quota": 50000, "period": 100000, "shares": 512},
    }
    work = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 1005"
    events = []
    for runtime, name in ((ours, "o"), (runc, "r")):
        runtime.start(bundle(name, args=["sh", "-c", work], resources=limits), "c")
        pid = runtime.state("c")["pid"]
        until(lambda pid=pid: b"1005" in Path(f"/proc/{pid}/cmdline").read_bytes())  # type: ignore[misc]
        (line,) = runtime.ok("events", "--stats", "c").splitlines()
        events.append(json.loads(line))
    mine, theirs = events
    assert (mine["type"], mine["id"]) == ("stats", "c")
    for event in events:
        data = event["data"]
        assert data["pids"] == {"current": 1, "limit": 50}
        assert data["memory"]["usage"]["limit"] == 64 << 20
        assert 0 < data["memory"]["usage"]["usage"] < 64 << 20
        assert data["cpu"]["usage"]["total"] > 1_000_000
        # Whether anything of these was used is chance.
        for part in ("blkio", "hugetlb"):
            data.pop(part)
    if isinstance(theirs["data"]["memory"].get("raw"), dict):
        assert mine["data"]["memory"]["raw"].keys() == theirs["data"]["memory"]["raw"].keys()
    assert tree(mine) == tree(theirs)


def test_events_follow_a_container(ours: Runtime, bundle: MakeBundle) -> None:
    ours.start(bundle(), "c")
    with subprocess.Popen(
        [*ours.words, "events", "--interval", "100ms", "c"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        began = time.monotonic()
        kinds = [json.loads(process.stdout.readline())["type"] for _ in range(3)]
        assert time.monotonic() - began > 0.15
        ours.ok("kill", "c", "KILL")
        kinds += [json.loads(line)["type"] for line in process.stdout]
        assert set(kinds) == {"stats"}
        assert process.wait(10 * host.SLOW) == 0
    assert ours.fails("events", "c") == "container not running: c"


def test_events_tell_of_memory(ours: Runtime, bundle: MakeBundle) -> None:
    limit = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    eat = "head -c 64m /dev/zero | tail -c 60m >/dev/null; exec sleep 1000"
    path = bundle(
        args=["sh", "-c", f"until [ -s /mnt/go ]; do sleep 0.1; done; {eat}"], resources=limit
    )
    shared = path / "shared"
    shared.mkdir()
    spec = json.loads((path / "config.json").read_text())
    spec["mounts"].append({"destination": "/mnt", "source": str(shared), "options": ["bind"]})
    (path / "config.json").write_text(json.dumps(spec))
    ours.start(path, "c")
    with subprocess.Popen(
        [*ours.words, "events", "--interval", "1h", "c"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        # It watches once it has its event descriptor.
        until(
            lambda: any(
                os.readlink(fd).startswith(("anon_inode:[eventfd]", "anon_inode:inotify"))
                for fd in Path(f"/proc/{process.pid}/fd").glob("*")
            )
        )
        time.sleep(0.05)
        (shared / "go").write_text("go\n")
        assert json.loads(process.stdout.readline()) == {"type": "oom", "id": "c"}
        ours.ok("kill", "c", "KILL")
        assert process.wait(10 * host.SLOW) == 0


@pytest.mark.parametrize("interval", ["0s", "", "5", "-1s", "5 s", "1d", "s", "nan", "1e99h"])
def test_a_wrong_interval(ours: Runtime, interval: str) -> None:
    assert "interval" in ours.fails("events", f"--interval={interval}", "c")


# --- update, pause, resume ---


def test_update(ours: Runtime, bundle: MakeBundle) -> None:
    ours.start(bundle("c"), "c")

    def limit(*files: str) -> str:
        return setting("c", *files)

    ours.ok("update", "--memory", "64m", "--pids-limit=20", "c")
    assert limit("memory.limit_in_bytes", "memory.max") == str(64 << 20)
    assert limit("pids.max") == "20"
    ours.ok("update", "c", "--memory", "1.5GiB", "--memory-reservation", "32MB")
    assert limit("memory.limit_in_bytes", "memory.max") == str(1536 << 20)
    assert limit("memory.soft_limit_in_bytes", "memory.low") == str(32 << 20)
    ours.ok("update", "--memory", "-1", "c")
    assert limit("memory.limit_in_bytes", "memory.max") in ("9223372036854771712", "max")
    ours.ok("update", "--cpu-period", "50000", "--cpu-quota", "25000", "--cpu-share", "512", "c")
    assert limit("cpu.cfs_quota_us", "cpu.max") in ("25000", "25000 50000")
    ours.ok("update", "--cpuset-cpus", "0", "c")
    assert limit("cpuset.cpus") == "0"
    assert limit("pids.max") == "20"  # what is not named stays


def test_update_by_document(ours: Runtime, bundle: MakeBundle, base: Path) -> None:
    ours.start(bundle("c"), "c")
    document = {"memory": {"limit": 48 << 20}, "pids": {"limit": 30}, "cpu": {"shares": 256}}
    ours.ok("update", "--resources", "-", "--pids-limit", "7", "c", stdin=json.dumps(document))
    assert setting("c", "memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert setting("c", "pids.max") == "30"
    (base / "resources").write_text('{"pids":{"limit":-1}}')
    ours.ok("update", f"--resources={base}/resources", "c")
    assert setting("c", "pids.max") == "max"
    assert setting("c", "memory.limit_in_bytes", "memory.max") == str(48 << 20)
    for text in ("", "{", "[]", '{"memory":{"limit":"1"}}', '{"pids":7}'):
        ours.fails("update", "-r", "-", "c", stdin=text)
    assert "no such file" in ours.fails("update", "-r", f"{base}/missing", "c")


@pytest.mark.parametrize(
    "words",
    [
        ["--memory", "1x"],
        ["--memory", "-2"],
        ["--memory", "0x10"],
        ["--memory", "9e99"],
        ["--memory", "99999999p"],
        ["--memory", "m"],
        ["--pids-limit", "many"],
        ["--cpu-period", "-1"],
        ["--cpu-share", "1.5"],
        ["--blkio-weight", "70000"],
        ["--l3-cache-schema", "L3:0=f"],
        ["--cpuset-cpus", "nonsense"],
        ["--nonsense", "1"],
    ],
)
def test_wrong_updates(ours: Runtime, bundle: MakeBundle, words: list[str]) -> None:
    ours.start(bundle("c"), "c")
    before = setting("c", "memory.limit_in_bytes", "memory.max"), setting("c", "pids.max")
    ours.fails("update", *words, "c")
    after = setting("c", "memory.limit_in_bytes", "memory.max"), setting("c", "pids.max")
    assert before == after


def test_update_and_pause_need_a_running_container(ours: Runtime, bundle: MakeBundle) -> None:
    ours.start(bundle(args=["true"]), "c")
    until(lambda: ours.state("c")["status"] == "stopped")
    assert ours.fails("update", "--memory", "64m", "c") == "container not running: c"
    assert ours.fails("pause", "c").startswith("container not running")
    assert ours.fails("resume", "c").startswith("container not paused")
    for command in ("update", "pause", "resume", "state", "ps", "events"):
        assert "does not exist" in ours.fails(command, "nobody")


def test_pause(ours: Runtime, bundle: MakeBundle, base: Path) -> None:
    path = bundle(args=["sh", "-c", "while :; do echo x >> /mnt/ticks; sleep 0.02; done"])
    shared = path / "shared"
    shared.mkdir()
    spec = json.loads((path / "config.json").read_text())
    spec["mounts"].append({"destination": "/mnt", "source": str(shared), "options": ["bind"]})
    (path / "config.json").write_text(json.dumps(spec))
    ticks = shared / "ticks"
    ours.start(path, "c")
    until(ticks.exists)
    ours.ok("pause", "c")
    before = ticks.stat().st_size
    time.sleep(0.3)
    assert ticks.stat().st_size == before
    assert ours.fails("pause", "c") == "container not running or created: c is paused"
    ours.ok("resume", "c")
    until(lambda: ticks.stat().st_size > before)
    assert ours.fails("resume", "c") == "container not paused: c is running"
    ours.ok("pause", "c")
    ours.ok("delete", "--force", "c")
    assert ours.ok("list", "-q") == ""


# --- the frame ---


def test_messages_are_what_callers_look_for(
    ours: Runtime, runc: Runtime, bundle: MakeBundle
) -> None:
    """containerd, podman, dockerd and CRI-O search runc's messages for these."""
    path = str(bundle())
    for runtime in (ours, runc):
        runtime.start(bundle(f"running-{Path(runtime.program).name}"), "c")
        assert "does not exist" in runtime.fails("state", "nobody")
        assert "invalid container ID format" in runtime.fails("state", "../x")
        assert "container with given ID already exists" in runtime.fails("create", "-b", path, "c")
        assert "not defined" in runtime.fails("state", "--nonsense")
        assert "needs an argument" in runtime.fails("create", "--bundle")


@pytest.mark.parametrize("command", ["checkpoint", "restore"])
def test_what_is_not_supported(ours: Runtime, command: str) -> None:
    assert ours.fails(command, "--image-path", "/x", "c").startswith(f"{command} is not supported")


def test_version() -> None:
    """As containerd's, dockerd's and podman's parsers take it apart."""
    for word in ("--version", "-v"):
        text = subprocess.run(
            ["fastbox-oci", word], capture_output=True, text=True, check=True
        ).stdout
        lines = text.splitlines()
        assert re.fullmatch(r"fastbox-oci version \d+\.\d+\.\d+", lines[0])
        assert lines[-1] == "spec: 1.2.0"


COMMANDS = (
    "create delete events exec features kill list pause ps resume run spec start state update"
)


def test_help(ours: Runtime) -> None:
    overview = ours.ok("--help")
    assert overview == ours.ok("help") == ours.ok() == ours.ok("-h")
    for command in COMMANDS.split():
        assert re.search(rf"^  {command} +\w", overview, re.M)
        text = ours.ok(command, "--help")
        assert text == ours.ok("help", command)
        assert text.startswith(f"Usage: fastbox-oci {command}")
    assert ours.fails("nonsense") == "unknown command: nonsense"


def test_every_documented_option_is_one(ours: Runtime) -> None:
    """An option that help names is known to the command: it complains of something else."""
    for command in COMMANDS.split():
        for name in set(re.findall(r"--([a-z][a-z0-9-]+)", ours.ok(command, "--help"))):
            done = ours(command, f"--{name}", "1")
            assert "not defined" not in done.stderr, (command, name)


def test_the_manual_has_every_option(ours: Runtime) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "man" / "fastbox-oci.8.md").read_text()
    for command in COMMANDS.split():
        section = re.search(rf"^### .*\b{command}\b[^\n]*\n(.*?)^##", manual, re.M | re.S)
        assert section, command
        for name in set(re.findall(r"--[a-z][a-z0-9-]+", ours.ok(command, "--help"))):
            # run's are create's, and its own.
            assert name in section[0] or (command == "run" and name in manual), (command, name)
    for name in set(re.findall(r"--[a-z][a-z0-9-]+", ours.ok("--help"))):
        assert name in manual


def test_options_before_the_command(ours: Runtime, base: Path) -> None:
    def run(*words: str) -> Done:
        return subprocess.run(["fastbox-oci", *words], capture_output=True, text=True)

    known = ["--debug", "--systemd-cgroup", "--rootless=auto", "--criu", "/x", "--log", "/dev/null"]
    done = run("--root", str(base / "r"), *known, "--cgroup-manager", "cgroupfs", "list", "-q")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for words, why in (
        (["--log-format", "xml", "list"], "invalid log-format: xml"),
        (["--cgroup-manager", "x", "list"], "invalid cgroup-manager: x"),
        (["--root", "/", "list"], "must not be /"),
        (["--root", "/a/../.", "list"], "must not be /"),
        (["--nonsense", "list"], "flag provided but not defined: --nonsense"),
        (["--root"], "flag needs an argument: --root"),
    ):
        done = run(*words)
        assert done.returncode == 1
        assert re.fullmatch(r'time="[^"]+" level=error msg=".+"\n', done.stderr)
        assert why in done.stderr


def test_no_groups_when_disabled(ours: Runtime, bundle: MakeBundle) -> None:
    limited = bundle(args=["cat", "/proc/self/cgroup"], resources={"pids": {"limit": 5}})
    ours.words += ["--cgroup-manager", "disabled"]
    assert GROUP not in ours.ok("run", "-b", str(limited), "c")
    ours.start(bundle("other"), "c")
    assert not groups()
    assert json.loads(ours.ok("ps", "-f", "json", "c")) == [ours.state("c")["pid"]]
    assert "no control group" in ours.fails("update", "--pids-limit", "9", "c")


def test_the_root_of_others_than_root(base: Path) -> None:
    base.chmod(0o755)
    run = base / "user"
    run.mkdir()
    os.chown(run, 65534, 65534)
    program = shutil.which("fastbox-oci")
    assert program

    def as_nobody(**environ: str) -> Done:
        return subprocess.run(
            ["/proc/self/fd/3", "state", "c"],
            user=65534,
            group=65534,
            env=environ,
            capture_output=True,
            text=True,
            pass_fds=(3,),
        )

    # By a descriptor: the tests' own tree may be closed to others.
    fd = os.open(program, os.O_RDONLY)
    saved = os.dup(3) if os.path.exists("/proc/self/fd/3") else -1
    os.dup2(fd, 3)
    try:
        assert "say --root" in as_nobody().stderr
        assert "does not exist" in as_nobody(XDG_RUNTIME_DIR=str(run)).stderr
    finally:
        os.dup2(saved, 3) if saved >= 0 else os.close(3)
        os.close(fd)


def test_it_is_static_and_starts_with_few_calls() -> None:
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/stdout", "fastbox-oci", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    calls = re.findall(r"^\d+ +(\w+)\(", done.stdout, re.M)
    assert "openat" not in calls
    assert len(calls) < 30

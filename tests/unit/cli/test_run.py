"""run and create: flags to RunOptions, and what is printed."""

from __future__ import annotations

import os
import pathlib

import pytest

from fastbox.cli import runflags
from fastbox.cli.parser import UsageError, parse
from fastbox.errors import FastboxError, Unsupported
from fastbox.types import Mount, RunOptions, Ulimit

OPTIONS = runflags.options() + runflags.run_only()


def build(*words: str) -> RunOptions:
    return runflags.build(parse(OPTIONS, words, command="run", stop_at_operand=True))


def test_nothing_but_an_image() -> None:
    assert build("busybox") == RunOptions(image="busybox")


def test_the_command_is_everything_after_the_image() -> None:
    assert build("busybox", "sh", "-c", "--", "-m") == RunOptions(
        image="busybox", argv=("sh", "-c", "--", "-m")
    )


def test_a_root_directory_instead_of_an_image() -> None:
    assert build("--rootfs", "/", "--", "id", "-u") == RunOptions(rootfs="/", argv=("id", "-u"))


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["-d"], {"detach": True}),
        (["--rm"], {"remove": True, "volatile": True}),
        (["-it"], {"tty": True, "interactive": True}),
        (
            ["--init", "--read-only", "--privileged"],
            {"init": True, "read_only": True, "privileged": True},
        ),
        (
            ["--name", "x", "-h", "y", "--domainname", "z"],
            {"name": "x", "hostname": "y", "domainname": "z"},
        ),
        (["-u", "0:0"], {"user": "0:0"}),
        (["-u", ""], {"user": ""}),
        (["-w", "/tmp"], {"workdir": "/tmp"}),
        (["--entrypoint", ""], {"entrypoint": ()}),
        (["--entrypoint", "sh"], {"entrypoint": ("sh",)}),
        (
            ["--cap-add", "ALL", "--cap-drop", "CHOWN", "--cap-drop=KILL"],
            {"cap_add": ("ALL",), "cap_drop": ("CHOWN", "KILL")},
        ),
        (["--security-opt", "seccomp=unconfined"], {"security_opt": ("seccomp=unconfined",)}),
        (["--group-add", "7"], {"group_add": ("7",)}),
        (["-m", "64m", "--memory-swap", "-1"], {"memory": 64 << 20, "memory_swap": -1}),
        (
            ["--memory-reservation", "32m", "--shm-size", "1g"],
            {"memory_reservation": 32 << 20, "shm_size": 1 << 30},
        ),
        (["--cpus", ".5", "-c", "512"], {"cpus": 0.5, "cpu_shares": 512}),
        (
            ["--cpu-quota", "50000", "--cpu-period", "100000"],
            {"cpu_quota": 50000, "cpu_period": 100000},
        ),
        (
            ["--cpuset-cpus", "0,1", "--cpuset-mems", "0"],
            {"cpuset_cpus": "0,1", "cpuset_mems": "0"},
        ),
        (["--pids-limit", "-1"], {"pids_limit": -1}),
        (["--ulimit", "nofile=1:2"], {"ulimits": (Ulimit(name="nofile", soft=1, hard=2),)}),
        (["--sysctl", "net.x=1"], {"sysctls": {"net.x": "1"}}),
        (["--net", "host"], {"network": "host"}),
        (["-l", "a=b=c", "-l", "d"], {"labels": {"a": "b=c", "d": ""}}),
        (
            ["--stop-signal", "sigint", "--stop-timeout", "3"],
            {"stop_signal": "sigint", "stop_timeout": 3.0},
        ),
        (["--log-driver", "none"], {"log_driver": "none"}),
        (["-e", "A=1", "-e", "B="], {"env": ("A=1", "B=")}),
        (["--pull", "never", "-q", "--disable-content-trust", "--platform", "linux"], {}),
    ],
)
def test_flags(words: list[str], changes: dict[str, object]) -> None:
    assert build(*words, "i") == RunOptions(image="i", **changes)


@pytest.mark.parametrize(
    ("value", "mount"),
    [
        ("/a:/b", Mount(kind="bind", source="/a", target="/b", create=True)),
        ("/a:/b:ro", Mount(kind="bind", source="/a", target="/b", create=True, read_only=True)),
        (
            "/a/../c:/b/:rw,rshared",
            Mount(kind="bind", source="/c", target="/b", create=True, propagation="rshared"),
        ),
        (
            "/a:/b:Z,ro",
            Mount(kind="bind", source="/a", target="/b", create=True, read_only=True, options="Z"),
        ),
        ("/~:/b", Mount(kind="bind", source="/~", target="/b", create=True)),
        (".:/b", Mount(kind="bind", source=os.getcwd(), target="/b", create=True)),
        ("data:/b", Mount(kind="volume", source="data", target="/b")),
        (
            "data:/b:nocopy,ro,z",
            Mount(
                kind="volume", source="data", target="/b", read_only=True, no_copy=True, options="z"
            ),
        ),
    ],
)
def test_volumes(value: str, mount: Mount) -> None:
    (made,) = build("-v", value, "i").mounts
    assert made.text
    assert made.replace(text="") == mount


@pytest.mark.parametrize(
    ("value", "mount"),
    [
        ("type=bind,source=/a,target=/b", Mount(kind="bind", source="/a", target="/b")),
        (
            "type=bind,src=/a,dst=/b,readonly",
            Mount(kind="bind", source="/a", target="/b", read_only=True),
        ),
        (
            "type=bind,src=/a,destination=/b,ro=false,bind-propagation=slave",
            Mount(kind="bind", source="/a", target="/b", propagation="slave"),
        ),
        ('type=bind,"src=/a,b",dst=/c', Mount(kind="bind", source="/a,b", target="/c")),
        ("type=bind,src=.,dst=/b", Mount(kind="bind", source=os.getcwd(), target="/b")),
        (
            "type=bind,src=/a,dst=/b,bind-recursive=disabled",
            Mount(kind="bind", source="/a", target="/b", recursive="disabled"),
        ),
        (
            "type=bind,src=/a,dst=/b,bind-nonrecursive",
            Mount(kind="bind", source="/a", target="/b", recursive="disabled"),
        ),
        (
            "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
            Mount(kind="bind", source="/a", target="/b", read_only=True, recursive="readonly"),
        ),
        ("src=a,dst=/b", Mount(kind="volume", source="a", target="/b")),
        ("type=volume,dst=/b", Mount(kind="volume", target="/b")),
        (
            "type=image,src=host:5000/a/b@sha256:1,dst=/b,image-subpath=c",
            Mount(kind="image", source="host:5000/a/b@sha256:1", target="/b", subpath="c"),
        ),
        (
            "type=volume,src=a,dst=/b,volume-driver=local,volume-label=x=y=z,volume-label=w,"
            "volume-nocopy,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-subpath=c/d",
            Mount(
                kind="volume",
                source="a",
                target="/b",
                driver="local",
                labels={"x": "y=z", "w": ""},
                no_copy=True,
                driver_options={"type": "tmpfs", "device": "tmpfs"},
                subpath="c/d",
            ),
        ),
        (
            "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1770",
            Mount(kind="tmpfs", target="/b", options="size=1048576,mode=1770"),
        ),
    ],
)
def test_mounts(value: str, mount: Mount) -> None:
    assert build("--mount", value, "i").mounts == (mount.replace(long=True),)


def test_anonymous_volumes() -> None:
    assert build("-v", "/x/", "i").mounts == (Mount(kind="volume", target="/x"),)


def test_tmpfs() -> None:
    assert build("--tmpfs", "/t:size=1m,exec", "--tmpfs", "/u", "i").mounts == (
        Mount(kind="tmpfs", target="/t", options="size=1m,exec"),
        Mount(kind="tmpfs", target="/u"),
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ([], "it needs an image"),
        (["-m", "lots", "i"], 'invalid value "lots" for --memory: '),
        (
            ["--cpus", "-1", "i"],
            'invalid value "-1" for --cpus: not a number, for example --cpus 0.5',
        ),
        (["--pids-limit", "x", "i"], 'invalid value "x" for --pids-limit: not a whole number'),
        (["--ulimit", "x", "i"], 'invalid value "x" for --ulimit: '),
        (["--stop-signal", "x", "i"], 'invalid value "x" for --stop-signal: unknown signal "x"'),
        (["--stop-timeout", "1.5", "i"], 'invalid value "1.5" for --stop-timeout: '),
        (["--sysctl", "x", "i"], 'invalid value "x" for --sysctl: not name=value'),
        (["-e", "=x", "i"], 'invalid value "=x" for --env: it has no name'),
        (["-l", "=x", "i"], 'invalid value "=x" for --label: it has no name'),
        (["--rootfs", "", "i"], 'invalid value "" for --rootfs: it is empty'),
        (["--cpus", "1", "--cpu-quota", "5", "i"], "--cpus already sets the quota"),
        (
            ["-v", "a/b:/c", "i"],
            'invalid value "a/b:/c" for --volume: the source "a/b" is not an absolute path',
        ),
        (["-v", "/a:b", "i"], 'the target "b" is not an absolute path'),
        (["-v", "/a:/", "i"], 'the target can\'t be "/"'),
        (["-v", "/a:/b:rx", "i"], 'unknown option "rx"'),
        (["-v", "/a:/b:ro:x", "i"], "not source:target[:options]"),
        (["-v", ":/b", "i"], "not source:target[:options]"),
        (["-v", "/a:/b", "--tmpfs", "/b", "i"], "two mounts have this target"),
        (["--mount", "type=bind,src=a,dst=/b", "i"], 'the source "a" is not an absolute path'),
        (["--mount", "type=bind,src=/a", "i"], 'the target "" is not an absolute path'),
        (["--mount", "type=nfs,src=/a", "i"], 'unknown type "nfs"'),
        (["--mount", "type=tmpfs,src=/a,dst=/b", "i"], "a tmpfs has no source"),
        (["--mount", "type=bind,src=/a,dst=/b,volume-nocopy", "i"], "nocopy is for type=volume"),
        (["--mount", "type=bind,src=/a,dst=/b,volume-label=x", "i"], "label is for type=volume"),
        (["--mount", "src=a/b,dst=/b", "i"], 'the source "a/b" is not a name'),
        (["--mount", "type=bind,src=/a,dst=/b,bind-recursive=x", "i"], "bind-recursive is enabled"),
        (["--mount", "type=bind,src=/a,dst=/b,bind-recursive=writable", "i"], "needs readonly"),
        (
            ["--mount", "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "i"],
            "needs bind-propagation=rprivate",
        ),
        (["-v", "/a:/b:nocopy", "i"], '"nocopy" is not for a bind'),
        (["-v", "a:/b:rshared", "i"], '"rshared" is not for a volume'),
        (["-v", "/a:/b:ro,rw", "i"], '"ro" and "rw" contradict'),
        (["-v", "/", "i"], 'the target can\'t be "/"'),
        (["-v", "x", "i"], 'the target "x" is not an absolute path'),
        (["--mount", "type=bind,size=3", "i"], 'unknown key "size"'),
        (["--mount", "type=bind,src", "i"], '"src" has no value'),
        (["--mount", 'type=bind,"src', "i"], "not a list with commas"),
        (
            ["--mount", "type=tmpfs,dst=/b,tmpfs-mode=9", "i"],
            'invalid value "9" for --mount: not an octal mode',
        ),
    ],
)
def test_bad_values(words: list[str], part: str) -> None:
    with pytest.raises(UsageError) as raised:
        build(*words)
    assert part in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [["--pull", "always", "i"], ["--platform", "linux/riscv64", "i"]],
)  # fmt: skip
def test_what_comes_later(words: list[str]) -> None:
    with pytest.raises(Unsupported) as raised:
        build(*words)
    assert raised.value.hint


def test_environment_files(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "from here")
    monkeypatch.delenv("NOT_THERE", raising=False)
    file = tmp_path / "env"
    file.write_bytes(
        b"\xef\xbb\xbf# comment\n\n  A=1 \nB=x=y # no comment\r\nTAKEN\nNOT_THERE\nC=\n"
    )
    found = build("-e", "A=2", "--env-file", str(file), "-e", "NOT_THERE", "-e", "TAKEN", "i")
    assert found.env == (
        "A=1 ",
        "B=x=y # no comment",
        "TAKEN=from here",
        "C=",
        "A=2",
        "NOT_THERE",
        "TAKEN=from here",
    )


@pytest.mark.parametrize(
    ("data", "line"), [(b"A=1\nB C=1", "line 2"), (b"=1", "line 1"), (b"A=1\n\xff", "line 2")]
)
def test_bad_environment_files(tmp_path: pathlib.Path, data: bytes, line: str) -> None:
    file = tmp_path / "env"
    file.write_bytes(data)
    with pytest.raises(FastboxError, match=line):
        build("--env-file", str(file), "i")
    with pytest.raises(FastboxError, match="cannot read the file"):
        build("--env-file", str(tmp_path / "none"), "i")


def test_label_files(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=1\n# x\nb\n")
    assert build("--label-file", str(file), "-l", "a=2", "i").labels == {"a": "2", "b": ""}


def test_detached_prints_the_id(shell) -> None:
    shell.containers.answers["start_detached"] = "f" * 64
    assert shell("run", "-d", "busybox", "sleep", "9") == 0
    assert shell.out == "f" * 64 + "\n"
    assert shell.containers.calls[0][1][0].argv == ("sleep", "9")
    assert shell.err == ""


def test_attached_ends_with_the_containers_code(shell, ended) -> None:
    attachment = shell.containers.answers["start_attached"] = ended("exit", 42)
    assert shell("run", "--sig-proxy=false", "--detach-keys", "ctrl-x,y", "busybox") == 42
    assert attachment.given == {"detach_keys": b"\x18y", "forward_signals": False}
    assert attachment.closed
    assert shell.containers.calls[0][2] == {"rows": 0, "columns": 0}


@pytest.mark.parametrize(("kind", "code"), [("detached", 0), ("lost", 125)])
def test_other_ends(shell, ended, kind: str, code: int) -> None:
    shell.containers.answers["start_attached"] = ended(kind, 42)
    assert shell("run", "busybox") == code


def test_ports_and_the_hosts_network(shell, ended) -> None:
    shell.containers.answers |= {"start_attached": ended(), "warnings": ()}
    shell("run", "--network", "host", "-p", "80:80", "busybox")
    assert shell.err == "WARNING: Published ports are discarded when using host network mode\n"
    shell("run", "-p", "80:80", "busybox")
    assert shell.err == ""


@pytest.mark.parametrize("keys", ["ctrl-", "ctrl-ä", "ab", "ctrl-p,", "alt-x"])
def test_bad_detach_keys_start_nothing(shell, keys: str) -> None:
    assert shell("run", "--detach-keys", keys, "busybox") == 125
    assert 'for --detach-keys: "' in shell.err
    assert not shell.containers.calls


def test_the_id_file(shell, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "id"
    shell.containers.answers["create"] = "e" * 64
    assert shell("create", "--cidfile", str(file), "busybox") == 0
    assert file.read_text() == "e" * 64
    assert shell("create", "--cidfile", str(file), "busybox") == 125
    assert "already there" in shell.err
    file.unlink()
    monkey = shell.containers
    monkey.answers.clear()

    def fail(*_: object, **__: object) -> str:
        raise Unsupported("no")

    monkey.create = fail
    assert shell("create", "--cidfile", str(file), "busybox") == 125
    assert not file.exists()

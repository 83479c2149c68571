"""build's flags to BuildOptions, one by one."""

from __future__ import annotations

import pytest

from fastbox.builds import BuildOptions, CacheSource, Output, Secret, Ssh
from fastbox.cli import buildflags
from fastbox.cli.parser import UsageError, parse
from fastbox.errors import FastboxError, Unsupported
from fastbox.types import Ulimit


def read(*words: str):
    return parse(buildflags.options(), words, command="build")


def build(*words: str) -> BuildOptions:
    return buildflags.build(read(*words, "."))


def test_nothing_but_a_context() -> None:
    assert build() == BuildOptions()
    url = "https://example.com/a.git#main:sub"
    assert buildflags.build(read(url)) == BuildOptions(context=url)


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        (["-t", "a", "--tag=b:1"], {"tags": ("a", "b:1")}),
        (["-f", "x/Dockerfile"], {"file": "x/Dockerfile"}),
        (["--target", "test"], {"target": "test"}),
        (["--platform", "linux/arm64"], {"platform": "linux/arm64"}),
        (["--network", "none"], {"network": "none"}),
        (["--no-cache"], {"no_cache": True}),
        (["--no-cache-filter", "a,b", "--no-cache-filter=c"], {"no_cache_filter": ("a", "b", "c")}),
        (["--pull"], {"pull": True}),
        (["--squash"], {"squash": True}),
        (["--build-arg", "A=1", "--build-arg", "B="], {"args": {"A": "1", "B": ""}}),
        (["--label", "a=b=c", "--label", "d"], {"labels": {"a": "b=c", "d": ""}}),
        (["--build-context", "src=../src"], {"contexts": {"src": "../src"}}),
        (["--add-host", "db:192.0.2.1", "--add-host", "h=::1"], {"extra_hosts": ("db:192.0.2.1", "h:::1")}),
        (["--add-host", "me:host-gateway"], {"extra_hosts": ("me:host-gateway",)}),
        (["--ulimit", "nofile=1:2"], {"ulimits": (Ulimit(name="nofile", soft=1, hard=2),)}),
        (["--shm-size", "1g"], {"shm_size": 1 << 30}),
        (["-m", "64m", "--memory-swap", "-1"], {"memory": 64 << 20, "memory_swap": -1}),
        (["-c", "512", "--cpu-period", "1000", "--cpu-quota", "500"], {"cpu_shares": 512, "cpu_period": 1000, "cpu_quota": 500}),
        (["--cpuset-cpus", "0-3", "--cpuset-mems", "0"], {"cpuset_cpus": "0-3", "cpuset_mems": "0"}),
        (["--cgroup-parent", "/x"], {"cgroup_parent": "/x"}),
        (["--security-opt", "seccomp=unconfined"], {"security_opt": ("seccomp=unconfined",)}),
        (["--allow", "network.host,security.insecure"], {"allow": ("network.host", "security.insecure")}),
    ],
)  # fmt: skip
def test_a_flag(words: list[str], changes: dict) -> None:
    assert build(*words) == BuildOptions(**changes)


def test_what_changes_nothing() -> None:
    words = (
        "--compress --disable-content-trust --force-rm --isolation=default --load --rm=false "
        "--builder=x --push=false --sbom=false --provenance=false --attest=type=sbom,disabled=true"
    )
    assert build(*words.split()) == BuildOptions()
    assert build("--provenance", "mode=max,disabled=true") == BuildOptions()


def test_a_build_argument_of_this_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "value")
    monkeypatch.delenv("MISSING", raising=False)
    assert build("--build-arg", "HERE", "--build-arg", "MISSING").args == {"HERE": "value"}


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ("out", {"kind": "local", "target": "out"}),
        ("-", {"kind": "tar", "target": "-"}),
        ("type=local,dest=out", {"kind": "local", "target": "out"}),
        ('"type=local","dest=a,b"', {"kind": "local", "target": "a,b"}),
        ("type=tar", {"kind": "tar", "target": "-"}),
        ("type=tar,dest=x.tar", {"kind": "tar", "target": "x.tar"}),
        ("type=oci,dest=x,compression=zstd", {"kind": "oci", "target": "x", "attributes": {"compression": "zstd"}}),
        ("type=docker", {"kind": "image"}),
        ("type=docker,dest=-", {"kind": "docker", "target": "-"}),
        ("type=image,name=a:1,push=false", {"kind": "image", "name": "a:1"}),
    ],
)  # fmt: skip
def test_output(text: str, output: dict) -> None:
    assert build("-o", text).outputs == (Output(**output),)


@pytest.mark.parametrize(
    ("flag", "text", "source"),
    [
        ("cache-from", "img", [{"kind": "registry", "ref": "img"}]),
        ("cache-from", "a,b", [{"kind": "registry", "ref": "a"}, {"kind": "registry", "ref": "b"}]),
        ("cache-from", "type=registry,ref=img", [{"kind": "registry", "ref": "img"}]),
        ("cache-from", "type=local,src=dir", [{"kind": "local", "path": "dir"}]),
        ("cache-from", "type=local,src=dir,tag=x", [{"kind": "local", "path": "dir", "attributes": {"tag": "x"}}]),
        ("cache-to", "type=local,dest=dir,mode=max", [{"kind": "local", "path": "dir", "mode": "max"}]),
        ("cache-to", "type=inline", [{"kind": "inline"}]),
        ("cache-to", "type=registry,ref=img", [{"kind": "registry", "ref": "img"}]),
    ],
)  # fmt: skip
def test_caches(flag: str, text: str, source: list[dict]) -> None:
    wanted = build(f"--{flag}", text)
    assert getattr(wanted, flag.replace("-", "_")) == tuple(CacheSource(**one) for one in source)


def test_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "x")
    words = (
        "id=a,src=path",
        "id=b,env=VAR",
        "type=env,id=c,src=VAR",
        "id=TOKEN",
        "id=e",
        "id=f,source=p",
    )
    flags = [word for text in words for word in ("--secret", text)]
    assert build(*flags).secrets == (
        Secret(id="a", path="path"),
        Secret(id="b", env="VAR"),
        Secret(id="c", env="VAR"),
        Secret(id="TOKEN", env="TOKEN"),
        Secret(id="e", path="e"),
        Secret(id="f", path="p"),
    )


def test_agents() -> None:
    assert build("--ssh", "default", "--ssh", "k=/a,/b").ssh == (
        Ssh(id="default"),
        Ssh(id="k", paths=("/a", "/b")),
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--output", ""],
        ["-o", "dest=x"],
        ["-o", "type=zip,dest=x"],
        ["-o", "type=local"],
        ["-o", "type=local,dest=-"],
        ["-o", "type=image,dest=x"],
        ["-o", "type=tar,type=oci"],
        ["-o", 'type="tar'],
        ["-o", "-", "-o", "type=oci"],
        ["--cache-from", "type=inline"],
        ["--cache-from", "type=local"],
        ["--cache-from", "src=x"],
        ["--cache-from", ""],
        ["--cache-to", "type=local,dest=x,mode=most"],
        ["--cache-to", "type=tape"],
        ["--secret", ""],
        ["--secret", "src=x"],
        ["--secret", "id=a,src=x,env=Y"],
        ["--secret", "id=a,src=x,source=y"],
        ["--secret", "id=a,colour=red"],
        ["--secret", "id=a,type=cloud"],
        ["--secret", "id=a", "--secret", "id=a,src=b"],
        ["--ssh", ""],
        ["--ssh", "=x"],
        ["--ssh", "a="],
        ["--ssh", "a", "--ssh", "a"],
        ["--build-arg", "=1"],
        ["--label", "=1"],
        ["--build-context", "src"],
        ["--build-context", "=x"],
        ["--add-host", "nonsense"],
        ["--ulimit", "x"],
        ["--shm-size", "x"],
        ["-m", "x"],
        ["--allow", "everything"],
        ["--attest", "type=poem"],
        ["-f", "-", "-"],
    ],
)
def test_what_can_not_be_read(words: list[str]) -> None:
    operands = () if words[-1] == "-" and len(words) == 3 else (".",)
    with pytest.raises(UsageError) as caught:
        buildflags.build(read(*words, *operands))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--push"], "registry"),
        (["-o", "type=registry,name=x"], "pushing"),
        (["-o", "type=image,push=true"], "pushing"),
        (["--cache-to", "type=gha"], "gha"),
        (["--provenance=true"], "attestation"),
        (["--sbom", "true"], "attestation"),
        (["--attest", "type=sbom"], "attestation"),
        (["--annotation", "a=b"], "--annotation"),
        (["--isolation", "hyperv"], "Windows"),
        (["--platform", "linux/amd64,linux/arm64"], "several platforms"),
    ],
)
def test_what_is_not_there_yet(words: list[str], says: str) -> None:
    with pytest.raises(Unsupported, match=says):
        build(*words)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], ("build", "")),
        (["--check"], ("check", "")),
        (["--call=check"], ("check", "")),
        (["--call=lint,format=json"], ("check", "json")),
        (["--print=graph"], ("graph", "")),
        (["--print=graph:svg"], ("graph", "svg")),
        (["--print", "graph,format=svg"], ("graph", "svg")),
        (["--print", "graph", "--check"], ("graph", "")),
        (["--call=build"], ("build", "")),
    ],
)
def test_calls(words: list[str], found: tuple[str, str]) -> None:
    assert buildflags.call(read(*words, ".")) == found


@pytest.mark.parametrize(
    "text", ["outline", "targets", "poem", "graph:png", "check:svg", "build,format=json", "graph,x"]
)
def test_calls_that_are_refused(text: str) -> None:
    with pytest.raises(FastboxError):
        buildflags.call(read("--print", text, "."))


def test_every_flag_has_one_name_and_letter() -> None:
    options = buildflags.options()
    assert len({option.name for option in options}) == len(options)
    letters = [option.short for option in options if option.short]
    assert sorted(letters) == sorted(set(letters))

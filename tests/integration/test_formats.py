"""What is shown, beside docker's client: templates, `ps`, `inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fastbox.cli.render.template import Template
from fastbox.cli.render.typed import fill
from fastbox.errors import FastboxError

from .conftest import Box

pytestmark = pytest.mark.integration

TEMPLATES = (Path(__file__).parent / "templates.txt").read_text().splitlines()
WORDS = (
    "create", "--name", "shown", "--label", "a.b-c=1", "--label", "x=y", "-e", "FOO=bar",
    "--expose", "80", "--network", "none", "--dns", "192.0.2.1", "--dns-search", "example.com",
    "--add-host", "db:192.0.2.2", "busybox", "sh", "-c", "echo hi",
)  # fmt: skip


@pytest.fixture(scope="module")
def theirs(docker: Any) -> Iterator[dict[str, Any]]:
    """Docker's object of a container made by these words."""
    docker(*WORDS)
    yield json.loads(docker("inspect", "shown").stdout)[0]
    docker("rm", "shown")


@pytest.fixture(scope="module")
def ours(box: Box) -> Iterator[dict[str, Any]]:
    box(*WORDS)
    yield json.loads(box("inspect", "shown").stdout)[0]
    box("rm", "shown")


def test_templates_are_dockers(docker: Any, theirs: dict[str, Any]) -> None:
    """Docker's own object through our templates: the same text, or the same complaint."""

    def ask(text: str) -> str:
        done = docker("inspect", "--format", text, "shown", check=False)
        if done.returncode:
            return str(done.stderr.decode().strip())
        return str(done.stdout.decode()[:-1])

    def answer(text: str) -> str:
        try:
            return fill(Template(text), theirs)
        except FastboxError as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        expected = list(pool.map(ask, TEMPLATES))
    different = [
        (text, want, answer(text))
        for text, want in zip(TEMPLATES, expected, strict=True)
        if answer(text) != want
    ]
    assert not different


PS = (
    r"table {{.Names}}\t{{.Command}}\t{{.State}}\t{{.Status}}\t{{.Ports}}\t{{.Label `x`}}",
    r"table {{.Names}}\t{{.Label `a.b-c`}}\t{{upper .Networks}}\t{{.LocalVolumes}}\t{{.Mounts}}",
    "{{.Names}} {{.Labels}} {{.Networks}} {{.LocalVolumes}}[{{.Mounts}}]{{.Platform}}",
    "{{.Names}}|{{truncate .Names 2}}|{{pad .Names 1 2}}|{{.Label `none`}}|{{.Size | printf `%.2s`}}",
    "{{if eq .State `created`}}{{.Names}}{{else}}-{{end}} {{json .Names}}",
    r"{{.Names}}\t{{range split .Labels `,`}}<{{.}}>{{end}}",
    "{{.ID",
)  # fmt: skip


@pytest.mark.parametrize("form", PS)
def test_ps_is_dockers(
    box: Box, docker: Any, theirs: dict[str, Any], ours: dict[str, Any], form: str
) -> None:
    mine = box("ps", "-a", "--format", form, check=False)
    its = docker("ps", "-a", "--format", form, check=False)
    assert mine.stdout == its.stdout.decode()
    assert (mine.returncode == 0) == (its.returncode == 0)
    if its.stderr:
        assert its.stderr.decode().strip().rpartition("template: ")[2] in mine.stderr


def test_ps_json_has_dockers_members(
    box: Box, docker: Any, theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    mine = json.loads(box("ps", "-a", "--format", "json").stdout)
    its = json.loads(docker("ps", "-a", "--format", "json").stdout)
    assert list(mine) == list(its)
    own = {"CreatedAt", "ID", "RunningFor"}
    assert {k: v for k, v in mine.items() if k not in own} == {
        k: v for k, v in its.items() if k not in own
    }
    # 2026-01-02 03:04:05 +0000 UTC
    assert len(mine["CreatedAt"]) == len(its["CreatedAt"]) == 29
    heading = box("ps", "-as").stdout.splitlines()[0].split()
    assert heading == docker("ps", "-as").stdout.decode().splitlines()[0].split()


# What docker 20.10 says otherwise of such a container, and why.
OTHER = {
    "Driver": "the name of the driver of layers",
    "HostConfig.CgroupnsMode": "private by default, as docker's on cgroup v2",
    "HostConfig.MaskedPaths": "more are masked: docs/security-defaults.md",
    "HostConfig.ReadonlyPaths": "more are masked: docs/security-defaults.md",
    "HostConfig.PidsLimit": "4096 by default: docs/security-defaults.md",
    "HostConfig.Runtime": "fastbox's own",
    "HostConfig.Isolation": "",
    "Config.Env": "PATH, which docker's adds when it starts",
    "Config.StopSignal": "always told",
    "Config.WorkingDir": "the one in use",
    "GraphDriver.Name": "the name of the driver of layers",
}
# Values that differ from container to container, or paths of the engine.
VARIES = (
    "Id", "Created", "Image", "ResolvConfPath", "HostnamePath", "HostsPath", "LogPath",
    "Config.Hostname", "GraphDriver.Data.LowerDir", "GraphDriver.Data.MergedDir",
    "GraphDriver.Data.UpperDir", "GraphDriver.Data.WorkDir",
)  # fmt: skip
ADDED = {
    "HostConfig.Init", "NetworkSettings.Networks.none.DNSNames", "Config.StopSignal",
    "NetworkSettings.Networks.none.GwPriority",
}  # fmt: skip


def flat(value: object, path: str = "") -> dict[str, object]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    found: dict[str, object] = {}
    for name, each in value.items():
        found |= flat(each, f"{path}.{name}" if path else name)
    return found


def test_inspect_has_dockers_members(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    its, mine = flat(theirs), flat(ours)
    assert sorted(set(its) - set(mine)) == []
    assert set(mine) - set(its) <= ADDED
    different = {
        path: (its[path], mine[path])
        for path in its
        if its[path] != mine[path] and path not in VARIES and path not in OTHER
    }
    assert different == {}
    kinds = {
        path: (type(its[path]), type(mine[path]))
        for path in its
        if type(its[path]) is not type(mine[path]) and None not in (its[path], mine[path])
    }
    assert kinds == {}
    order = [name for name in ours if name in theirs]
    assert order == [name for name in theirs if name in ours]


def test_inspect_goes_on_after_what_is_missing(box: Box, ours: dict[str, Any]) -> None:
    done = box("inspect", "-f", "{{.Name}}", "nobody", "shown", "busybox:no", check=False)
    assert done.returncode == 1
    assert done.stdout == "/shown\n"
    assert done.stderr.count(": no such container, image, network or volume") == 2
    for words in (("container", "inspect"), ("inspect", "--type", "container")):
        assert json.loads(box(*words, "shown").stdout)[0]["Id"] == ours["Id"]
        done = box(*words, "busybox", check=False)
        assert (done.returncode, done.stdout) == (1, "[]\n")
    assert box("inspect", "--type=image", "shown", check=False).returncode == 1
    assert 'unknown type: "thing": must be one of' in box.fails("inspect", "--type=thing", "shown")


def test_inspect_by_type_and_size(box: Box, ours: dict[str, Any]) -> None:
    assert "SizeRw" not in ours
    (sized,) = json.loads(box("inspect", "-s", "shown").stdout)
    assert sized["SizeRw"] == 0
    assert sized["SizeRootFs"] > 100_000
    form = "{{.SizeRw}} {{.State.Health}} {{.Config.ExposedPorts}}"
    assert box("inspect", "-f", form, "shown").stdout == "<nil> <nil> map[80/tcp:{}]\n"
    assert json.loads(box("inspect", "-f", "json", "busybox").stdout)[0]["RepoTags"]
    assert (
        box("container", "inspect", "-f", "{{index .Config.Labels `x`}}", "shown").stdout == "y\n"
    )

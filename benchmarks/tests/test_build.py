"""What the suites of builds build, and how a sample is taken, with builders that build nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.suite import Field, open_field
from benchmarks.suites import build, choose
from benchmarks.vs_peers.clients import Measured
from benchmarks.vs_peers.lab import Missing

SUITES = {suite.name: suite for suite in build.SUITES}


class Recorder:
    """A builder that keeps what it was asked for, and the Dockerfile that was there."""

    def __init__(self, error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self.texts: list[str] = []
        self.error = error

    def build(self, context: str, tag: str) -> Measured:
        self.asked.append(tag)
        dockerfile = Path(context, "Dockerfile")
        self.texts.append(dockerfile.read_text() if dockerfile.exists() else "")
        return Measured([1000.0], 1000.0)

    def prune(self) -> None:
        if self.error:
            raise self.error
        self.asked.append("prune")


def test_files_are_the_same_each_time_and_pack_to_half(tmp_path: Path) -> None:
    for name in ("one", "two"):
        build.write_files(str(tmp_path / name), 250, 64)
    first, second = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in found}
        for name in ("one", "two")
        for found in [[path for path in (tmp_path / name).rglob("*") if path.is_file()]]
    )
    assert first == second
    assert len(set(first.values())) == 250
    assert {len(data) for data in first.values()} == {64}
    assert [path.name for path in sorted((tmp_path / "one").iterdir())] == ["d000", "d001", "d002"]


def test_one_file_of_the_context_changes_and_never_back(tmp_path: Path) -> None:
    build.write_files(str(tmp_path / "src"), build.FILES, build.FILE_BYTES)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.txt")}
    seen = set()
    for _ in range(3):
        build.change_one(str(tmp_path))
        after = {path: path.read_bytes() for path in tmp_path.rglob("*.txt")}
        changed = [path for path, data in after.items() if data != before[path]]
        assert len(changed) == 1
        assert len(after[changed[0]]) == build.FILE_BYTES
        seen.add(after[changed[0]])
    assert len(seen) == 3


@pytest.mark.parametrize("write", [build.three_stages, build.many_steps])
def test_a_dockerfile_is_new_each_time(tmp_path: Path, write: Any) -> None:
    texts = []
    for _ in range(3):
        write(str(tmp_path), "docker")
        texts.append((tmp_path / "Dockerfile").read_text())
    assert len({line for text in texts for line in text.splitlines() if "echo" in line}) == sum(
        text.count("echo") for text in texts
    )


def test_a_sample_of_many_steps_is_of_one_and_cold_ones_are_pruned_before(tmp_path: Path) -> None:
    tool, steps = Recorder(), build.Task(str, before=build.many_steps, steps=build.steps_of)
    for row, count in (("cli", 100), ("engine", 100), ("fewer", 20), ("docker", 20)):
        found = build.measured(tool, steps, str(tmp_path), row)
        assert found.samples == [1000.0 / count]
        assert tool.texts[-1].count("RUN ") == count
    assert "prune" not in tool.asked
    tool = Recorder()
    build.measured(tool, build.Task(str, cold=True), str(tmp_path), "cli")
    assert tool.asked == ["prune", f"built-{tmp_path.name}"]


def test_a_cache_that_cannot_be_emptied_is_a_failure_and_no_sample(tmp_path: Path) -> None:
    tool = Recorder(RuntimeError("no"))
    found = build.measured(tool, build.Task(str, cold=True), str(tmp_path), "cli")
    assert (found.samples, found.failures, found.error) == ([], 1, "RuntimeError: no")
    assert tool.asked == []


def test_who_is_not_installed_is_missing_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def tool(_lab: Any, name: str) -> Recorder:
        if name == "buildah":
            raise Missing("buildah is not installed")
        return Recorder()

    class Lab:
        def file(self, *names: str) -> str:
            return str(tmp_path.joinpath(*names))

        def sub(self, *names: str) -> str:
            Path(self.file(*names)).mkdir(parents=True, exist_ok=True)
            return self.file(*names)

    monkeypatch.setattr(build, "builder", tool)
    lab: Any = Lab()
    for name in ("build_cold", "build_stages", "build_steps"):
        field: Field = open_field(SUITES[name], lab)
        assert field.missing == {"buildah": "buildah is not installed"}
        assert field.lost() == []


def test_a_trial_is_built_once_and_then_the_real_context(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tool = Recorder()
    monkeypatch.setattr(build, "builder", lambda _lab, _name: tool)
    lab: Any = None
    task = build.Task(lambda _: str(tmp_path / "real"), trial=lambda _: str(tmp_path / "trial"))
    measure = build._measure(lab, task, {}, "cli")
    for _ in range(3):
        measure(1, 1)
    assert tool.asked == ["built-trial", "built-real", "built-real"]


def test_the_suites_are_chosen_by_the_name_of_their_file() -> None:
    assert [one.name for one in choose(["build"])] == list(SUITES)

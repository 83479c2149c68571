"""Dockerfiles built by fastbox, by docker's BuildKit and by its classic builder: the same images."""

from __future__ import annotations

import fnmatch
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import fastbox

from . import build_cases_config, build_cases_files, build_cases_language
from .build_differences import DIFFERENCES
from .build_parties import CLIENT, Case, compare, fill, of_docker, of_fastbox
from .conftest import Box, Docker, busybox_tar

pytestmark = pytest.mark.integration

CASES = [*build_cases_config.CASES, *build_cases_files.CASES, *build_cases_language.CASES]


@pytest.fixture
def engine(box: Box) -> Iterator[fastbox.Engine]:
    with fastbox.Engine.open() as engine:
        yield engine


@pytest.fixture(scope="module", autouse=True)
def forgotten(request: pytest.FixtureRequest, box: Box) -> Iterator[None]:
    """What was built goes with the last test; of docker, too, which others list things of."""
    docker: Docker = request.getfixturevalue("docker")
    yield
    docker("system", "prune", "-f")
    names = box("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    box("rmi", "-f", *[name for name in names if name.startswith(("made:", "before:"))])
    box("image", "prune", "-f")
    box("builder", "prune", "-af")


@pytest.fixture(scope="module")
def buildkit(docker: Docker) -> Docker:
    """The daemon, with a client that asks its BuildKit."""
    assert Path(CLIENT).exists(), "docker.io has its client there"
    return docker


def chosen(number: int, case: Case) -> object:
    """Two of five are enough for every day; `make test-soak` has all."""
    marks = () if number % 5 < 2 else (pytest.mark.slow,)
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [chosen(*each) for each in enumerate(CASES)])
def test_the_same_image(case: Case, engine: fastbox.Engine, buildkit: Docker, box: Box) -> None:
    base = Path(tempfile.mkdtemp(prefix="fastbox-build-", dir="/var/tmp"))
    where = base / "context"
    try:
        where.mkdir()
        fill(where, {**case.files, "Dockerfile": case.text})
        Path(f"{where}.before").write_text(case.before.replace("FROM @", "FROM busybox"))
        with ThreadPoolExecutor(2) as pool:
            theirs = {
                party: pool.submit(of_docker, buildkit, case, where, party)
                for party in case.parties
            }
            ours = of_fastbox(engine, case, where)
        outcomes = {party: outcome.result() for party, outcome in theirs.items()}
    finally:
        shutil.rmtree(base)
    wrong, met = [], set()
    if bool(ours.error) != case.fails:
        wrong.append(f"fastbox: {ours.error or 'built what can not be built'}")
    for party, outcome in outcomes.items():
        for line in compare(ours, outcome):
            known = [
                number
                for number, each in enumerate(DIFFERENCES)
                if party in each.parties and fnmatch.fnmatch(case.name, each.cases)
                and re.match(each.what, line)
            ]  # fmt: skip
            met.update(known)
            if not known:
                wrong.append(f"{party}: {line}")
    wrong += [
        f"no such difference any more: {each.what}"
        for number, each in enumerate(DIFFERENCES)
        if each.cases == case.name and number not in met
    ]
    assert not wrong, "\n".join(["fastbox / other", *wrong, "", case.text])


def test_a_base_without_path(engine: fastbox.Engine, buildkit: Docker, box: Box) -> None:
    """The usual one comes after its own variables."""
    box("import", "-c", "ENV Z=1 A=2", "-", "before:env", stdin=busybox_tar())
    buildkit("import", "-c", "ENV Z=1 A=2", "-", "before:env", stdin=busybox_tar())
    case = Case(name="env", text="FROM before:env\nENV B=3\n", files={}, parties=("buildkit",))
    with tempfile.TemporaryDirectory(prefix="fastbox-build-", dir="/var/tmp") as where:
        fill(Path(where), {"Dockerfile": case.text})
        ours = of_fastbox(engine, case, Path(where))
        assert not compare(ours, of_docker(buildkit, case, Path(where), "buildkit"))
    assert ours.config
    assert [entry[:2] for entry in ours.config["Env"]] == ["Z=", "A=", "PA", "B="]


def test_cases_have_names_of_their_own() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 60
    for each in DIFFERENCES:
        assert fnmatch.filter(names, each.cases), each.cases
        assert each.reason

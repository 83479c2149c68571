"""The engines, started once; after each test nothing of it may be left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..integration.archives import docker_archive, tar
from ..integration.conftest import busybox_tar
from .engines import Docker, Engine, Podman
from .place import IMAGE, Place, oci


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


@pytest.fixture(scope="session")
def program() -> str:
    return oci()


@pytest.fixture(scope="session")
def image(place: Place) -> Path:
    """An archive that every engine can load: busybox and a few files for the tests."""
    path = place.base / "image.tar"
    settings = {"Cmd": ["sh"], "Env": ["PATH=/bin:/sbin:/usr/bin"]}
    archive = docker_archive([busybox_tar()], [IMAGE], config=settings)
    path.write_bytes(tar(archive))
    return path


@pytest.fixture(scope="session")
def podman(place: Place, program: str, image: Path) -> Iterator[Podman]:
    podman = Podman(place, program)
    podman("load", "-i", str(image))
    yield podman
    podman.close()


@pytest.fixture(scope="session")
def docker(place: Place, program: str, image: Path) -> Iterator[Docker]:
    if "FASTBOX_TEST_VM" in os.environ:
        pytest.skip("dockerd gives its containerd 15 s, an emulated machine may take longer")
    docker = Docker(place, program)
    try:
        docker("load", "-i", str(image))
        yield docker
    finally:
        docker.close()


@pytest.fixture(scope="session", params=["podman", "docker"])
def engine(request: pytest.FixtureRequest) -> Engine:
    engine = request.getfixturevalue(request.param)
    assert isinstance(engine, Engine)
    return engine


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest, place: Place) -> Iterator[None]:
    names = set(request.fixturenames)
    for name in names & {"podman", "docker", "containerd", "engine", "box"}:
        request.getfixturevalue(name)
    before = place.snapshot()
    yield
    if "engine" in names:
        engine = request.getfixturevalue("engine")
        assert isinstance(engine, Engine)
        engine.clear()
    left = place.left(before)
    assert not left, f"left behind: {left}"

"""The pytest plugin: an engine, and containers that end with their test, module or session.

It is found by its entry point and costs nothing where it is not used: nothing of fastbox is
imported before a fixture is asked for. What a killed pytest leaves is taken away by the containers'
supervisors; each worker of pytest-xdist has a session of its own, in one store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from fastbox.engine import Engine
    from fastbox.testing.factory import ContainerFactory

MARKER = (
    "fastbox(**options): options for every container that the test's fastbox_container starts, "
    "such as memory='64m'"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The command line's options."""
    group = parser.getgroup("fastbox", "containers by fastbox")
    group.addoption(
        "--fastbox-root", metavar="DIR", help="the store (default: $FASTBOX_ROOT or the host's)"
    )
    group.addoption(
        "--fastbox-run", metavar="DIR", help="the live state (default: $FASTBOX_RUN or the host's)"
    )
    group.addoption(
        "--fastbox-keep",
        action="store_true",
        help="keep the containers of failed tests, to look into them; remove them yourself",
    )
    group.addoption(
        "--fastbox-log-lines",
        type=int,
        default=20,
        metavar="N",
        help="how much of a container's log a failure shows (default: 20 lines)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture(scope="session", name="fastbox")
def fastbox_engine(pytestconfig: pytest.Config) -> Iterator[Engine]:
    """A `fastbox.Engine`, one a session, or one a worker; what it starts ends with it."""
    from fastbox.engine import Engine

    options = pytestconfig.option
    with Engine.open(root=options.fastbox_root, run=options.fastbox_run) as engine:
        yield engine


def _factory(request: pytest.FixtureRequest) -> Iterator[ContainerFactory]:
    from fastbox.testing.factory import ContainerFactory

    engine = request.getfixturevalue("fastbox")
    factory = ContainerFactory(engine, request.config, request.node)
    with factory:
        yield factory


@pytest.fixture
def fastbox_container(request: pytest.FixtureRequest) -> Iterator[ContainerFactory]:
    """Starts containers that end with the test: `fastbox_container("alpine", ["sleep", "60"])`."""
    yield from _factory(request)


@pytest.fixture(scope="module")
def fastbox_module_container(request: pytest.FixtureRequest) -> Iterator[ContainerFactory]:
    """Starts containers that end with the module's last test."""
    yield from _factory(request)


@pytest.fixture(scope="session")
def fastbox_session_container(request: pytest.FixtureRequest) -> Iterator[ContainerFactory]:
    """Starts containers that end with the session, or the worker's part of it."""
    yield from _factory(request)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure tells of the containers that the test used, as they were then."""
    report = yield
    if report.failed:
        _tell(item, report)
    return report


def _tell(item: pytest.Item, report: pytest.TestReport) -> None:
    names: list[str] = getattr(item, "fixturenames", [])
    if "fastbox" not in names and not any(name.startswith("fastbox_") for name in names):
        return
    from fastbox.testing.factory import sections

    report.sections += sections(item)

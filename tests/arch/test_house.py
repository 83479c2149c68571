"""The rules of the house, checked: who imports whom, what a start may import, how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "fastbox"
MODULES = sorted(PACKAGE.rglob("*.py"))

# What a package may import of fastbox; "" is the modules at the top that use the standard library only.
BASE = {"errors", "types", "builds", "units", "support"}
ALLOWED = {
    "support": BASE,
    "errors": BASE,
    "types": BASE,
    "units": BASE,
    "builds": BASE,
    "dockerfile": BASE | {"dockerfile"},
    "builder": BASE | {"store", "builder", "dockerfile", "_native", "_bytes", "_files"},
    "store": BASE | {"store", "_native", "_bytes", "_files"},
    "runtime": BASE | {"runtime", "_native"},
    "images": BASE | {"store", "images", "dockerfile", "_bytes"},
    "networks": BASE | {"store", "runtime", "networks", "_net", "_nft"},
    "volumes": BASE | {"store", "volumes", "_native", "_bytes"},
    "containers": BASE | {"store", "runtime", "containers", "_native", "_bytes", "_net"},
    "system": BASE
    | {"store", "runtime", "images", "containers", "volumes", "system", "_native", "_bytes"},
    "engine": BASE
    | {
        "store",
        "runtime",
        "images",
        "containers",
        "networks",
        "volumes",
        "system",
        "builder",
        "_native",
    },
    "wait": BASE | {"containers"},
    "aio": BASE
    | {
        "store",
        "runtime",
        "images",
        "containers",
        "networks",
        "system",
        "builder",
        "engine",
        "aio",
    },
    "testing": BASE | {"containers", "engine", "testing"},
    "doctor": BASE | {"doctor", "store", "_native"},
    "netd": BASE | {"netd", "_native"},
    "cli": BASE | {"cli", "doctor", "engine", "__version__"},
}
HEAVY = {
    "json",
    "re",
    "argparse",
    "dataclasses",
    "typing",
    "subprocess",
    "socket",
    "enum",
    "pathlib",
    "tempfile",
    "shutil",
    "logging",
    "datetime",
    "asyncio",
    "inspect",
    "ctypes",
    "hashlib",
    "random",
    "threading",
}
# Each module costs a start about 0.1 ms: a new one on its path has to be worth that.
MODULES_OF_A_START = 49
COMMANDS_ON_THE_START_PATH = ["run", "exec", "ps", "rm", "stop", "kill", "wait", "logs"]


def imports(path: Path) -> set[str]:
    """Packages of fastbox that a module imports at run time, by their first name."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = {
        id(node)
        for test in ast.walk(tree)
        if isinstance(test, ast.If)
        and isinstance(test.test, ast.Name)
        and test.test.id == "TYPE_CHECKING"
        for statement in test.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.split(".")[0] == "fastbox"
        ):
            rest = node.module.split(".")[1:]
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {
                alias.name.split(".")[1]
                for alias in node.names
                if alias.name.startswith("fastbox.")
            }
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_never_point_up(path: Path) -> None:
    place = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if place == "__init__":
        return
    assert imports(path) <= ALLOWED[place]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_process_is_started_by_python(path: Path) -> None:
    # Docker's `top` is the host's ps, and a repository is fetched by the host's git.
    if str(path.relative_to(PACKAGE)) not in ("containers/top.py", "builder/git.py"):
        assert "subprocess" not in path.read_text()


def test_files_are_at_most_500_lines() -> None:
    sources = [*PACKAGE.rglob("*.py"), *(ROOT / "src" / "native").rglob("*.[ch]")]
    long = {
        str(p.relative_to(ROOT)): n for p in sources if (n := len(p.read_text().splitlines())) > 500
    }
    assert not long


def loaded(code: str) -> set[str]:
    """The modules that `code` imports, beyond a bare interpreter's."""
    prelude = (
        f"import sys; sys.path[:0] = {[p for p in sys.path if p]!r}; before = set(sys.modules); "
    )
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"{prelude}{code}; print(*sorted(set(sys.modules) - before))",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_a_start_imports_few_modules() -> None:
    """What `fastbox run` imports until the container runs; the engine stops where its store is."""
    modules = loaded(
        "import fastbox.cli.main, fastbox.cli.commands.run, fastbox.engine, "
        "fastbox.containers.service, fastbox.images.service"
    )
    ours = {name for name in modules if name.split(".")[0] == "fastbox"}
    assert len(ours) <= MODULES_OF_A_START, sorted(ours)


def test_importing_fastbox_is_cheap() -> None:
    assert not loaded("import fastbox") & HEAVY
    assert not loaded("import fastbox; fastbox.Engine") & HEAVY


@pytest.mark.parametrize("command", COMMANDS_ON_THE_START_PATH)
def test_a_command_imports_only_what_is_cheap(command: str) -> None:
    modules = loaded(f"import fastbox.cli.main, fastbox.engine, fastbox.cli.commands.{command}")
    assert not modules & HEAVY
    others = {m for m in modules if m.startswith("fastbox.cli.commands.")} - {
        f"fastbox.cli.commands.{command}"
    }
    assert not others

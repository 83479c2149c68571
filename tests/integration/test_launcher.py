"""The launcher: which Python and which package it finds, what it hands over, and whose cache it
believes.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import time

import pytest

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src" / "native"
VERSION = f"python3.{sys.version_info.minor}"
PYTHON = str(pathlib.Path(sys.base_prefix) / "bin" / VERSION)
# One that an unprivileged user can execute: the tests' own may lie in root's home.
COMMON_PYTHON = "/usr/bin/python3"
NOBODY = 65534
MAIN = """
import os, sys
here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
facts = [here, [os.fsencode(a).hex() for a in sys.argv[1:]], sys.executable, sys.flags.no_site,
         sys.flags.isolated, sys.flags.utf8_mode]
import json; print(json.dumps(facts))
"""

pytestmark = pytest.mark.integration


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    made = tmp_path_factory.mktemp("launcher") / "fastbox"
    files = [str(SOURCES / name) for name in ("exe/launcher.c", "io.c")]
    flags = ["-std=gnu17", "-O1", "-static", "-D_GNU_SOURCE", f"-I{SOURCES}"]
    subprocess.run(["cc", *flags, *files, "-o", str(made)], check=True)
    return made


def make_package(directory: pathlib.Path) -> pathlib.Path:
    package = directory / "fastbox"
    (package / "cli").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_native.py").touch()
    (package / "cli" / "__main__.py").write_text(MAIN)
    return package


def make_prefix(
    root: pathlib.Path, launcher: pathlib.Path, kind: str = "site-packages", version: str = VERSION
) -> tuple[pathlib.Path, pathlib.Path]:
    """A prefix with the launcher and a package beside it, but no Python."""
    (root / "bin").mkdir(parents=True, exist_ok=True)
    program = root / "bin" / "fastbox"
    shutil.copy(launcher, program)
    return program, make_package(root / "lib" / version / kind)


class Found:
    def __init__(self, text: str) -> None:
        self.package, words, self.python, self.no_site, self.isolated, self.utf8 = json.loads(text)
        self.words = [bytes.fromhex(word) for word in words]


def call(program: pathlib.Path, *words: str | bytes, **options) -> Found:
    done = subprocess.run([str(program), *words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return Found(done.stdout)


def fails(program: pathlib.Path, **options) -> str:
    done = subprocess.run([str(program)], capture_output=True, text=True, **options)
    assert done.returncode == 125
    assert done.stdout == ""
    assert done.stderr.startswith("fastbox: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("kind", ["site-packages", "dist-packages"])
def test_a_package_beside_it(tmp_path: pathlib.Path, launcher: pathlib.Path, kind: str) -> None:
    program, package = make_prefix(tmp_path, launcher, kind)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / VERSION).symlink_to(PYTHON)
    found = call(program, env={"PATH": f"{tmp_path}/path"})
    assert found.package == str(package)
    assert found.python == f"{tmp_path}/path/{VERSION}"
    assert (found.no_site, found.isolated, found.utf8) == (1, 1, 1)


def test_a_venv_uses_its_own_python_even_without_path(
    tmp_path: pathlib.Path, launcher: pathlib.Path
) -> None:
    program, package = make_prefix(tmp_path, launcher)
    (tmp_path / "pyvenv.cfg").write_text(f"home = {os.path.dirname(PYTHON)}\n")
    (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    found = call(program, env={})
    assert (found.package, found.python) == (str(package), f"{tmp_path}/bin/{VERSION}")


def test_through_a_symbolic_link(tmp_path: pathlib.Path, launcher: pathlib.Path) -> None:
    program, package = make_prefix(tmp_path / "venv", launcher)
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {os.path.dirname(PYTHON)}\n")
    (tmp_path / "venv" / "bin" / VERSION).symlink_to(PYTHON)
    link = tmp_path / "fb"
    link.symlink_to(program)
    assert call(link, env={"PATH": "/nowhere"}).package == str(package)


def test_the_newest_version_that_has_a_python(
    tmp_path: pathlib.Path, launcher: pathlib.Path
) -> None:
    make_prefix(tmp_path, launcher, version="python3.9")
    make_prefix(tmp_path, launcher, version="python3.999")
    program, package = make_prefix(tmp_path, launcher)
    (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    (tmp_path / "bin" / "python3.9").symlink_to(PYTHON)
    (tmp_path / "bin" / "python3").symlink_to(PYTHON)  # never for another version's directory
    assert call(program, env={"PATH": "/nowhere"}).package == str(package)


def test_words_arrive_byte_for_byte(tmp_path: pathlib.Path, launcher: pathlib.Path) -> None:
    program, _ = make_prefix(tmp_path, launcher)
    (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    words = [
        b"run",
        b"",
        b"--",
        b"a b",
        b"\xff\xfe",
        "ü€".encode(),
        b"x" * 100_000,
        b"-I",
        b"'\"\n",
    ]
    for locale in ("C", "C.UTF-8", "POSIX"):
        found = call(program, *words, env={"LC_ALL": locale})
        assert found.words == words
    assert call(program, env={}).words == []


def test_closed_streams_are_opened(tmp_path: pathlib.Path, launcher: pathlib.Path) -> None:
    program, package = make_prefix(tmp_path, launcher)
    (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    links = "[os.readlink(f'/proc/self/fd/{fd}') for fd in (0, 1, 2)]"
    code = f"import os; os.write(9, str({links}).encode())"
    (package / "cli" / "__main__.py").write_text(code)
    done = subprocess.run(
        ["sh", "-c", f"exec {program} 9>&1 <&- >&- 2>&-"], capture_output=True, text=True
    )
    assert done.stdout == str(["/dev/null"] * 3)


def test_the_environment_chooses_nothing_else(
    tmp_path: pathlib.Path, launcher: pathlib.Path
) -> None:
    program, package = make_prefix(tmp_path, launcher)
    (tmp_path / "bin" / VERSION).symlink_to(PYTHON)
    evil = tmp_path / "evil"
    make_package(evil)
    (evil / "json.py").write_text("raise SystemExit(66)")
    env = {"PYTHONPATH": str(evil), "PYTHONHOME": str(evil), "PYTHONSTARTUP": str(evil / "json.py")}
    assert call(program, env=env, cwd=evil).package == str(package)


def test_relative_parts_of_path_are_not_searched(
    tmp_path: pathlib.Path, launcher: pathlib.Path
) -> None:
    program, _ = make_prefix(tmp_path / "prefix", launcher)
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("python3", VERSION):
        (trap / name).symlink_to(PYTHON)
    for path in ("", ".", ":", "::trap", "trap:."):
        message = fails(program, env={"PATH": path}, cwd=trap)
        assert "no python3" in message


def test_no_python_and_no_package(tmp_path: pathlib.Path, launcher: pathlib.Path) -> None:
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "fastbox"
    shutil.copy(launcher, program)
    assert "no python3" in fails(program, env={})
    assert "no python3" in fails(program, env={"PATH": "/nowhere:/proc/self/fd"})
    (tmp_path / "bin" / "python3").symlink_to("/bin/false")
    assert "has no package fastbox" in fails(program, env={"HOME": str(tmp_path)})
    (tmp_path / "bin" / "python3").unlink()
    (tmp_path / "bin" / "python3").write_text("#!/nowhere\n")
    (tmp_path / "bin" / "python3").chmod(0o755)
    assert "has no package fastbox" in fails(program, env={"HOME": str(tmp_path)})


class Asked:
    """A launcher whose package is nowhere near it: only its Python knows, as with an editable
    install.
    """

    def __init__(self, root: pathlib.Path, launcher: pathlib.Path) -> None:
        self.root = root
        self.bin = root / "bin"
        self.bin.mkdir()
        self.program = self.bin / "fastbox"
        shutil.copy(launcher, self.program)
        self.package = make_package(root / "source")
        self.home = root / "home"
        self.home.mkdir()
        self.answers(self.package)
        for path in (root, self.home):
            os.chown(path, NOBODY, NOBODY)
        self.env = {"HOME": str(self.home), "PATH": "/nowhere"}

    def answers(self, package: pathlib.Path, letter: str = "S") -> None:
        """Make the Python say that the package is there, and count how often it is asked."""
        script = self.bin / "python3"
        script.write_text(
            f'#!/bin/sh\nif [ "$2" = -c ]; then echo x >>{self.root}/asked; printf {letter}{package}\n'
            f'else exec {COMMON_PYTHON} "$@"; fi\n'
        )
        script.chmod(0o755)

    def asked(self) -> int:
        counted = self.root / "asked"
        return len(counted.read_text().splitlines()) if counted.exists() else 0

    def call(self, **options) -> Found:
        ids = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return call(self.program, env=self.env, **ids, **options)

    @property
    def cache(self) -> pathlib.Path:
        (file,) = (self.home / ".cache" / "fastbox").iterdir()
        return file


@pytest.fixture
def asked(launcher: pathlib.Path) -> Asked:
    import tempfile

    root = pathlib.Path(
        tempfile.mkdtemp(prefix="launcher-", dir="/tmp")
    )  # one that nobody may enter
    root.chmod(0o755)
    yield Asked(root, launcher)
    shutil.rmtree(root)


def test_it_asks_once(asked: Asked) -> None:
    for _ in range(3):
        found = asked.call()
        assert found.package == str(asked.package)
        assert found.no_site == 1
    assert asked.asked() == 1
    assert stat.S_IMODE(asked.cache.stat().st_mode) == 0o600
    assert stat.S_IMODE(asked.cache.parent.stat().st_mode) == 0o700


def test_site_is_left_in_when_the_package_is_in_two_places(asked: Asked) -> None:
    asked.answers(asked.package, "s")
    assert asked.call().no_site == 0
    assert asked.call().no_site == 0
    assert asked.asked() == 1


def test_it_asks_again_when_it_changed_or_the_package_moved(asked: Asked) -> None:
    asked.call()
    later = time.time() + 10
    os.utime(asked.program, (later, later))
    asked.call()
    assert asked.asked() == 2
    moved = make_package(asked.root / "elsewhere")
    shutil.rmtree(asked.package)
    asked.answers(moved)
    assert asked.call().package == str(moved)
    assert asked.asked() == 3


def test_without_a_home_it_asks_every_time(asked: Asked) -> None:
    for env in ({}, {"HOME": "relative"}, {"HOME": "/nowhere"}, {"XDG_CACHE_HOME": "relative"}):
        asked.env = env | {"PATH": "/nowhere"}
        before = asked.asked()
        asked.call()
        asked.call()
        assert asked.asked() == before + 2


def test_xdg_cache_home(asked: Asked) -> None:
    asked.env["XDG_CACHE_HOME"] = str(asked.home / "xdg")
    asked.call()
    assert (asked.home / "xdg" / "fastbox").is_dir()


@pytest.mark.parametrize(
    "trap",
    [
        "owner",
        "readable",
        "link",
        "hard link",
        "fifo",
        "directory mode",
        "directory link",
        "garbage",
        "cut",
        "long",
    ],
)
def test_a_cache_that_others_could_have_written_is_not_believed(asked: Asked, trap: str) -> None:
    asked.call()
    evil = make_package(asked.root / "evil")
    file, directory = asked.cache, asked.cache.parent
    file.write_text(file.read_text().replace(str(asked.package), str(evil)))
    assert asked.call().package == str(evil), "the test itself: an honest file would be believed"
    match trap:
        case "owner":
            os.chown(file, 12345, 12345)
            file.chmod(0o644)
        case "readable":
            file.chmod(0o620)
        case "link":
            file.rename(asked.root / "target")
            file.symlink_to(asked.root / "target")
        case "hard link":
            os.link(file, asked.root / "target")
        case "fifo":
            file.unlink()
            os.mkfifo(file, 0o600)
            os.chown(file, NOBODY, NOBODY)
        case "directory mode":
            directory.chmod(0o770)
        case "directory link":
            directory.rename(asked.root / "target")
            directory.symlink_to(asked.root / "target")
        case "garbage":
            file.write_bytes(os.urandom(5000))
        case "cut":
            file.write_text(file.read_text()[:20])
        case "long":
            file.write_text(file.read_text() + "/" * 20_000)
    before = asked.asked()
    assert asked.call(timeout=10).package == str(asked.package)
    assert asked.asked() == before + 1


def test_root_believes_only_its_own_directory(asked: Asked) -> None:
    asked.call()
    evil = make_package(asked.root / "evil")
    asked.cache.write_text(asked.cache.read_text().replace(str(asked.package), str(evil)))
    script = (
        "mount -t tmpfs none /var/cache && "
        f"{asked.program} && {asked.program} && stat -c '%a %u' /var/cache/fastbox /var/cache/fastbox/*"
    )
    env = {"HOME": str(asked.home), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, env=env
    )
    lines = done.stdout.splitlines()
    packages = [Found(line).package for line in lines[:2]]
    assert packages == [str(asked.package)] * 2
    assert lines[2:] == ["700 0", "600 0"]
    assert asked.asked() == 2


def test_many_first_calls_at_once(asked: Asked) -> None:
    ids = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    running = [
        subprocess.Popen(
            [str(asked.program)], env=asked.env, stdout=subprocess.PIPE, text=True, **ids
        )
        for _ in range(8)
    ]
    for process in running:
        text, _ = process.communicate(timeout=60)
        assert Found(text).package == str(asked.package)
    assert asked.call().package == str(asked.package)
    assert not list(asked.cache.parent.glob("*.tmp"))

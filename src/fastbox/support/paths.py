"""Where the store and the live state are: two environment variables and their defaults."""

from __future__ import annotations

import os

DEFAULT_ROOT = "/var/lib/fastbox"
DEFAULT_RUN = "/run/fastbox"


def store_root() -> str:
    """The store's directory: $FASTBOX_ROOT or /var/lib/fastbox."""
    return os.path.abspath(os.environ.get("FASTBOX_ROOT") or DEFAULT_ROOT)


def run_root() -> str:
    """The directory of live state: $FASTBOX_RUN or /run/fastbox."""
    return os.path.abspath(os.environ.get("FASTBOX_RUN") or DEFAULT_RUN)


def libexec(program: str) -> str:
    """The absolute path of a helper program that is installed with the package: in an editable
    install beside what was compiled, not beside the sources.
    """
    import fastbox

    places = [os.path.join(os.path.abspath(p), "libexec", program) for p in fastbox.__path__]
    return next(filter(os.path.exists, places), places[0])


def logpack(kind: int) -> list[str]:
    """The command line of the program that compresses files of a log, but for the log's path."""
    import sys

    import fastbox

    place = os.path.dirname(os.path.abspath(fastbox.__path__[0]))
    code = (
        f"import sys; sys.path.insert(0, {place!r}); "
        "from fastbox.containers.logpack import main; main(sys.argv[1:])"
    )
    return [sys.executable, "-I", "-S", "-c", code, str(kind)]


def netd(run: str) -> list[str]:
    """The command line of the program that serves names and relays ports below `run`."""
    import sys

    import fastbox

    return [sys.executable, "-I", "-S", f"{fastbox.__path__[0]}/netd/__main__.py", run]

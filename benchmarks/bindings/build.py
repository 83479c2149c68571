"""Build the four bindings: `python -m benchmarks.bindings.build OUT LIBRARIES`.

OUT gets them, LIBRARIES has libfastbox_bytes.a. cffi and pybind11 are in OUT/site, so that the
environment in which fastbox is installed does not get them. The three extensions hold libfastbox as
fastbox's own do; ctypes needs it as a shared library.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence

HERE = os.path.dirname(os.path.abspath(__file__))
NATIVE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "src", "native")
NAMES = ("cython", "cffi", "pybind11", "ctypes")
FLAGS = ("-O2", "-fPIC", "-fvisibility=hidden", "-Wl,--exclude-libs,ALL")


def _run(words: Sequence[str], out: str) -> None:
    env = {**os.environ, "PYTHONPATH": os.path.join(out, "site")}
    subprocess.run(words, check=True, env=env)


def _extension(out: str, name: str, source: str, words: Sequence[str], compiler: str) -> None:
    include = ["-I", HERE, "-I", sysconfig.get_path("include")]
    target = os.path.join(out, name + sysconfig.get_config_var("EXT_SUFFIX"))
    call = os.path.join(out, "call.o")
    _run([compiler, "-shared", *FLAGS, *include, "-o", target, source, call, *words], out)


def build(out: str, libraries: str) -> None:
    """Make everything in `out`; digest.o of libfastbox needs libcrypto only."""
    os.makedirs(out, exist_ok=True)
    call = os.path.join(out, "call.o")
    _run(["cc", *FLAGS, "-iquote", NATIVE, "-c", "-o", call, os.path.join(HERE, "call.c")], out)
    words = [os.path.join(libraries, "libfastbox_bytes.a"), "-l:libcrypto.a"]
    _run([sys.executable, "-m", "cython", "-3", os.path.join(HERE, "bound_cython.pyx"),
          "-o", os.path.join(out, "bound_cython.c")], out)  # fmt: skip
    _extension(out, "bound_cython", os.path.join(out, "bound_cython.c"), words, "cc")
    shutil.copy(os.path.join(HERE, "bound_cffi.py"), out)
    made = os.path.join(out, "_bound_cffi.c")
    _run([sys.executable, os.path.join(HERE, "bound_cffi.py"), made], out)
    _extension(out, "_bound_cffi", made, words, "cc")
    headers = os.path.join(out, "site", "pybind11", "include")
    source = os.path.join(HERE, "bound_pybind11.cpp")
    _extension(out, "bound_pybind11", source, ["-std=c++17", "-I", headers, *words], "c++")
    shutil.copy(os.path.join(HERE, "bound_ctypes.py"), out)
    library = os.path.join(out, "libbench_call.so")
    _run(["cc", "-shared", *FLAGS, "-o", library, call, *words], out)
    floor = os.path.join(out, "floor")
    _run(["cc", "-O2", "-o", floor, os.path.join(HERE, "floor.c"), call, *words], out)


if __name__ == "__main__":
    build(*sys.argv[1:])

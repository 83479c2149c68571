"""The same two functions of libfastbox bound by Cython, cffi, pybind11 and ctypes.

The digest releases the interpreter's lock where the binding leaves the choice (Cython, pybind11);
cffi and ctypes release it at every call. The import is that of a new `python3 -I -S`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ..bindings.build import NAMES
from ..suite import BASE, OURS, PEER, Field, Row, Suite
from ..vs_peers.clients import HERE, Measure, Measured, Worker
from ..vs_peers.lab import Lab, Missing

PLACE = os.path.join(HERE, "build", "bindings")
CALLS = 20_000
IMPORT = """
import sys, time
sys.path[:0] = {paths!r}
begin = time.perf_counter_ns()
import {module}
print(time.perf_counter_ns() - begin)
"""


def _place() -> str:
    """Where the bindings are.

    Raises:
        Missing: They were not built.
    """
    if not os.path.exists(os.path.join(PLACE, "floor")):
        raise Missing(f"{PLACE} is not built: make build/.bindings")
    return PLACE


def _each(measured: Measured) -> Measured:
    return replace(measured, samples=[sample / CALLS for sample in measured.samples])


def _floor(lab: Lab, function: str) -> Measure:
    client = lab.floor([os.path.join(_place(), "floor"), function, str(CALLS)])
    return lambda count, flight: _each(client.measure(count, flight))


def _calls(lab: Lab, function: str, name: str) -> Measure:
    env = {**lab.env, "PYTHONPATH": os.path.join(_place(), "site")}
    worker = lab.stack.enter_context(Worker(f"calls {PLACE} bound_{name}", env))
    words = [function, str(CALLS)]
    return lambda count, flight: _each(worker.measure(words, count, flight))


def _import(lab: Lab, name: str) -> Measure:
    paths = [_place(), os.path.join(PLACE, "site")]
    code = IMPORT.format(paths=paths, module=f"bound_{name}")
    words = [os.path.realpath(sys.executable), "-I", "-S", "-c", code]
    worker = lab.stack.enter_context(Worker("imports", lab.env))
    return lambda count, flight: worker.measure(words, count, flight)


def _open_calls(function: str) -> Callable[[Field], None]:
    def open_it(field: Field) -> None:
        field.admit("floor", partial(_floor, field.lab, function))
        for name in NAMES:
            field.admit(name, partial(_calls, field.lab, function, name))

    return open_it


def _open_imports(field: Field) -> None:
    for name in NAMES:
        field.admit(name, partial(_import, field.lab, name))


def _rows() -> tuple[Row, ...]:
    labels = {"cython": "Cython", "cffi": "cffi, API mode", "pybind11": "pybind11"}
    return tuple(
        Row(name, labels.get(name, name), OURS if name == "cython" else PEER) for name in NAMES
    )


_FLOOR = Row("floor", "floor: the call from C", BASE)
SUITES = (
    Suite(
        name="binding-name",
        title="a name by its number, one call",
        rows=(_FLOOR, *_rows()),
        open=_open_calls("name"),
        unit="ns",
        rounds=40,
        seconds=15.0,
    ),
    Suite(
        name="binding-digest",
        title="sha256 of 64 bytes, one call",
        rows=(_FLOOR, *_rows()),
        open=_open_calls("digest"),
        unit="ns",
        rounds=40,
        seconds=15.0,
    ),
    Suite(
        name="binding-import",
        title="import of the binding",
        rows=_rows(),
        open=_open_imports,
        base="cython",
        rounds=40,
        seconds=15.0,
    ),
)

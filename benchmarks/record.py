"""The results on disk: one JSON document a run, in benchmarks/results/."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
SCHEMA = 2
RESULTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "results")


def read(path: str) -> Json:
    """One result.

    Raises:
        ValueError: Not a result of this schema.
    """
    with open(path, encoding="utf-8") as file:
        result: Json = json.load(file)
    if result.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema {result.get('schema')} where {SCHEMA} is known")
    return result


def read_all(directory: str = RESULTS) -> list[Json]:
    """Every result of the directory, oldest first."""
    found = [read(path) for path in glob.glob(os.path.join(directory, "*.json"))]
    return sorted(found, key=lambda result: str(result["taken"]))


def write(path: str, result: Json) -> None:
    """Write the result, lists of numbers on one line each; it appears complete or not at all."""
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(_text(result, "") + "\n")
    os.replace(path + ".new", path)


def _text(value: Any, indent: str) -> str:
    if isinstance(value, dict) and value:
        deeper = indent + " "
        lines = [f"{deeper}{json.dumps(key)}: {_text(one, deeper)}" for key, one in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        deeper = indent + " "
        lines = [deeper + _text(one, deeper) for one in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value)


def samples(suite: Json, name: str) -> Sequence[float] | None:
    """The samples of a row of a suite's result, by rounds."""
    for row in suite["rows"]:
        if row["name"] == name:
            found: list[float] = row["samples"]
            return found
    return None

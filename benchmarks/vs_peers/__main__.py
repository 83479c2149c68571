"""Measure a start beside the floor and the peers: `python -m benchmarks.vs_peers --out FILE`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from . import machine
from .lab import FLIGHTS, Lab, open_lab, prepare
from .peers import Field, assemble, versions
from .rounds import floor_stages, interleave, rows, throughput
from .stages import trace


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.vs_peers", description=__doc__)
    parser.add_argument("--out", required=True, help="where the result goes, as JSON")
    parser.add_argument("--rounds", type=int, default=30, help="one of each per round")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds that do not count")
    parser.add_argument("--seed", type=int, default=1, help="of the random order")
    parser.add_argument("--traces", type=int, default=50, help="starts in the stage table")
    parser.add_argument("--containers", type=int, default=100, help="of each peer, at each flight")
    parser.add_argument(
        "--flights", type=int, nargs="+", default=[1, 4, FLIGHTS], help=f"each at most {FLIGHTS}"
    )
    parser.add_argument("--variants", action="store_true", help="measure the floor's variants too")
    parser.add_argument("--scratch", help="the lab's place, on the disk to measure (/var/tmp)")
    parser.add_argument("--tmpfs", action="store_true", help="the same as --scratch /dev/shm")
    parser.add_argument("--docker-socket", help="of a private dockerd: measures docker too")
    options = parser.parse_args()
    if max(options.flights) > FLIGHTS:
        parser.error(f"--flights: at most {FLIGHTS}")
    return options


def _stages(
    lab: Lab, field: Field, count: int, floor: dict[str, float]
) -> dict[str, dict[str, float]]:
    found = {"floor": floor}
    if count and any(peer.name == "in_process" for peer in field.peers):
        found["in_process"] = trace(lab, "engine", count)
    if count and any(peer.name == "cli" for peer in field.peers):
        found["cli"] = trace(lab, "commands", count)
    return found


def _measure(lab: Lab, options: argparse.Namespace) -> dict[str, Any]:
    prepare(lab)
    result: dict[str, Any] = {"schema": 1, "kind": "start", "machine": machine.describe(lab.path)}
    result["taken"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    result["versions"] = versions(lab)
    names = ("rounds", "warm_up", "seed", "traces", "containers", "flights")
    result["options"] = {name: getattr(options, name) for name in names}
    with assemble(lab, variants=options.variants, docker_socket=options.docker_socket) as field:
        load_before = machine.load()
        found = interleave(field, options.rounds, options.warm_up, options.seed)
        load_after = machine.load()
        result["load"] = {"before": load_before, "after": load_after}
        result["peers"] = rows(field, found)
        result["missing"] = field.missing
        result["stages"] = _stages(lab, field, options.traces, floor_stages(found["floor"]))
        count = options.containers
        result["throughput"] = (
            throughput(field, count, options.flights, options.seed) if count else []
        )
    result["load"]["end"] = machine.load()
    return result


def main() -> int:
    """Run, write the result, print the short table."""
    options = _options()
    if os.geteuid():
        print("benchmarks.vs_peers: needs root, as the peers do", file=sys.stderr)
        return 1
    with open_lab("/dev/shm" if options.tmpfs else options.scratch) as lab:
        result = _measure(lab, options)
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out, "w", encoding="utf-8") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    for row in result["peers"]:
        print(
            f"{row['label']:42} {row['median'] / 1e3:9.2f} ms  x {row['to_floor']:.2f} of the floor"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

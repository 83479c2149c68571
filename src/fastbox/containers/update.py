"""`update`: other limits for a container, at once in the kernel when it runs, and for every later
start.
"""

from __future__ import annotations

from fastbox.containers import bundles, heal
from fastbox.containers.attachment import converse
from fastbox.containers.create import plain
from fastbox.containers.exec import read_bundle
from fastbox.containers.inspect import options_of
from fastbox.errors import FastboxError, InvalidArgument, StateConflict
from fastbox.runtime import limits, resources
from fastbox.store.containers import not_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypedDict

    from fastbox.containers.heal import View
    from fastbox.store.containers import ContainerRecord, ContainerStore
    from fastbox.types import RunOptions

    class UpdateKeywords(TypedDict, total=False):
        """What can be changed; `types.RunOptions` describes it."""

        blkio_weight: int
        cpu_period: int
        cpu_quota: int
        cpu_rt_period: int
        cpu_rt_runtime: int
        cpu_shares: int
        cpus: float
        cpuset_cpus: str
        cpuset_mems: str
        kernel_memory: int
        memory: int
        memory_reservation: int
        memory_swap: int
        pids_limit: int


KNOWN = frozenset(
    "blkio_weight cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset_cpus "
    "cpuset_mems kernel_memory memory memory_reservation memory_swap pids_limit".split()
)
# What a group has without the limit: an update that could not be recorded is undone.
_NONE = {"limit": -1, "swap": -1, "reservation": -1, "shares": 1024, "quota": -1, "period": 100_000}
_CPUS = ("cpu_quota", "cpu_period")
_LIVE = ("running", "paused", "restarting")


def update(
    store: ContainerStore, run: str, reference: str, wanted: Mapping[str, Any]
) -> tuple[str, ...]:
    """Change limits; docker's warnings about what this kernel can't do.

    Raises:
        TypeError: An unknown keyword.
        InvalidArgument: A value out of its range, or one that contradicts another.
        StateConflict: More memory is in use than it shall have. Nothing was changed.
    """
    unknown = next((name for name in wanted if name not in KNOWN), None)
    if unknown:
        raise TypeError(f"update: unknown argument {unknown!r}")
    with store.hold(store.find(reference)) as held:
        view = heal.view(store, run, held.id, held)
        if view.record is None:
            raise not_found(reference)
        before = options_of(view.record)
        after, warnings = limits.fit(_changed(before, wanted))
        bundle = read_bundle(held.directory)
        linux = bundle["linux"]
        had, now = linux["resources"], resources.resources(after)
        linux["resources"] = {**now, "devices": had.get("devices", [])}
        if view.state in _LIVE:
            _apply(run, view, _difference(had, now), after)
        try:
            bundles.replace(held.directory, bundle)
            store.write(_record(view.record, after))
        except FastboxError:
            if view.state in _LIVE:
                _apply(run, view, _difference(now, had), before)
            raise
    return warnings


def _changed(before: RunOptions, wanted: Mapping[str, Any]) -> RunOptions:
    """The options as they are to be; a 0 or an empty text leaves what is there, as with docker."""
    values = {
        name: value
        for name, value in wanted.items()
        if value or (name == "pids_limit" and value is not None)
    }
    _check_cpus(before, values)
    memory, swap = values.get("memory"), values.get("memory_swap")
    had_swap = before.memory_swap or (before.memory or 0) * 2
    if before.memory and memory and not swap:
        # It stays what it was, which may have been twice the memory without a word.
        if had_swap not in (0, -1) and memory > had_swap:
            raise StateConflict(
                "Memory limit should be smaller than already set memoryswap limit, update the "
                "memoryswap at the same time",
                hint="add --memory-swap",
            )
        values["memory_swap"] = had_swap or None
    return before.replace(**values)


def _check_cpus(before: RunOptions, values: dict[str, Any]) -> None:
    names = {"cpu_period": "CPU Period", "cpu_quota": "CPU Quota"}
    if values.get("cpus"):
        for name in _CPUS:
            if getattr(before, name):
                raise InvalidArgument(
                    "Conflicting options: Nano CPUs cannot be updated as "
                    f"{names[name]} has already been set"
                )
    for name in _CPUS:
        if values.get(name) and before.cpus:
            raise InvalidArgument(
                f"Conflicting options: {names[name]} cannot be updated as NanoCPUs has already "
                "been set"
            )


def _difference(had: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be written: only parts that differ, of memory both limits together."""
    made: dict[str, Any] = {}
    for part in ("memory", "cpu", "pids", "blockIO"):
        old, new = had.get(part) or {}, now.get(part) or {}
        changed = {key: value for key, value in new.items() if old.get(key) != value}
        changed |= {key: _NONE[key] for key in old if key not in new and key in _NONE}
        if part == "memory" and {"limit", "swap"} & changed.keys():
            changed = {key: new[key] for key in ("limit", "swap") if key in new} | changed
        if part == "cpu" and {"quota", "period"} & changed.keys():
            changed = {key: new[key] for key in ("quota", "period") if key in new} | changed
        if changed:
            made[part] = changed
    if "memory" in made and "limit" in made["memory"]:
        made["memory"]["checkBeforeUpdate"] = True
    return made


def _apply(run: str, view: View, changed: dict[str, Any], after: RunOptions) -> None:
    if not changed:
        return
    with converse(run, view) as conversation:
        try:
            conversation.ask({"op": "update", "id": view.id, "resources": changed})
        except StateConflict:
            raise
        except FastboxError as error:
            if "more memory" in str(error) or "device or resource busy" in str(error):
                raise StateConflict(
                    f"cannot update container {view.id[:12]}: unable to set memory limit to "
                    f"{after.memory}: more memory than that is in use"
                ) from None
            raise


def _record(record: ContainerRecord, options: RunOptions) -> ContainerRecord:
    return record.replace(options=plain(options))

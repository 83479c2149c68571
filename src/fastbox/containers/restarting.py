"""Containers that start again: asked for, by their policy, and after a boot.

While a container runs its supervisor follows the policy (`restart.c`); here is what it is told, and
what is done when no supervisor is there.
"""

from __future__ import annotations

import os

from fastbox import units
from fastbox.containers import heal
from fastbox.containers.attachment import converse
from fastbox.errors import FastboxError, InvalidArgument, StateConflict, os_error
from fastbox.runtime.supervisor import SupervisorGone
from fastbox.support import json, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.containers.heal import View
    from fastbox.containers.starting import Starter
    from fastbox.store.containers import ContainerStore

_GRACE_SECONDS = 30.0  # from SIGKILL to the start, on a host that is slow


def policy(text: str) -> tuple[str, int]:
    """A restart policy's name and how many starts it allows (0: any number).

    Raises:
        InvalidArgument: There is no such policy.
    """
    try:
        return units.restart_policy(text)
    except ValueError as error:
        hint = "no, on-failure[:most], always and unless-stopped are known"
        raise InvalidArgument(str(error), hint=hint) from None


def restart(
    store: ContainerStore,
    run: str,
    starter: Starter,
    container: str,
    timeout: float | None,
    signal: str | None,
) -> None:
    """Stop it, if it runs, and start it again. Its supervisor does both, and keeps it.

    Raises:
        LaunchError: It could not be started.
        StateConflict: One that it is linked to does not run; nothing was stopped.
        Timeout: Not even SIGKILL ended it.
    """
    view = heal.view(store, run, container)
    if not view.up or view.record is None:
        starter.again(container)
        return
    if view.record.options.get("link"):
        from fastbox.containers import linking

        with store.hold(container) as held:
            linking.refresh(store, run, held, view.record)
    wait = view.record.stop_timeout if timeout is None else timeout
    number = signals.number(signal or view.record.stop_signal or "TERM")
    try:
        with converse(run, view) as conversation:
            conversation.ask({"op": "restart", "id": container, "signal": number, "timeout": wait})
            conversation.wait_start(container, None if wait < 0 else wait + _GRACE_SECONDS)
    except SupervisorGone:
        heal.heal(store, run, container)
        starter.again(container)
    except StateConflict:  # it ended just now
        starter.again(container)


def set_policy(store: ContainerStore, run: str, container: str, text: str) -> None:
    """Another restart policy, from its next end on.

    Raises:
        InvalidArgument: There is no such policy, or it is removed when it ends.
    """
    from fastbox.containers.exec import read_bundle

    name, most = policy(text)
    with store.hold(container) as held:
        view = heal.view(store, run, container, held)
        if view.record is None:
            raise StateConflict(f"container {container[:12]} is damaged: {view.error}")
        if view.record.remove and name != "no":
            raise InvalidArgument(
                "the restart policy can't be changed: the container is removed when it ends (--rm)"
            )
        options = {**view.record.options, "restart": "" if name == "no" else text}
        bundle = read_bundle(held.directory)
        bundle["fastbox"]["restart"] = {"policy": name, "most": most}
        _replace(held.directory + "/config.json", bundle)
        store.write(view.record.replace(options=options))
        if view.up:
            _tell(run, view, name, most)


def _replace(path: str, bundle: dict[str, object]) -> None:
    text = json.dumps(bundle).encode("utf-8", "surrogateescape")
    try:
        with open(path + ".tmp", "wb") as file:
            file.write(text)
        os.chmod(path + ".tmp", 0o600)
        os.rename(path + ".tmp", path)
    except OSError as error:
        raise os_error(error, "cannot write", path) from error


def _tell(run: str, view: View, name: str, most: int) -> None:
    try:
        with converse(run, view) as conversation:
            conversation.ask({"op": "policy", "id": view.id, "restart": name, "most": most})
    except (SupervisorGone, StateConflict):
        pass  # it ended just now: the bundle has it


def start_all(store: ContainerStore, run: str, starter: Starter) -> tuple[str, ...]:
    """Start every container that its policy wants to run and that does not; their ids.

    One that can't be started has its error in its record, and does not keep the others.
    """
    views = [heal.look(store, run, container) for container in store.ids()]
    wanted = [view for view in views if view is not None and not view.up and _is_wanted(view)]
    started = []
    # In the order of their making: links and `container:` modes name older ones, which have to run.
    for view in sorted(wanted, key=lambda view: view.record.created if view.record else ""):
        try:
            starter.again(view.id)
        except FastboxError:
            continue
        started.append(view.id)
    return tuple(started)


def _is_wanted(view: View) -> bool:
    """As docker's daemon decides when it starts; one that was never started is left alone."""
    end = view.exit
    if view.record is None or end is None:
        return False
    name, most = policy(str(view.record.options.get("restart") or ""))
    if name == "on-failure":
        return end.code != 0 and not end.stopped and (most == 0 or end.restarts < most)
    return name == "always" or (name == "unless-stopped" and not end.stopped)

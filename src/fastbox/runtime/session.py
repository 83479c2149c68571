"""The supervisors that an engine session shares, and their end with it."""

from __future__ import annotations

import _thread
import os
import time

from fastbox import _native
from fastbox.errors import EngineUnavailable, FastboxError
from fastbox.runtime.supervisor import Conversation, SupervisorGone, spawn

_CLOSE_SECONDS = 30.0


class _Member:
    __slots__ = ("busy", "name")

    def __init__(self, name: str) -> None:
        self.name, self.busy = name, 0


class Session:
    """The supervisors of one engine session: made when a start needs one, at most one a CPU and
    four.
    """

    __slots__ = ("_closed", "_limit", "_lock", "_members", "_run")

    def __init__(self, run: str) -> None:
        self._run = run
        self._limit = min(os.cpu_count() or 1, 4)
        self._lock = _thread.allocate_lock()
        self._members: list[_Member] = []
        self._closed = ""
        _sessions.append(self)
        _register_fork_handler()

    def starting(self) -> _Use:
        """The least busy supervisor for one start: `with session.starting() as name`."""
        with self._lock:
            if self._closed:
                raise EngineUnavailable(self._closed)
            member = min(self._members, key=lambda each: each.busy, default=None)
            if member is None or (member.busy and len(self._members) < self._limit):
                member = _Member(spawn(self._run, tied=True))
                self._members.append(member)
            member.busy += 1
        return _Use(self, member)

    def done(self, member: _Member) -> None:
        """A start has ended."""
        with self._lock:
            member.busy -= 1

    def forget(self, name: str) -> None:
        """A supervisor died: the next start makes another."""
        with self._lock:
            self._members = [member for member in self._members if member.name != name]

    def detach(self) -> None:
        """In a forked child: the containers are the parent's."""
        self._lock = _thread.allocate_lock()
        self._members, self._closed = (
            [],
            "this engine was opened before a fork; open one in the child",
        )

    def close(self) -> None:
        """Kill and release what the session still runs, and wait until it is done."""
        with self._lock:
            self._closed = self._closed or "the engine is closed"
            members, self._members = self._members, []
        if self in _sessions:
            _sessions.remove(self)
        open_ones = [c for c in map(self._ask_to_close, members) if c]
        for conversation in open_ones:
            conversation.close()
        for conversation in open_ones:
            _wait_for_end(self._run, conversation.supervisor)

    def _ask_to_close(self, member: _Member) -> Conversation | None:
        try:
            conversation = Conversation(self._run, member.name)
        except SupervisorGone:
            return None
        try:
            conversation.ask({"op": "close"})
        except FastboxError:
            conversation.close()
            return None
        return conversation


def _wait_for_end(run: str, name: str) -> None:
    """Its lock is free only when all is released: processes, cgroups, directories."""
    deadline = time.monotonic() + _CLOSE_SECONDS
    pause = 0.0005
    while _native.alive(run, name) and time.monotonic() < deadline:
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


class _Use:
    __slots__ = ("_member", "_session")

    def __init__(self, session: Session, member: _Member) -> None:
        self._session, self._member = session, member

    def __enter__(self) -> str:
        return self._member.name

    def __exit__(self, *_: object) -> None:
        self._session.done(self._member)


_sessions: list[Session] = []
_fork_handler: list[bool] = []


def _register_fork_handler() -> None:
    if not _fork_handler:
        _fork_handler.append(True)
        os.register_at_fork(after_in_child=_detach_all)


def _detach_all() -> None:
    for session in _sessions:
        session.detach()
    _sessions.clear()

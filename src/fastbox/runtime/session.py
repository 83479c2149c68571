"""The supervisors that an engine session shares, and their end with it."""

from __future__ import annotations

import _thread
import os
import time

from fastbox import _native
from fastbox.errors import EngineUnavailable, FastboxError
from fastbox.runtime.supervisor import Conversation, SupervisorGone, held_by, spawn

FULL = 100  # containers of one supervisor
_CLOSE_SECONDS = 30.0


class _Member:
    """A supervisor of the session, and the lease that it holds us by: it ends with this process, be
    it by death or by execve.
    """

    __slots__ = ("busy", "held", "lease", "name")

    def __init__(self, run: str) -> None:
        self.name, self.busy = spawn(run, tied=True), 0
        self.held = 0  # how many containers it had when it told last
        self.lease = Conversation(run, self.name)
        try:
            self.lease.ask({"op": "lease"})
        except BaseException:
            self.lease.close()
            raise


class Session:
    """The supervisors of one engine session: made when a start needs one, one a CPU and four at
    most, and one more whenever all have a hundred containers.

    A clone copies its supervisor's table of descriptors, and the exec closes the copies: a start
    would cost more the more containers there are.

    A forked child has a session of its own, without supervisors: those there are stay its parent's.
    """

    __slots__ = ("_closed", "_limit", "_lock", "_members", "_run")

    def __init__(self, run: str) -> None:
        self._run = run
        self._limit = min(os.cpu_count() or 1, 4)
        self._lock = _thread.allocate_lock()
        self._members: list[_Member] = []
        self._closed = ""
        _sessions.append(self)

    def starting(self) -> _Use:
        """The least busy supervisor for one start: `with session.starting() as name`."""
        with self._lock:
            if self._closed:
                raise EngineUnavailable(self._closed)
            open_ones = [each for each in self._members if each.held < FULL] or self._counted()
            member = min(open_ones, key=lambda each: each.busy, default=None)
            if member is None or (member.busy and len(open_ones) < self._limit):
                member = _Member(self._run)
                self._members.append(member)
            member.busy += 1
        return _Use(self, member)

    def _counted(self) -> list[_Member]:
        """All seem full: those that are not, since containers have ended meanwhile."""
        for member in self._members:
            member.held = held_by(self._run, member.name)
        return [each for each in self._members if each.held < FULL]

    def holds(self, name: str, count: int) -> None:
        """A supervisor told how many containers it has."""
        with self._lock:
            for member in self._members:
                if member.name == name:
                    member.held = count

    def done(self, member: _Member) -> None:
        """A start has ended."""
        with self._lock:
            member.busy -= 1

    def forget(self, name: str) -> None:
        """A supervisor died: the next start makes another."""
        with self._lock:
            for member in self._members:
                if member.name == name:
                    member.lease.close()
            self._members = [member for member in self._members if member.name != name]

    def renew(self) -> None:
        """In a forked child: supervisors and containers are the parent's, the lock perhaps another
        thread's that is not here.
        """
        self._lock = _thread.allocate_lock()
        self._members = []

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
        for member in members:
            member.lease.close()
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
_making = _thread.allocate_lock()


def making() -> _thread.LockType:
    """The lock under which an engine makes its session; a forked child has another."""
    return _making


def _renew_all() -> None:
    global _making
    _making = _thread.allocate_lock()
    for session in _sessions:
        session.renew()


os.register_at_fork(after_in_child=_renew_all)

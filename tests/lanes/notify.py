"""A program whose n-th system call fails: a seccomp listener (ask.c) that answers for the kernel."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import struct
import subprocess
import threading
import time
from pathlib import Path

from . import shim

SOURCE = Path(__file__).with_name("ask.c")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1
_PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)
_seccomp = ctypes.CDLL("libseccomp.so.2")
_seccomp.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p


def call_name(number: int) -> str:
    name = _seccomp.seccomp_syscall_resolve_num_arch(0, number)
    return name.decode() if name else str(number)


class Asked:
    """A process below the filter. Its calls are made as they are until one is to fail.

    Only calls of `program` itself count, whatever process makes them; what it executes is left alone.
    """

    def __init__(
        self,
        program: str,
        *words: str,
        number: int = 0,
        code: int = errno.EIO,
        **options: object,
    ) -> None:
        ask = shim.compiled(SOURCE)
        self.program = os.stat(program)
        self.process = subprocess.Popen([ask, *words], **options)  # type: ignore[call-overload]
        self.listener = self._take_listener()
        self._lock = threading.Lock()
        self._left = number  # calls until the one that fails; 0: none does
        self._errno = code
        self.calls: list[str] = []  # since it was armed
        self.failed = ""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def arm(self, number: int, code: int = errno.EIO) -> None:
        """The `number`-th call from now on fails; with a number that is never reached they are listed."""
        with self._lock:
            self._left, self._errno, self.calls, self.failed = number, code, [], ""

    def disarm(self) -> str:
        """The name of the call that failed, if there was one."""
        with self._lock:
            self._left = 0
            return self.failed

    def close(self) -> None:
        """Wait for the last process below the filter."""
        self._thread.join(30)
        assert not self._thread.is_alive(), "a process is left below the filter"

    def _take_listener(self) -> int:
        """From the process, which waits with its next call."""
        pidfd = os.pidfd_open(self.process.pid)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            for number in os.listdir(f"/proc/{self.process.pid}/fd"):
                try:
                    what = os.readlink(f"/proc/{self.process.pid}/fd/{number}")
                except OSError:
                    continue
                if what == "anon_inode:seccomp notify":
                    fd: int = _libc.syscall(_PIDFD_GETFD, pidfd, int(number), 0)
                    assert fd >= 0, os.strerror(ctypes.get_errno())
                    os.close(pidfd)
                    return fd
            time.sleep(0.001)
        raise AssertionError("no listener")

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self.listener, select.POLLIN)
        while True:
            ((_, events),) = poll.poll()
            if events & (select.POLLHUP | select.POLLERR):
                os.close(self.listener)
                return
            request = bytearray(80)
            try:
                fcntl.ioctl(self.listener, _RECEIVE, request)
                number, pid, call = struct.unpack_from("=QI4xi", request)
                answer = struct.pack("=QqiI", number, 0, *self._judge(pid, call))
                fcntl.ioctl(self.listener, _SEND, answer)
            except OSError as error:  # killed meanwhile
                if error.errno not in (errno.ENOENT, errno.EINTR):
                    raise

    def _judge(self, pid: int, call: int) -> tuple[int, int]:
        with self._lock:
            if self._left and self._is_ours(pid):
                name = call_name(call)
                self.calls.append(name)
                self._left -= 1
                if self._left == 0:
                    self.failed = name
                    return -self._errno, 0
        return 0, _CONTINUE

    def _is_ours(self, pid: int) -> bool:
        try:
            return os.path.samestat(os.stat(f"/proc/{pid}/exe"), self.program)
        except OSError:
            return False

"""The runtime's own program, which a container's process is until it executes the container's: nobody inside may get to write it (CVE-2019-5736)."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path

from ..integration.host import SLOW
from .conftest import New, only

F_SEAL_WRITE = 0x0008


def is_out_of_reach(pid: int) -> bool:
    """Its file lies on a mount that is read-only, whoever opens it, or is sealed for good."""
    fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY)
    try:
        if os.fstatvfs(fd).f_flag & os.ST_RDONLY:
            return True
        return bool(fcntl.fcntl(fd, fcntl.F_GET_SEALS) & F_SEAL_WRITE)
    except OSError:  # it takes no seals
        return False
    finally:
        os.close(fd)


def test_of_a_process_that_waits_for_its_start(new: New) -> None:
    c = new()
    c.create()
    assert is_out_of_reach(c.pid)
    c("start")
    c.end()


@only("fastbox")
def test_of_an_exec_before_its_command(new: New) -> None:
    c = new()
    c.detached()
    c("pause")
    words = c.party.argv("exec", "--ignore-paused", c.id, "/bin/true")
    with subprocess.Popen(words) as exec_:
        children = Path(f"/proc/{exec_.pid}/task/{exec_.pid}/children")
        end = time.monotonic() + 10 * SLOW
        while not (pids := children.read_text().split()) and time.monotonic() < end:
            time.sleep(0.01)
        assert pids
        assert all(is_out_of_reach(int(pid)) for pid in pids)
        c("resume")
        assert exec_.wait(10 * SLOW) == 0
    c.end()


@only("fastbox")
def test_as_the_command(new: New) -> None:
    """The name of the process's own program is the runtime's: it runs, inside and with the container's rights, and finds nothing."""
    c = new(lambda b: b.process.update(args=["/proc/self/exe", "--root", "/no", "list", "-q"]))
    done = c.party("run", "--bundle", str(c.bundle.path), c.id, check=False)
    assert (done.returncode, done.stdout) == (0, "")

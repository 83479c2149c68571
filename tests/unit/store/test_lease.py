"""Work directories: removed by their maker, or by whoever comes after its death."""

from __future__ import annotations

import os
import subprocess
import sys

from fastbox.store.lease import Work, heal, hold, try_sweep_lock
from fastbox.store.root import Root


def test_work_is_removed(root: Root) -> None:
    with Work(root) as work:
        os.mkdir(os.path.join(work.path, "x"))
        heal(root.path("tmp"))
        assert os.path.isdir(work.path)
    assert os.listdir(root.path("tmp")) == []


def test_heal_takes_what_nobody_locks(root: Root) -> None:
    os.makedirs(root.path("tmp", "dead", "deep"))
    os.symlink("/", root.path("tmp", "link"))
    os.mkfifo(root.path("tmp", "fifo"))
    with open(root.path("tmp", "file"), "w"):
        pass
    heal(root.path("tmp"))
    assert os.listdir(root.path("tmp")) == []


def test_the_dead_hold_nothing(root: Root) -> None:
    code = (
        "import os, sys\n"
        "from fastbox.store.lease import Work, hold\n"
        "from fastbox.store.root import Root\n"
        "root = Root(sys.argv[1], sys.argv[2])\n"
        "lock, work = hold(root), Work(root)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, root.store, root.run], check=False)
    assert done.returncode == -9
    assert len(os.listdir(root.path("tmp"))) == 1
    heal(root.path("tmp"))
    assert os.listdir(root.path("tmp")) == []
    lock = try_sweep_lock(root)
    assert lock >= 0
    os.close(lock)


def test_a_hold_keeps_the_sweeper_away(root: Root) -> None:
    with hold(root), hold(root):
        assert try_sweep_lock(root) == -1

"""What runs between clone and exec may call nothing that allocates, locks or prints.

The child of a start shares its caller's memory: a `malloc` there could wait for ever on a lock that nobody holds any more.
Run as a test (objects are compiled here) or as `test_child_symbols.py OBJECT...`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[2] / "src" / "native"
CHILD = (
    "child",
    "child_exec",
    "inroot",
    "rootfs",
    "mount",
    "dev",
    "mask",
    "overlay",
    "nsjoin",
    "hook",
    "child_meet",
    "child_listener",
    "child_sched",
    "copyup",
)

# Thin wrappers of one system call each, and string functions that only read and write what they are given.
ALLOWED = set(
    """
    open openat close read write readlinkat fcntl dup2 ioctl syscall mount umount2 chdir fchdir
    fstat fstatfs mkdirat mknodat symlinkat unlinkat fchown fchownat umask
    fsopen fsconfig fsmount move_mount open_tree mount_setattr
    chroot sendfile utimensat fchmodat
    pipe2 lseek poll waitid kill _exit faccessat fstatat accept4 clone pread __pread_chk __poll_chk
    setns unshare setsid sethostname setdomainname prctl clock_gettime execve socket sendmsg
    memcmp memcpy memmove memset strlen strchr strrchr strcmp strncmp strspn strcspn
    __memcpy_chk __memmove_chk __memset_chk __read_chk __readlinkat_chk __openat_2 __errno_location
    __stack_chk_fail _GLOBAL_OFFSET_TABLE_
    """.split()
)


# Of other files of ours: each written for the child and saying so in its header.
OURS = {
    "fb_fail",
    "fb_fail_code",
    "fb_creds_resolve",
    "fb_creds_drop_bounding",
    "fb_creds_set_ids",
    "fb_creds_set_capabilities",
    "fb_creds_set_rlimits",
}


def symbols(obj: Path, option: str) -> set[str]:
    out = subprocess.run(["nm", option, str(obj)], check=True, capture_output=True, text=True)
    return {line.split()[-1].split("@")[0] for line in out.stdout.splitlines()}


def refused(objects: list[Path]) -> dict[str, set[str]]:
    """The calls of each object that are neither allowed nor to another of the objects."""
    known = ALLOWED | OURS
    for obj in objects:
        known |= symbols(obj, "--defined-only")
    bad = {obj.name: symbols(obj, "-u") - known for obj in objects}
    return {name: calls for name, calls in bad.items() if calls}


def test_child_calls_only_the_kernel(tmp_path: Path) -> None:
    objects = []
    for name in CHILD:
        obj = tmp_path / f"{name}.o"
        flags = ["-std=gnu17", "-D_GNU_SOURCE", "-D_FORTIFY_SOURCE=3", "-O2", "-fPIC"]
        source = ["-iquote", str(SOURCES), "-c", str(SOURCES / f"{name}.c")]
        subprocess.run(["cc", *flags, *source, "-o", str(obj)], check=True)
        objects.append(obj)
    assert refused(objects) == {}


if __name__ == "__main__":
    problems = refused([Path(name) for name in sys.argv[1:]])
    print(problems or "ok")
    sys.exit(bool(problems))

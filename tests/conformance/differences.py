"""Where the runtimes differ, and why that is right: each row excuses one of them, for keys, cases and values that match.

A difference that no row explains fails a test, and so does a row that nothing needs any more. docs/oci.md holds the rows about fastbox.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .collect import Observation


class Difference(NamedTuple):
    """`party` shows a value that matches `value`, where the others agree on another one."""

    party: str
    keys: str  # regular expressions, matched in full
    cases: str
    value: str
    reason: str
    always: bool = True  # not so from run to run, where it is False


ANY = ".*"
DIFFERENCES = [
    Difference(
        "crun",
        "device:core|probe:list:/dev",
        ANY,
        ".*(/proc/kcore|core fd).*",
        "crun links /dev/core to /proc/kcore; the specification does not name it",
    ),
    Difference(
        "crun",
        "root:.*",
        ANY,
        "d.*t .*|-rwx------ .*",
        "crun makes mount points sticky, and files with mode 0700; the specification names no mode",
    ),
    Difference(
        "crun",
        "mount:/sys",
        ANY,
        r"sysfs sysfs \[rw\].*",
        "crun leaves the file system writable and makes the mount read-only",
    ),
    Difference(
        "runc",
        "mount:/sys",
        ANY,
        r"sysfs sysfs \[ro\].*",
        "runc makes the file system itself read-only and not only the mount",
    ),
    Difference(
        "crun",
        "devices:devices.list",
        ANY,
        ".*c 5:1 rwm.*|a .*",
        "crun allows the console's own node /dev/console too, and everything where no rule is given",
    ),
    Difference(
        "runc",
        "devices:devices.list",
        ANY,
        ".*c 10:200 rwm.*",
        "runc 1.1 still allows /dev/net/tun, which its later versions do not",
    ),
    Difference(
        "crun",
        "mount:.*",
        ANY,
        r"tmpfs tmpfs \[.*size=0k.*",
        "crun masks a directory with a tmpfs of size 0 that is read-only by its mount",
    ),
    Difference(
        "runc",
        "mount:.*",
        ANY,
        r"tmpfs tmpfs \[(gid=\d+,)?ro(,uid=\d+)?\].*",
        "runc masks a directory with a tmpfs that is itself read-only",
    ),
    Difference(
        "crun",
        "mount:.*",
        ANY,
        r"devtmpfs devtmpfs /null relatime,ro.*",
        "crun masks a file with the host's null device",
    ),
    Difference(
        "runc",
        "mount:.*",
        ANY,
        r"(tmpfs tmpfs|devtmpfs devtmpfs).* /null .*",
        "runc masks a file with the container's own null device",
    ),
    Difference(
        "crun",
        "mount:/dev/.*",
        "user-.*",
        "devtmpfs devtmpfs /.* noexec,nosuid,relatime,rw",
        "crun binds the host's devices with nosuid and noexec",
    ),
    Difference(
        "runc",
        "device:mqueue",
        "user-.*",
        r"\S+ 100000:0",
        "runc mounts mqueue before its process takes the namespace's group",
    ),
    Difference(
        "crun",
        "mount:/sys/fs/cgroup",
        ANY,
        "tmpfs cgroup .*",
        "crun names the tmpfs over v1 hierarchies cgroup and makes it 1 MiB",
    ),
    Difference(
        "runc",
        "mount:/sys/fs/cgroup",
        ANY,
        "tmpfs tmpfs .*",
        "runc names the tmpfs over v1 hierarchies tmpfs, with no size",
    ),
    Difference(
        "crun",
        "mount:/sys/fs/cgroup/.*",
        ANY,
        "cgroup /sys/fs/cgroup/.*",
        "crun names the source of a v1 hierarchy after the host's directory",
    ),
    Difference(
        "runc",
        "mount:/sys/fs/cgroup/systemd",
        ANY,
        "cgroup systemd .*",
        "runc names the source of a named hierarchy after its name",
    ),
    Difference(
        "crun",
        "probe:list:/sys/fs/cgroup",
        ANY,
        ".*net_cls net_prio.*",
        "crun makes links for net_cls and net_prio even where the host has neither",
    ),
    Difference(
        "crun",
        "environ",
        ANY,
        "(?!.*HOME=)(.|\n)*",
        "crun sets no HOME for a user that the image does not know",
    ),
    Difference(
        "crun",
        "mount:/r?(shared|slave|unbindable)",
        "propagation-of-mounts",
        r"tmpfs shared \[rw\] / relatime,rw",
        "crun makes every mount private after it has set what the options say",
    ),
    Difference(
        "crun",
        "cgroup:memory",
        "group-absent|group-relative",
        "/(GROUP/relative-)?ID",
        "crun takes a relative path, and none, from the root of a hierarchy and not from its own group",
    ),
    Difference(
        "runc",
        "cpu:cpu.(idle|shares)",
        "cpu-idle",
        "0|1024",
        "runc 1.1 does not know cpu.idle",
    ),
    Difference(
        "runc",
        "memory:memory.kmem.tcp.limit_in_bytes|errors",
        "memory-of-the-kernel",
        ANY,
        "runc ignores the limits of kernel memory with a warning",
    ),
    Difference(
        "crun",
        "mount:/proc/.*",
        "proc-with-options",
        r"proc proc .* relatime,ro",
        "crun drops the options of /proc where it makes a path read-only",
    ),
    Difference(
        "crun",
        "probe:keyring",
        ANY,
        ".*;ID",
        "crun names the session keyring after the container alone",
    ),
    Difference(
        "runc",
        "probe:keyring",
        ANY,
        ".*;_ses.ID",
        "runc names the session keyring _ses. and the container",
    ),
    Difference(
        "runc",
        "probe:stat:/tmp",
        "temporary-file-system",
        "41777 .*",
        "runc 1.1 gives a tmpfs the mode of the directory below it, and not that of its options",
    ),
    Difference(
        "runc",
        "root:(dev|proc|sys)",
        "network-classes",
        "d.*",
        "runc makes the mount points before it looks for the controllers",
    ),
    Difference(
        "(runc|crun)", "cpu:cpu.cfs_burst_us", "cpu-burst", "0", "neither knows cpu.burst yet"
    ),
    Difference(
        "fastbox",
        "device:mqueue",
        "user-.*|idmapped-by-the-namespace",
        r"\S+ 0:0",
        "the queue's directory stays the host root's, as the kernel made it with the IPC namespace; its mode lets everyone in",
    ),
    Difference(
        "fastbox",
        "mount:/mnt",
        "root-(private|shared|unbindable)",
        r"tmpfs shared \[rw\] / relatime,rw",
        "a bind mount whose own options say nothing is private, whatever its source and the root are: it can't reach the host",
    ),
    Difference(
        "fastbox",
        "mount:/mnt",
        "root-slave",
        ".* master",
        "the word without its r holds for the whole tree as well, so that no mount can reach the host",
    ),
    Difference(
        "fastbox",
        "mount:/r?shared",
        "propagation-of-mounts",
        r".* relatime,rw shared",
        "where the root is not a slave, a shared mount is a peer of its source and not a slave of its own",
    ),
    Difference(
        "runc",
        "mount:.*",
        "root-shared|root-rshared",
        "(?!.*shared).*",
        "runc makes the root's own mount private before it enters it, whatever the propagation is",
    ),
    Difference(
        "crun",
        "mount:/dev/.*",
        "idmapped-by-the-namespace",
        "devtmpfs devtmpfs /.* noexec,nosuid,relatime,rw",
        "crun binds the host's devices with nosuid and noexec",
    ),
    Difference(
        "fastbox",
        "mount:/proc/(keys|timer_list)",
        "proc-only",
        ".*/null relatime,rw",
        "the null device of a root without /dev is bound as it is: nothing can be written to it",
    ),
    Difference(
        "fastbox",
        "root:made/here",
        "bind-of-a-file",
        "-rw-r--r-- 0:0",
        "a file that is made for a mount has the mode of a plain file; the specification names none",
    ),
    Difference(
        "runc",
        "status:Umask|probe:create:/dev/shm/x",
        "exec-process",
        "0022|100644 .*",
        "runc 1.1 does not take the umask of an exec's document",
    ),
    Difference(
        "runc",
        "limit:Max open files",
        "exec-process",
        "60 60 files",
        "runc raises the soft limit of descriptors, as its language's library does, and is not always in time to take it back",
        False,
    ),
    Difference(
        "(runc|crun)",
        "oom_score_adj",
        "exec-process",
        "0",
        "neither takes it from an exec's document",
    ),
    Difference(
        "fastbox",
        "limit:Max open files",
        "exec-process-bare",
        "1024 1024 files",
        "an exec whose document names no limits has the container's, and not those of whoever asked for it",
    ),
    Difference(
        "crun",
        "limit:Max open files",
        "exec-(?!process$).*",
        "20000 .*",
        "crun gives an exec without a document none of the container's limits",
    ),
    Difference(
        "crun",
        "environ",
        "exec-env",
        "A=1\n(.|\n)*",
        "crun puts --env in place of the container's environment",
    ),
    Difference(
        "crun",
        "status:Cap.*",
        "exec-capability",
        "0000000000001000|0+",
        "crun puts --cap in place of the container's",
    ),
    Difference(
        "crun",
        "probe:keyring",
        "exec-.*",
        ".*;_uid_ses.*",
        "crun's exec gets the user's own session keyring",
    ),
    Difference(
        "fastbox",
        "probe:keyring",
        ANY,
        "keyring;0;0;3f030000;_ses",
        "the session keyring is a new one without a name, which nobody can join by guessing it",
    ),
]

USED: set[Difference] = set()
RUN: set[str] = set()


def explain(seen: dict[str, Observation], case: str) -> list[str]:
    """The differences among the parties that no row excuses; USED gains the rows that were needed."""
    wrong = []
    RUN.add(case)
    for key in sorted({key for table in seen.values() for key in table} - {"errors"}):
        values = {party: table.get(key, "(absent)") for party, table in seen.items()}
        if len(set(values.values())) == 1:
            continue
        rows = {party: row_for(party, key, case, value) for party, value in values.items()}
        rest = {value for party, value in values.items() if not rows[party]}
        # The rows of those that agree with the rest say nothing here.
        needed = {p: row for p, row in rows.items() if row and values[p] not in rest}
        USED.update(needed.values())
        if len(rest) > 1:
            wrong.append("\n".join([f"{key}:", *(f"    {p:8} {v}" for p, v in values.items())]))
    return wrong


def row_for(party: str, key: str, case: str, value: str) -> Difference | None:
    for row in DIFFERENCES:
        if (
            re.fullmatch(row.party, party)
            and re.fullmatch(row.keys, key)
            and re.fullmatch(row.cases, case)
            and re.fullmatch(row.value, value, re.DOTALL)
        ):
            return row
    return None

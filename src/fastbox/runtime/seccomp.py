"""Which system calls a container may make: an allow-list, the same as docker's but for what
docs/security-defaults.md lists.

The profile is made as JSON text, not as a dictionary: 400 names cost 30 us that way, and the start
path has no more to spare. A profile of the user's own (docker's JSON format) is parsed and resolved
here too.
"""

from __future__ import annotations

import os

from fastbox.errors import InvalidArgument, Unsupported, os_error
from fastbox.support import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

MAX_PROFILE_BYTES = 4 << 20

# Harmless to the host, or guarded by the kernel's own capability checks inside the container's
# namespaces. The old socketcall multiplexer is not here: its arguments are behind a pointer, so it
# would go round the rule on families.
_ALWAYS = """
accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod
chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime
clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range
creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2
fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid
getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list
getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy
io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill
landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link
linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat
lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod
mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive
mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll
ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64
pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg
recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity
sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler
sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send
sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32
setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt
set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget
shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketpair splice stat stat64 statfs
statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64
times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat
utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
"""

# Before 4.8 a tracer could change the call after the filter had seen it; fastbox needs 5.2 and
# later anyway.
_TRACING = "process_vm_readv process_vm_writev ptrace"

# What a capability that the container holds makes sensible; without it the kernel's own check
# should never be reached.
_BY_CAPABILITY = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_ADMIN": (
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie "
        "lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount "
        "open_tree open_tree_attr perf_event_open quotactl quotactl_fd setdomainname sethostname "
        "setns syslog umount umount2 unshare"
    ),
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "delete_module init_module finit_module",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise",
    "CAP_SYS_RAWIO": "iopl ioperm",
    "CAP_SYS_TIME": "settimeofday stime clock_settime clock_settime64",
    "CAP_SYS_TTY_CONFIG": "vhangup",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "CAP_SYSLOG": "syslog",
    "CAP_BPF": "bpf",
    "CAP_PERFMON": "perf_event_open",
}

# Docker's name of a machine, the filter's architectures, and the calls only it has. Values of
# uname's machine.
_MACHINES = {
    "x86_64": ("amd64", ("X86_64", "X86", "X32"), "arch_prctl modify_ldt"),
    "aarch64": (
        "arm64",
        ("AARCH64", "ARM"),
        "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
    ),
    "riscv64": ("riscv64", ("RISCV64",), "riscv_flush_icache riscv_hwprobe"),
    "ppc64le": ("ppc64le", ("PPC64LE",), "sync_file_range2 swapcontext"),
    "s390x": (
        "s390x",
        ("S390X", "S390"),
        "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr",
    ),
}

_NEW_NAMESPACES = 0x7E020000  # every CLONE_NEW* that clone takes in its flags
# Linux, 32-bit Linux, and both with ADDR_NO_RANDOMIZE off the table; 0xffffffff only asks.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
# unix, inet, inet6, netlink, packet. All others are refused: AF_ALG and AF_VSOCK are ways out of
# the box, the rest is rarely used code. Equality, not inequality: the filter compares 64 bits, the
# kernel then drops the upper 32.
_FAMILIES = (1, 2, 10, 16, 17)

_ALLOW = '"action":"SCMP_ACT_ALLOW"'


def _names(words: Iterable[str]) -> str:
    return '["' + '","'.join(words) + '"]'


def _argument_rule(name: str, index: int, value: int, operator: str) -> str:
    test = f'{{"index":{index},"value":{value},"op":"SCMP_CMP_{operator}"}}'
    return f'{{"names":["{name}"],{_ALLOW},"args":[{test}]}}'


def default_profile(capabilities: Collection[str]) -> str:
    """The `linux.seccomp` object for a container with these capabilities, as JSON text."""
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise Unsupported(
            f"no system call filter for {machine}",
            hint="run it with --security-opt seccomp=unconfined",
        )
    _, architectures, own = _MACHINES[machine]
    rules = [f'{{"names":{_names(f"{_ALWAYS} {_TRACING} {own}".split())},{_ALLOW}}}']
    granted = [calls for capability, calls in _BY_CAPABILITY.items() if capability in capabilities]
    if granted:
        # A name may come with two capabilities; once is enough.
        rules.append(f'{{"names":{_names(dict.fromkeys(" ".join(granted).split()))},{_ALLOW}}}')
    rules += [_argument_rule("socket", 0, family, "EQ") for family in _FAMILIES]
    rules += [_argument_rule("personality", 0, persona, "EQ") for persona in _PERSONALITIES]
    if "CAP_SYS_ADMIN" not in capabilities:
        # s390 has the stack first and the flags second.
        index = 1 if machine == "s390x" else 0
        rules.append(_argument_rule("clone", index, _NEW_NAMESPACES, "MASKED_EQ"))
        # Its flags are behind a pointer; ENOSYS makes libc fall back to clone.
        rules.append('{"names":["clone3"],"action":"SCMP_ACT_ERRNO","errnoRet":38}')
    arches = '","'.join("SCMP_ARCH_" + arch for arch in architectures)
    return (
        '{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,'
        f'"architectures":["{arches}"],"syscalls":[{",".join(rules)}]}}'
    )


def load_profile(source: str, capabilities: Collection[str]) -> str:
    """A profile in docker's format, resolved for this machine and these capabilities, as JSON text.

    Args:
        source: A file's path, or the JSON itself (it starts with "{").
        capabilities: What the container will hold.

    Raises:
        InvalidArgument: It can't be read, is not JSON, or names a condition that is not known.
    """
    text = source.encode() if source.lstrip().startswith("{") else _read(source)
    where = "" if source.lstrip().startswith("{") else source
    try:
        return _resolve(json.loads_object(text), capabilities)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"not a seccomp profile: {error}", where=where) from error


def _read(path: str) -> bytes:
    try:
        # O_NONBLOCK: the name may be a fifo.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            data = file.read(MAX_PROFILE_BYTES + 1)
    except OSError as error:
        raise os_error(error, "cannot read the seccomp profile", path) from error
    if len(data) > MAX_PROFILE_BYTES:
        raise InvalidArgument("a seccomp profile of more than 4 MiB", where=path)
    return data


def _resolve(profile: Mapping[str, object], capabilities: Collection[str]) -> str:
    if "listenerPath" in profile:
        raise InvalidArgument("a seccomp profile with a listener is not supported")
    document: dict[str, object] = {"defaultAction": profile["defaultAction"]}
    for key in ("defaultErrnoRet", "flags"):
        if key in profile:
            document[key] = profile[key]
    document["architectures"] = profile.get("architectures") or _architectures(profile)
    rules = profile.get("syscalls") or []
    if not isinstance(rules, list):
        raise ValueError("syscalls is not a list")
    document["syscalls"] = [_rule(rule) for rule in rules if _applies(rule, capabilities)]
    return json.dumps(document)


def _architectures(profile: Mapping[str, object]) -> list[str]:
    mapped = profile.get("archMap")
    own = ["SCMP_ARCH_" + arch for arch in _machine()[1]]
    if not isinstance(mapped, list):
        return own
    for entry in mapped:
        if entry.get("architecture") == own[0]:
            return [own[0], *(entry.get("subArchitectures") or [])]
    return own[:1]


def _machine() -> tuple[str, tuple[str, ...], str]:
    machine = os.uname().machine
    return _MACHINES.get(machine, (machine, (), ""))


def _rule(rule: Mapping[str, object]) -> dict[str, object]:
    names = rule.get("names") or [rule["name"]]
    made: dict[str, object] = {"names": names, "action": rule["action"]}
    if rule.get("errnoRet") is not None:
        made["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        made["args"] = rule["args"]
    return made


def _applies(rule: Mapping[str, object], capabilities: Collection[str]) -> bool:
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    if not isinstance(includes, dict) or not isinstance(excludes, dict):
        raise ValueError("includes and excludes must be objects")
    for conditions in (includes, excludes):
        for key in conditions:
            if key not in ("caps", "arches", "minKernel"):
                raise ValueError(f'unknown condition "{key}"')
    machine = _machine()[0]
    return not (
        any(cap in capabilities for cap in excludes.get("caps") or [])
        or machine in (excludes.get("arches") or [])
        or ("minKernel" in excludes and _kernel_at_least(excludes["minKernel"]))
        or not all(cap in capabilities for cap in includes.get("caps") or [])
        or (includes.get("arches") and machine not in includes["arches"])
        or ("minKernel" in includes and not _kernel_at_least(includes["minKernel"]))
    )


def _kernel_at_least(wanted: str) -> bool:
    def numbers(text: str) -> list[int]:
        return [int("".join(c for c in part if c.isdigit()) or 0) for part in text.split(".")[:2]]

    return numbers(os.uname().release) >= numbers(wanted)

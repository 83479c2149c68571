"""Cases of filters: every action, compared arguments, several architectures."""

from __future__ import annotations

from typing import Any

from .bundle import Bundle, case

ARCHITECTURES = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]


def _filter(
    b: Bundle, *rules: dict[str, Any], default: str = "SCMP_ACT_ALLOW", **more: object
) -> None:
    b.linux["seccomp"] = {
        "defaultAction": default,
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [*rules],
        **more,
    }


def _rule(action: str, *names: str, **more: object) -> dict[str, Any]:
    return {"names": [*names], "action": action, **more}


@case()
def filter_errno(b: Bundle) -> None:
    _filter(
        b,
        _rule("SCMP_ACT_ERRNO", "getppid"),
        _rule("SCMP_ACT_ERRNO", "getpgid", errnoRet=95),
        _rule("SCMP_ACT_ERRNO", "no_such_call_anywhere"),
    )
    b.asks("call:getppid", "EPERM")
    b.asks("call:getpgid:0", "EOPNOTSUPP")
    b.asks("call:sched_yield", "ok")
    b.expect("status:Seccomp", "2")


@case()
def filter_kills_the_thread(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_KILL", "getppid"), _rule("SCMP_ACT_KILL_THREAD", "sync"))
    b.asks("call:getppid", "signal 31")
    b.asks("call:sync", "signal 31")


@case()
def filter_kills_the_process(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_KILL_PROCESS", "getppid"))
    b.asks("call:getppid", "signal 31")


@case()
def filter_traps(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_TRAP", "getppid"))
    b.asks("call:getppid", "signal 31")


@case()
def filter_traces(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_TRACE", "getppid", errnoRet=3))
    b.asks("call:getppid", "ENOSYS")


@case(peers=("crun",))
def filter_logs(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_LOG", "getppid"), flags=["SECCOMP_FILTER_FLAG_LOG"])
    b.asks("call:getppid", "ok")


@case()
def filter_compares_arguments(b: Bundle) -> None:
    def compare(name: str, op: str, value: int, two: int = 0) -> dict[str, Any]:
        arg = {"index": 0, "value": value, "op": f"SCMP_CMP_{op}", "valueTwo": two}
        return _rule("SCMP_ACT_ERRNO", name, args=[arg])

    _filter(
        b,
        compare("getpgid", "EQ", 7),
        compare("umask", "GT", 63),
        compare("dup", "GE", 10),
        compare("unshare", "MASKED_EQ", 0x20000, 0x20000),
        compare("setgid", "NE", 0),
        compare("setuid", "LT", 5),
        compare("dup2", "LE", 3),
    )
    for word, answer in (
        ("getpgid:7", "EPERM"),
        ("getpgid:0", "ok"),
        ("umask:64", "EPERM"),
        ("umask:63", "ok"),
        ("dup:10", "EPERM"),
        ("dup:9", "EBADF"),
        ("unshare:0x20400", "EPERM"),
        ("setgid:1", "EPERM"),
        ("setgid:0", "ok"),
        ("setuid:4", "EPERM"),
        ("dup2:3:50", "EPERM"),
        ("dup2:60:50", "EBADF"),
    ):
        b.asks(f"call:{word}", answer)


@case()
def filter_of_two_arguments(b: Bundle) -> None:
    both = [
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 0, "op": "SCMP_CMP_EQ"},
    ]
    _filter(b, _rule("SCMP_ACT_ERRNO", "getpriority", errnoRet=1, args=both))
    b.asks("call:getpriority:1:0", "EPERM")
    b.asks("call:getpriority:0:0", "ok")


@case()
def filter_that_allows(b: Bundle) -> None:
    calls = """read write close fstat exit exit_group execve brk mmap munmap mprotect arch_prctl set_tid_address set_robust_list rseq
        prlimit64 readlink readlinkat getrandom newfstatat uname wait4 clone pipe2 rt_sigaction rt_sigprocmask futex getppid ioctl fcntl
        openat prctl capset capget setgroups setgid setuid chdir getcwd lseek open stat access getpid gettid tgkill epoll_ctl
        epoll_pwait nanosleep sched_yield clock_gettime sigaltstack mlock epoll_create1 rt_sigreturn getdents64 faccessat2 faccessat
        statx statfs fstatfs kill sendmsg recvmsg dup3 dup close_range umask setresuid setresgid setsid write writev keyctl personality
        getuid getgid geteuid getegid fchown fchdir pread64 madvise openat2 seccomp vfork clone3 set_mempolicy sched_setaffinity
        setxattr fsetxattr getsockopt socket connect sendto recvfrom poll ppoll pidfd_open exit"""
    _filter(
        b, _rule("SCMP_ACT_ALLOW", *calls.split()), default="SCMP_ACT_ERRNO", defaultErrnoRet=95
    )
    b.asks("call:getppid", "ok")
    b.asks("call:getpgid:0", "EOPNOTSUPP")


@case()
def filter_of_several_architectures(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_ERRNO", "getppid", errnoRet=13), architectures=ARCHITECTURES)
    b.asks("call:getppid", "EACCES")


@case(peers=("crun",))
def filter_with_privileges(b: Bundle) -> None:
    _filter(b, _rule("SCMP_ACT_ERRNO", "getppid"))
    b.process["noNewPrivileges"] = False
    b.process["user"] = {"uid": 1000, "gid": 1000}
    b.asks("call:getppid", "EPERM")
    b.expect("status:NoNewPrivs", "0")


@case(peers=("crun",))
def filter_flags(b: Bundle) -> None:
    _filter(
        b,
        _rule("SCMP_ACT_ERRNO", "getppid"),
        flags=[
            "SECCOMP_FILTER_FLAG_TSYNC",
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
            "SECCOMP_FILTER_FLAG_LOG",
        ],
    )
    b.asks("call:getppid", "EPERM")

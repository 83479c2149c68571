"""Cases of the process itself: who it is, what it may, what it is given."""

from __future__ import annotations

from .bundle import PATH, Bundle, case


@case()
def plain(b: Bundle) -> None:
    b.asks("uname", "conform (none) x86_64")
    b.asks("cwd", "/")
    b.ask("signals", "descriptors", "keyring", "schedule", "terminal", "affinity", "personality")
    b.ask(
        "write:/data/text",
        "mkdir:/x",
        "read:/proc/kcore",
        "read:/proc/keys",
        "read:/proc/timer_list",
    )
    b.ask(
        "write:/proc/sysrq-trigger",
        "write:/proc/sys/kernel/hostname",
        "list:/proc/acpi",
        "list:/dev",
    )


@case()
def exit_code(b: Bundle) -> None:
    b.ask("exit:37")
    b.expect("exit", "37")


@case()
def ended_by_a_signal(b: Bundle) -> None:
    # Without a pid namespace: a first process ignores the signals that it has not asked for.
    b.without_namespace("pid")
    b.ask("signal:15")
    b.expect("exit", "143")


@case()
def user_and_groups(b: Bundle) -> None:
    b.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000, 10]}
    b.expect("status:Uid", "1000 1000 1000 1000")
    b.expect("status:Gid", "1001 1001 1001 1001")
    b.ask("create:/dev/shm/x", "stat:/dev/null", "descriptors")


@case()
def user_without_groups(b: Bundle) -> None:
    b.process["user"] = {"uid": 65534, "gid": 65534}
    b.expect("status:Uid", "65534 65534 65534 65534")


@case()
def umask(b: Bundle) -> None:
    b.process["user"]["umask"] = 0o77
    b.asks("create:/dev/shm/x", "100600 0:0")
    b.expect("status:Umask", "0077")


@case()
def umask_of_nothing(b: Bundle) -> None:
    b.process["user"]["umask"] = 0
    b.asks("create:/dev/shm/x", "100666 0:0")


@case()
def no_capabilities(b: Bundle) -> None:
    b.process["capabilities"] = {}
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        b.expect(f"status:Cap{kind}", "0000000000000000")


@case()
def capabilities_absent(b: Bundle) -> None:
    del b.process["capabilities"]


@case()
def capabilities_of_five_sets(b: Bundle) -> None:
    b.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_CHROOT"],
        "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"],
        "effective": ["CAP_KILL"],
        "inheritable": ["CAP_NET_ADMIN", "CAP_CHOWN"],
        "ambient": ["CAP_NET_ADMIN"],
    }
    b.process["user"] = {"uid": 1000, "gid": 1000}
    b.expect("status:CapBnd", "0000000000041021")
    b.expect("status:CapAmb", "0000000000001000")


@case()
def ambient_for_another_user(b: Bundle) -> None:
    b.process["capabilities"] = {
        key: ["CAP_NET_BIND_SERVICE"]
        for key in ("bounding", "permitted", "effective", "inheritable", "ambient")
    }
    b.process["user"] = {"uid": 1000, "gid": 1000}
    b.expect("status:CapEff", "0000000000000400")


@case()
def new_privileges_allowed(b: Bundle) -> None:
    b.process["noNewPrivileges"] = False
    b.expect("status:NoNewPrivs", "0")


@case()
def rlimits(b: Bundle) -> None:
    b.process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_STACK", "soft": 4194304, "hard": 8388608},
        {"type": "RLIMIT_CPU", "soft": 100, "hard": 18446744073709551615},
        {"type": "RLIMIT_AS", "soft": 1 << 40, "hard": 1 << 41},
        {"type": "RLIMIT_FSIZE", "soft": 1 << 30, "hard": 1 << 31},
        {"type": "RLIMIT_MEMLOCK", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_SIGPENDING", "soft": 10, "hard": 20},
        {"type": "RLIMIT_MSGQUEUE", "soft": 1000, "hard": 2000},
        {"type": "RLIMIT_DATA", "soft": 1 << 33, "hard": 1 << 34},
        {"type": "RLIMIT_RSS", "soft": 1 << 33, "hard": 1 << 34},
        {"type": "RLIMIT_LOCKS", "soft": 30, "hard": 40},
        {"type": "RLIMIT_NICE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_RTPRIO", "soft": 0, "hard": 0},
        {"type": "RLIMIT_RTTIME", "soft": 50, "hard": 60},
    ]
    b.expect("limit:Max open files", "100 200 files")
    b.expect("limit:Max cpu time", "100 unlimited seconds")


@case()
def no_rlimits(b: Bundle) -> None:
    del b.process["rlimits"]


@case()
def oom_score(b: Bundle) -> None:
    b.process["oomScoreAdj"] = 321
    b.expect("oom_score_adj", "321")


@case()
def long_arguments_and_environment(b: Bundle) -> None:
    b.process["args"] = ["/bin/probe", *(f"word{i}-" + "x" * 500 for i in range(100)), "hold"]
    b.process["env"] = [PATH, "EMPTY=", "EQUAL=a=b", "TWICE=1", "TWICE=2", "LINES=a\tb", "é=ü"]
    b.process["env"] += [f"VARIABLE_{i}={'y' * 1000}" for i in range(100)]


@case()
def environment_absent(b: Bundle) -> None:
    b.process["args"] = ["/bin/probe", "hold"]
    del b.process["env"]


@case()
def home_of_a_user(b: Bundle) -> None:
    b.process["user"] = {"uid": 1000, "gid": 1000}
    b.process["env"] = [PATH]


@case()
def cwd(b: Bundle) -> None:
    b.process["cwd"] = "/data/below"
    b.asks("cwd", "/data/below")


@case()
def cwd_that_does_not_exist(b: Bundle) -> None:
    b.writable()
    b.process["cwd"] = "/made/for/this"
    b.asks("cwd", "/made/for/this")
    b.ask("stat:/made", "stat:/made/for/this")


@case()
def cwd_of_a_mount(b: Bundle) -> None:
    b.mount("/mnt", "bind", f"{b.material}/directory", "bind")
    b.process["cwd"] = "/mnt"
    b.asks("cwd", "/mnt")


@case()
def command_by_path_variable(b: Bundle) -> None:
    b.process["args"] = ["probe", "cwd", "hold"]
    b.expect("probe:cwd", "/")


@case()
def command_not_found(b: Bundle) -> None:
    b.process["args"] = ["nonesuch"]
    b.expect("errors", "*executable file *not found in $PATH*")


@case()
def command_is_a_directory(b: Bundle) -> None:
    b.process["args"] = ["/data"]
    b.expect("errors", "*[Pp]ermi[st]*")


@case()
def command_not_executable(b: Bundle) -> None:
    b.process["args"] = ["/etc/passwd"]
    b.expect("errors", "*[Pp]ermission denied*")


@case()
def path_that_does_not_exist(b: Bundle) -> None:
    b.process["args"] = ["/nonesuch"]
    b.expect("errors", "*[Nn]o such file or directory*")


@case()
def hostname(b: Bundle) -> None:
    b.config["hostname"] = "x" * 64
    b.asks("uname", "x" * 64 + " (none) *")


@case()
def hostname_absent(b: Bundle) -> None:
    del b.config["hostname"]
    b.ask("uname")


@case(peers=("crun",))
def domainname(b: Bundle) -> None:
    b.config["domainname"] = "example.org"
    b.asks("uname", "conform example.org *")


@case()
def writable_root(b: Bundle) -> None:
    b.writable()
    b.asks("create:/data/new", "100644 0:0")
    b.asks("mkdir:/new", "ok")


@case()
def root_readonly(b: Bundle) -> None:
    b.all_capabilities()
    b.asks("create:/data/new", "EROFS")
    b.asks("mkdir:/new", "EROFS")


@case()
def root_by_absolute_path(b: Bundle) -> None:
    b.config["root"]["path"] = str(b.rootfs)
    b.ask("list:/")


@case()
def annotations_(b: Bundle) -> None:
    b.config["annotations"] = {"org.example.key": "value", "a": "", "run.oci.unknown": "1"}


@case()
def sysctl(b: Bundle) -> None:
    b.linux["sysctl"] = {
        "net.ipv4.ip_forward": "1",
        "net.core.somaxconn": "777",
        "kernel.msgmax": "4096",
        "fs.mqueue.msg_max": "7",
    }
    b.asks("text:/proc/sys/net/ipv4/ip_forward", "1\\n")
    b.asks("text:/proc/sys/net/core/somaxconn", "777\\n")
    b.asks("text:/proc/sys/kernel/msgmax", "4096\\n")
    b.asks("text:/proc/sys/fs/mqueue/msg_max", "7\\n")


@case(peers=())
def scheduler_batch(b: Bundle) -> None:
    b.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    b.asks("schedule", "policy 3 flags 0 nice 5 *")


@case(peers=())
def scheduler_idle(b: Bundle) -> None:
    b.process["scheduler"] = {"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    b.asks("schedule", "policy 5 flags 1 *")


@case(peers=())
def io_priority(b: Bundle) -> None:
    b.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    b.asks("schedule", "* io 4006")


@case(peers=())
def io_priority_idle(b: Bundle) -> None:
    b.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE"}
    b.asks("schedule", "* io 6000")


@case(peers=("crun",))
def personality(b: Bundle) -> None:
    b.linux["personality"] = {"domain": "LINUX32"}
    b.asks("uname", "conform (none) i686")


@case()
def masked_and_readonly(b: Bundle) -> None:
    b.writable()
    b.all_capabilities()
    b.linux["maskedPaths"] = ["/data/text", "/data/below", "/nonesuch", "/proc/timer_list"]
    b.linux["readonlyPaths"] = ["/etc", "/etc/group", "/home/app", "/nonesuch", "/proc/sys"]
    b.asks("read:/data/text", "empty")
    b.asks("list:/data/below", "")
    b.asks("create:/data/below/x", "EROFS")
    b.asks("create:/etc/x", "EROFS")
    b.asks("create:/home/app/x", "EROFS")
    b.asks("create:/home/x", "100644 0:0")
    b.asks("write:/etc/group", "EROFS")


@case()
def nothing_masked(b: Bundle) -> None:
    b.linux["maskedPaths"] = []
    b.linux["readonlyPaths"] = []


@case()
def masked_absent(b: Bundle) -> None:
    del b.linux["maskedPaths"], b.linux["readonlyPaths"]

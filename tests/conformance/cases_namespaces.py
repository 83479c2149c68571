"""Cases of namespaces: each one new, absent, and given by path; user namespaces with ranges."""

from __future__ import annotations

from .bundle import Bundle, case


def _shared(b: Bundle, kind: str, key: str) -> None:
    b.without_namespace(kind)
    b.expect(f"namespace:{key}", "host")


@case()
def no_pid_namespace(b: Bundle) -> None:
    _shared(b, "pid", "pid")


@case()
def no_network_namespace(b: Bundle) -> None:
    _shared(b, "network", "net")


@case()
def no_ipc_namespace(b: Bundle) -> None:
    _shared(b, "ipc", "ipc")


@case()
def no_uts_namespace(b: Bundle) -> None:
    del b.config["hostname"]
    _shared(b, "uts", "uts")


@case()
def few_namespaces(b: Bundle) -> None:
    del b.config["hostname"]
    for kind in ("pid", "network", "ipc", "uts"):
        b.without_namespace(kind)
    b.expect("namespace:mnt", "new")


@case()
def new_cgroup_namespace(b: Bundle) -> None:
    b.namespace("cgroup")
    b.expect("namespace:cgroup", "new")
    b.asks("text:/proc/self/cgroup", "*:memory:/\\n*:/\\n*")


# Neither of the rivals' versions here knows the kind.
@case(peers=())
def new_time_namespace(b: Bundle) -> None:
    b.namespace("time")
    b.expect("namespace:time", "new")


@case(peers=())
def time_offsets(b: Bundle) -> None:
    b.namespace("time")
    b.linux["timeOffsets"] = {
        "monotonic": {"secs": 86400, "nanosecs": 5},
        "boottime": {"secs": 864000},
    }
    b.expect("timens_offsets", "monotonic 86400 5 boottime 864000 0")
    b.ask("clock")


@case()
def network_by_path(b: Bundle) -> None:
    b.namespace("network", b.hold("net").path("net"))
    b.expect("namespace:net", "given")


@case()
def ipc_by_path(b: Bundle) -> None:
    b.namespace("ipc", b.hold("ipc").path("ipc"))
    b.expect("namespace:ipc", "given")


@case()
def uts_by_path(b: Bundle) -> None:
    b.namespace("uts", b.hold("uts").path("uts"))
    b.expect("namespace:uts", "given")
    b.asks("uname", "conform (none) *")


@case()
def pid_by_path(b: Bundle) -> None:
    b.namespace("pid", b.hold("pid").path("pid"))
    b.expect("namespace:pid", "given")


@case()
def cgroup_by_path(b: Bundle) -> None:
    b.namespace("cgroup", b.hold("cgroup").path("cgroup"))
    b.expect("namespace:cgroup", "given")


@case()
def mount_by_path(b: Bundle) -> None:
    b.namespace("mount", b.hold("mount").path("mnt"))
    b.expect("namespace:mnt", "given")


@case(peers=())
def time_by_path(b: Bundle) -> None:
    b.namespace("time", b.hold("time").path("time_for_children"))
    b.expect("namespace:time", "given")


@case()
def all_by_path(b: Bundle) -> None:
    holder = b.hold("net", "ipc", "uts", "pid", "cgroup")
    for kind, name in (
        ("network", "net"),
        ("ipc", "ipc"),
        ("uts", "uts"),
        ("pid", "pid"),
        ("cgroup", "cgroup"),
    ):
        b.namespace(kind, holder.path(name))
        b.expect(f"namespace:{name}", "given")


def _user(b: Bundle) -> None:
    b.namespace("user")
    b.own(100000)
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    b.linux["uidMappings"] = b.linux["gidMappings"] = mapping
    b.expect("namespace:user", "new")
    b.expect("uid_map", "0 100000 65536")


@case()
def user_namespace(b: Bundle) -> None:
    _user(b)
    b.ask(
        "uname",
        "stat:/data/text",
        "stat:/dev/null",
        "create:/dev/shm/x",
        "write:/dev/null",
        "read:/dev/zero",
    )


@case()
def user_namespace_writable(b: Bundle) -> None:
    _user(b)
    b.writable()
    b.asks("create:/data/new", "100644 0:0")


@case()
def user_namespace_ranges(b: Bundle) -> None:
    b.namespace("user")
    b.own(100000)
    b.linux["uidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 1000},
        {"containerID": 1000, "hostID": 5000, "size": 1},
        {"containerID": 2000, "hostID": 200000, "size": 65536},
    ]
    b.linux["gidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 2000},
        {"containerID": 5000, "hostID": 300000, "size": 10},
    ]
    b.process["user"] = {"uid": 1000, "gid": 5000, "additionalGids": [5, 5009]}
    b.expect("uid_map", "0 100000 1000 1000 5000 1 2000 200000 65536")
    b.expect("gid_map", "0 100000 2000 5000 300000 10")
    b.expect("status:Uid", "5000 5000 5000 5000")
    b.expect("status:Gid", "300000 300000 300000 300000")
    b.expect("status:Groups", "100005 300009")


@case()
def user_namespace_and_everything(b: Bundle) -> None:
    _user(b)
    b.namespace("cgroup")
    b.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    b.mount("/tmp", "tmpfs", "tmpfs", "mode=1777", "nosuid")
    b.mount("/mnt", "bind", f"{b.material}/directory", "bind", "ro")
    b.process["user"] = {"uid": 7, "gid": 8}
    b.asks("text:/mnt/text", "of the host\\n")
    b.asks("create:/tmp/x", "100644 7:8")


@case()
def user_namespace_one_to_one(b: Bundle) -> None:
    b.namespace("user")
    mapping = [{"containerID": 0, "hostID": 0, "size": 4294967295}]
    b.linux["uidMappings"] = b.linux["gidMappings"] = mapping
    b.expect("namespace:user", "new")

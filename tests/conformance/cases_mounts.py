"""Cases of mounts: every kind, its options, propagation, id mapping, and devices."""

from __future__ import annotations

from .bundle import Bundle, case


@case()
def bind(b: Bundle) -> None:
    (b.path / "beside").mkdir()
    (b.path / "beside/text").write_text("of the host\n")
    b.mount("/mnt", "bind", f"{b.path}/beside", "bind")
    b.asks("text:/mnt/text", "of the host\\n")
    b.asks("create:/mnt/new", "100644 0:0")


# The rivals take the type for a file system's name.
@case(peers=())
def bind_without_the_word(b: Bundle) -> None:
    b.mount("/mnt", "bind", f"{b.material}/directory")
    b.asks("text:/mnt/text", "of the host\\n")


@case()
def bind_none(b: Bundle) -> None:
    b.mount("/mnt", "none", f"{b.material}/directory", "bind", "ro")
    b.asks("text:/mnt/text", "of the host\\n")


@case()
def bind_readonly(b: Bundle) -> None:
    b.all_capabilities()
    b.mount("/mnt", "bind", f"{b.material}/directory", "bind", "ro", "nosuid", "nodev", "noexec")
    b.asks("create:/mnt/x", "EROFS")


@case()
def bind_of_a_tree(b: Bundle) -> None:
    b.mount("/one", "bind", f"{b.material}/tree", "bind")
    b.mount("/all", "bind", f"{b.material}/tree", "rbind")
    b.mount("/readonly", "bind", f"{b.material}/tree", "rbind", "ro")
    b.ask("create:/one/sub/x", "create:/all/sub/x", "create:/readonly/x", "create:/readonly/sub/x")


@case()
def bind_recursively_readonly(b: Bundle) -> None:
    b.all_capabilities()
    b.mount("/all", "bind", f"{b.material}/tree", "rbind", "rro")
    b.asks("create:/all/new", "EROFS")
    b.asks("create:/all/sub/new", "EROFS")


@case(peers=("crun",))
def recursive_attributes(b: Bundle) -> None:
    b.mount("/all", "bind", f"{b.material}/tree", "rbind", "rnosuid", "rnodev", "rnoexec")
    b.expect("mount:/all/sub", "*nodev,noexec,nosuid*")


@case()
def bind_of_a_file(b: Bundle) -> None:
    b.mount("/data/text", "bind", f"{b.material}/file", "bind", "ro")
    b.mount("/made/here", "bind", f"{b.material}/file", "bind")
    b.asks("text:/data/text", "a file of the host\\n")
    b.asks("text:/made/here", "a file of the host\\n")


@case()
def bind_relative_source(b: Bundle) -> None:
    (b.path / "beside").mkdir()
    (b.path / "beside/text").write_text("beside the configuration\n")
    b.mount("/mnt", "bind", "beside", "bind")
    b.asks("text:/mnt/text", "beside the configuration\\n")


@case()
def bind_through_links_of_the_image(b: Bundle) -> None:
    (b.rootfs / "absolute").symlink_to("/data")
    (b.rootfs / "climbing").symlink_to("../../../../data/below")
    b.mount("/absolute/in", "bind", f"{b.material}/directory", "bind")
    b.mount("/climbing", "bind", f"{b.material}/directory", "bind")
    b.asks("text:/data/in/text", "of the host\\n")
    b.asks("text:/data/below/text", "of the host\\n")


@case()
def bind_flags(b: Bundle) -> None:
    for n, words in enumerate(
        (("noatime",), ("nodiratime",), ("strictatime",), ("relatime", "noexec"), ("nodev", "suid"))
    ):
        b.mount(f"/m{n}", "bind", f"{b.material}/directory", "bind", *words)


@case(peers=())
def recursive_attributes_of_newer_kernels(b: Bundle) -> None:
    b.mount(
        "/sub", "bind", f"{b.material}/tree", "rbind", "rnosymfollow", "rnodiratime", "rnoatime"
    )
    b.expect("mount:/sub/sub", "*noatime,nodiratime,nosymfollow*")


# crun 1.8 lets the word pass and does nothing.
@case(peers=())
def nosymfollow(b: Bundle) -> None:
    b.mount("/mnt", "bind", f"{b.material}/directory", "bind", "nosymfollow")
    b.asks("read:/mnt/link", "ELOOP")
    b.asks("read:/mnt/text", "ok")


@case()
def temporary_file_system(b: Bundle) -> None:
    b.mount(
        "/tmp",
        "tmpfs",
        "tmpfs",
        "nosuid",
        "nodev",
        "size=1m",
        "mode=1770",
        "uid=5",
        "gid=6",
        "nr_inodes=100",
    )
    b.mount("/run", "tmpfs", "scratch", "ro")
    b.mount("/plain", "tmpfs", "tmpfs")
    b.asks("stat:/tmp", "41770 5:6 *")
    b.asks("size:/tmp", "1048576 bytes 100 inodes")
    b.ask("stat:/plain", "stat:/run", "create:/run/x")


@case()
def temporary_copy_up(b: Bundle) -> None:
    b.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", "size=4m")
    b.asks("text:/data/text", "of the image\\n")
    b.asks("text:/data/below/text", "of the image, below\\n")
    b.asks("create:/data/new", "100644 0:0")


# runc wants /proc, crun a /dev in the image.
@case(peers=())
def no_mounts_at_all(b: Bundle) -> None:
    b.config["mounts"] = []
    b.linux["maskedPaths"] = []
    b.linux["readonlyPaths"] = []
    b.ask("list:/", "list:/dev")


@case(peers=("runc",))
def proc_only(b: Bundle) -> None:
    b.config["mounts"] = b.config["mounts"][:1]
    b.ask("list:/", "list:/dev")


@case()
def proc_with_options(b: Bundle) -> None:
    b.config["mounts"][0]["options"] = ["nosuid", "noexec", "nodev", "hidepid=2"]


@case()
def proc_of_the_host(b: Bundle) -> None:
    """What podman makes of `--pid host`."""
    b.without_namespace("pid")
    b.without_mount("/proc")
    b.linux["maskedPaths"] = b.linux["readonlyPaths"] = []
    b.mount("/proc", "bind", "/proc", "rbind", "nosuid", "nodev", "noexec")
    b.expect("mount:/proc", "proc *")


@case()
def files_over_proc(b: Bundle) -> None:
    """What lxcfs wants: some files of /proc are another program's."""
    for name in ("cpuinfo", "meminfo", "uptime", "loadavg", "stat", "swaps", "diskstats"):
        b.mount(f"/proc/{name}", "bind", f"{b.material}/file", "bind", "ro")
    b.asks("text:/proc/meminfo", "a file of the host\\n")


@case()
def devices_of_the_host(b: Bundle) -> None:
    b.without_mount("/dev")
    b.without_mount("/dev/pts")
    b.without_mount("/dev/shm")
    b.without_mount("/dev/mqueue")
    b.mount("/dev", "bind", "/dev", "rbind")


@case()
def readonly_dev(b: Bundle) -> None:
    b.all_capabilities()
    b.config["mounts"][1]["options"].append("ro")
    b.asks("create:/dev/x", "EROFS")


@case()
def cgroup_mount(b: Bundle) -> None:
    b.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    b.ask("list:/sys/fs/cgroup", "write:/sys/fs/cgroup/pids/pids.max")


@case()
def cgroup_mount_in_a_namespace(b: Bundle) -> None:
    b.namespace("cgroup")
    b.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro")
    b.ask("list:/sys/fs/cgroup", "write:/sys/fs/cgroup/pids/pids.max")


@case()
def cgroup_mount_writable(b: Bundle) -> None:
    b.mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "rw")
    b.ask("write:/sys/fs/cgroup/pids/pids.max")


@case()
def mount_over_mount(b: Bundle) -> None:
    b.mount("/mnt", "tmpfs", "first", "size=1m")
    b.mount("/mnt/in/deep", "tmpfs", "second", "size=1m")
    b.mount("/mnt/in", "tmpfs", "third", "size=1m")


@case()
def propagation_of_mounts(b: Bundle) -> None:
    for word in ("private", "shared", "slave", "unbindable"):
        b.mount(f"/{word}", "bind", f"{b.material}/shared", "bind", word)
        b.mount(f"/r{word}", "bind", f"{b.material}/shared", "rbind", f"r{word}")
    b.expect("mount:/shared", "*shared*")


def _propagation(b: Bundle, word: str) -> None:
    b.linux["rootfsPropagation"] = word
    b.mount("/mnt", "bind", f"{b.material}/shared", "bind")


@case()
def root_private(b: Bundle) -> None:
    _propagation(b, "private")


@case()
def root_rprivate(b: Bundle) -> None:
    _propagation(b, "rprivate")


@case()
def root_slave(b: Bundle) -> None:
    _propagation(b, "slave")


@case()
def root_rslave(b: Bundle) -> None:
    _propagation(b, "rslave")


@case()
def root_shared(b: Bundle) -> None:
    _propagation(b, "shared")


@case()
def root_rshared(b: Bundle) -> None:
    _propagation(b, "rshared")


# runc binds its root after that, which fails.
@case(peers=("crun",))
def root_unbindable(b: Bundle) -> None:
    _propagation(b, "unbindable")


IDS = [{"containerID": 0, "hostID": 1000, "size": 1}]


def _idmapped(b: Bundle, *options: str) -> None:
    b.config["ociVersion"] = "1.2.0"
    entry = b.mount("/mnt", "bind", f"{b.material}/owned", *options)
    entry["uidMappings"] = entry["gidMappings"] = [
        {"containerID": 1000, "hostID": 7, "size": 1},
        {"containerID": 0, "hostID": 0, "size": 1},
    ]


@case(peers=())
def idmapped(b: Bundle) -> None:
    _idmapped(b, "bind")
    b.asks("stat:/mnt/text", "100644 7:7 *")
    b.asks("stat:/mnt", "40755 0:0 *")


@case(peers=())
def idmapped_recursively(b: Bundle) -> None:
    entry = b.mount("/mnt", "bind", f"{b.material}/tree", "rbind", "ridmap")
    entry["uidMappings"] = entry["gidMappings"] = [{"containerID": 0, "hostID": 9, "size": 1}]
    b.asks("stat:/mnt", "*777 9:9 *")
    b.asks("stat:/mnt/sub", "*777 9:9 *")


@case(peers=("crun",))
def idmapped_by_the_namespace(b: Bundle) -> None:
    b.namespace("user")
    b.own(100000)
    b.linux["uidMappings"] = b.linux["gidMappings"] = [
        {"containerID": 0, "hostID": 100000, "size": 65536}
    ]
    b.mount("/mnt", "bind", f"{b.material}/owned", "bind", "idmap")
    b.asks("stat:/mnt/text", "100644 1000:1000 *")


@case()
def more_devices(b: Bundle) -> None:
    b.linux["devices"] = [
        {
            "path": "/dev/mine",
            "type": "c",
            "major": 1,
            "minor": 3,
            "fileMode": 0o640,
            "uid": 11,
            "gid": 12,
        },
        {"path": "/dev/deep/block", "type": "b", "major": 7, "minor": 200, "fileMode": 0o600},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o622, "uid": 1000, "gid": 1000},
        {"path": "/dev/loose", "type": "u", "major": 1, "minor": 5},
    ]
    b.linux["resources"]["devices"] += [
        {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"}
    ]
    b.asks("stat:/dev/mine", "20640 11:12 1:3")
    b.asks("stat:/dev/deep/block", "60600 0:0 7:200")
    b.ask(
        "write:/dev/mine",
        "read:/dev/deep/block",
        "read:/dev/loose",
        "stat:/dev/pipe",
        "stat:/dev/deep",
    )


@case()
def device_instead_of_a_default(b: Bundle) -> None:
    b.linux["devices"] = [
        {
            "path": "/dev/null",
            "type": "c",
            "major": 1,
            "minor": 5,
            "fileMode": 0o600,
            "uid": 0,
            "gid": 0,
        }
    ]
    # Files are masked with the null device, which this root does not have.
    b.linux["maskedPaths"] = ["/proc/acpi"]
    b.ask("stat:/dev/null", "read:/dev/null")


@case()
def device_outside_dev(b: Bundle) -> None:
    b.writable()
    b.linux["devices"] = [
        {"path": "/data/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}
    ]
    b.asks("stat:/data/null", "20666 0:0 1:3")

"""The typed values that go in and out of the engine. Sizes are bytes, durations float seconds,
times aware or RFC 3339.
"""

from __future__ import annotations

from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    # Of a layer that was written: hex sha256 of the packed and of the plain tar, their sizes, and
    # how many entries there are.
    Written = tuple[str, str, int, int, int]


# The one place that says which network a container is in when nobody says.
DEFAULT_NETWORK = "bridge"


class Mount(Record):
    """Something mounted into a container: `kind` is "bind", "volume", "tmpfs" or "image"."""

    kind: str
    target: str
    source: str = ""  # the host's path, an image, or a volume's name; without one it is anonymous
    read_only: bool = False
    create: bool = False  # make a missing source directory, as `-v` does and `--mount` does not
    propagation: str = "rprivate"
    options: str = ""  # of a tmpfs: "size=64m,mode=1777"; of others what `-v` has after the target
    recursive: str = ""  # of a bind: "disabled", "writable" or "readonly"; "": as the kernel can
    no_copy: bool = False  # a new volume stays empty, whatever the image has there
    subpath: str = ""  # of a volume or an image: the directory or file in it
    driver: str = ""  # of a volume: "local"
    driver_options: Mapping[str, str] | None = None  # of a volume that is made: type, device, o
    labels: Mapping[str, str] | None = None  # of a volume that is made
    # How it was written, for `inspect`: by -v, with this text; or by --mount.
    text: str = ""
    long: bool = False
    # What became of it in one container: the volume, and where its files are on the host.
    name: str = ""
    path: str = ""
    anonymous: bool = False
    image_id: str = ""  # of an image; and what is mounted of it, topmost first
    layers: tuple[str, ...] = ()


class VolumeInfo(Record):
    """One volume, as `volume ls` lists it."""

    name: str
    driver: str
    mountpoint: str  # where its files are on the host
    created: str  # RFC 3339
    labels: Mapping[str, str]
    options: Mapping[str, str]
    anonymous: bool
    containers: tuple[str, ...] = ()  # ids of those that use it, running or not


class EndpointOptions(Record):
    """How a container is in one network, beyond the network's name."""

    network: str  # its name, its id, or the beginning of that
    aliases: tuple[str, ...] = ()  # more names for it there
    ip: str = ""
    ip6: str = ""
    mac: str = ""
    link_local: tuple[str, ...] = ()  # addresses that it has besides
    options: Mapping[str, str] | None = None  # the driver's
    priority: int = 0  # the highest one's gateway is the default one
    links: tuple[str, ...] = ()  # "name:alias" of containers


class NetworkInfo(Record):
    """One network, as `network ls` lists it."""

    id: str
    name: str
    driver: str
    scope: str = "local"
    created: str = ""  # RFC 3339
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False
    labels: Mapping[str, str]
    containers: tuple[str, ...] = ()  # ids of those that run in it


class Ulimit(Record):
    """A resource limit by its lower-case name, such as "nofile"; -1 is unlimited."""

    name: str
    soft: int
    hard: int


class HealthCheck(Record):
    """How a container is asked for its health. Durations are seconds; 0 and () stand for the
    image's value, or docker's default without one.
    """

    test: tuple[str, ...] = ()  # ("CMD", word...), ("CMD-SHELL", line) or ("NONE",)
    interval: float = 0.0  # between two probes: 30
    timeout: float = 0.0  # of one: 30
    start_period: float = 0.0  # in which a failure doesn't count: 0
    start_interval: float = 0.0  # between two probes of the start period: 5
    retries: int = 0  # failures in a row that make it unhealthy: 3


class Device(Record):
    """A device of the host's for a container: a node, a directory of nodes, or the name of one that
    a CDI specification describes ("vendor/class=name", without target and access).
    """

    source: str
    target: str = ""  # "": as on the host
    access: str = "rwm"


class DeviceLimit(Record):
    """A limit of one block device: `kind` is "weight", "read_bps", "write_bps", "read_iops" or
    "write_iops".
    """

    kind: str
    path: str
    value: int  # bytes or operations a second; 10 to 1000 for a weight


class RunOptions(Record):
    """All that `run` and `create` take: docker's flags, already parsed to plain values. Absent is
    None or empty.
    """

    image: str = ""
    argv: tuple[str, ...] = ()
    name: str = ""
    rootfs: str = ""  # a directory of the host instead of an image
    hostname: str = ""
    domainname: str = ""
    env: tuple[str, ...] = ()  # "NAME=value"
    user: str | None = None
    group_add: tuple[str, ...] = ()
    workdir: str = ""
    entrypoint: tuple[str, ...] | None = None  # () clears the image's
    tty: bool = False
    interactive: bool = False
    detach: bool = False
    remove: bool = False
    init: bool = False
    read_only: bool = False
    privileged: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    volume_driver: str = ""
    volumes_from: tuple[str, ...] = ()  # containers whose mounts to take, "name[:ro|:rw]"
    shm_size: int = 64 << 20
    memory: int | None = None
    memory_swap: int | None = None
    memory_reservation: int | None = None
    cpus: float | None = None
    cpu_shares: int | None = None
    cpu_quota: int | None = None
    cpu_period: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids_limit: int | None = None  # None: 4096; -1 or 0: unlimited
    memory_swappiness: int | None = None  # 0 to 100
    kernel_memory: int | None = None  # taken and dropped: no kernel since 5.16 has it
    oom_kill_disable: bool = False
    oom_score_adj: int = 0
    cpu_rt_period: int | None = None  # microseconds
    cpu_rt_runtime: int | None = None  # microseconds
    blkio_weight: int | None = None  # 10 to 1000
    device_limits: tuple[DeviceLimit, ...] = ()
    devices: tuple[Device, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()  # "c 1:3 rwm"
    gpus: str = ""  # "all", a number, or "device=0,1": by CDI
    cgroup_parent: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    sysctls: Mapping[str, str] | None = None
    attach: tuple[str, ...] = ()  # of stdin, stdout, stderr; (): those that there are
    extra_hosts: tuple[str, ...] = ()  # "name:address"
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()  # "80/tcp"
    network: str = DEFAULT_NETWORK  # or "none", "host", a network, "container:<reference>"
    endpoints: tuple[EndpointOptions, ...] = ()  # all of its networks, where names don't say it all
    publish: tuple[str, ...] = ()  # "8080:80/tcp", as -p takes it
    publish_all: bool = False
    link: tuple[str, ...] = ()  # "name:alias" of containers on the default network
    ipc: str = ""  # "" and "private", "none", "shareable", "host" or "container:<reference>"
    pid: str = ""  # "", "host" or "container:<reference>"
    uts: str = ""  # "" or "host"
    cgroupns: str = ""  # "" and "private", or "host"
    userns: str = ""  # "" and "host", "remap[:USER]" or "FIRST:COUNT" of the host's ids
    annotations: Mapping[str, str] | None = None  # for the OCI document
    labels: Mapping[str, str] | None = None
    stop_signal: str = ""
    stop_timeout: float = 10.0  # below 0: `stop` waits for ever
    restart: str = ""  # "no", "on-failure[:most]", "always" or "unless-stopped"; "" is "no"
    health: HealthCheck | None = None  # what differs from the image's check
    log_driver: str = ""  # json-file, local, journald, syslog, none; "": the default one
    log_opts: Mapping[str, str] | None = None
    volatile: bool = False  # the writable layer needs no sync: only for containers that are removed

    @property
    def attaches_stdin(self) -> bool:
        """Whether the client that starts it gives it its own stdin."""
        return self.interactive and not self.detach and "stdin" in (self.attach or ("stdin",))


class ImageInfo(Record):
    """One image as `images` lists it: one per reference; `repository` and `tag` are "<none>"
    without one.
    """

    id: str  # sha256:<hex> of the config
    repository: str
    tag: str
    digest: str  # of the manifest
    created: str  # RFC 3339
    size: int  # bytes of its extracted layers


class Progress(Record):
    """How far one part of a longer work is; the same part is told of again and again."""

    id: str  # of the part: a layer's short diff id
    status: str  # waiting, extracting, complete, exists
    current: int  # bytes
    total: int  # bytes; 0: not known


class HistoryEntry(Record):
    """One step of how an image came to be; `id` is the image's for the newest, else "<missing>"."""

    id: str
    created: str = ""  # RFC 3339
    created_by: str = ""
    comment: str = ""
    size: int = 0  # bytes of the files that its layer holds; 0 without a layer


class Pruned(Record):
    """What a prune took away: lines as docker prints them, and bytes of the disk given back."""

    lines: tuple[str, ...] = ()
    reclaimed: int = 0


class ImageConfig(Record):
    """What an image says about how to run it. Data of an image's author: never a control of the
    engine.
    """

    id: str
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    stop_signal: str = ""
    labels: Mapping[str, str]
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    health: Mapping[str, object] | None = None  # its Healthcheck, not looked at yet
    shell: tuple[str, ...] = ()
    layers: tuple[str, ...]  # absolute directories, topmost first


class ContainerInfo(Record):
    """One container as `ps` lists it."""

    id: str
    name: str
    image: str
    image_id: str
    command: tuple[str, ...]
    created: str
    state: str  # created, running, paused, restarting, exited or dead
    pid: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""
    started: str = ""
    finished: str = ""
    health: str = ""  # of one that runs and is asked: starting, healthy or unhealthy
    restarts: int = 0  # how often its policy has started it again
    labels: Mapping[str, str]
    network: str = ""  # its networks, with commas between
    ports: tuple[Mapping[str, object], ...] = ()  # published: protocol, host, host_port, port
    exposed: tuple[str, ...] = ()  # "80/tcp"
    mounts: tuple[str, ...] = ()  # volumes by name, others by the host's path
    volumes: int = 0  # how many of them are volumes
    mounted_images: tuple[str, ...] = ()  # ids of those that are mounted
    size: int = -1  # bytes of the disk that its own layer takes; -1: not asked for
    size_root: int = -1  # together with its image

    @property
    def up(self) -> bool:
        """Whether it runs, stands still for a while, or is about to be started again."""
        return self.state in ("running", "paused", "restarting")


class Stats(Record):
    """What a container used, as `stats` shows it; all 0 for one that does not run."""

    id: str
    name: str
    running: bool = False
    read: float = 0.0  # when: seconds since 1970
    cpu: int = 0  # nanoseconds of CPU time since it started
    cpu_percent: float = 0.0  # of one CPU, since the measurement before; 0 for the first
    memory: int = 0  # bytes, without pages of files that nobody would miss
    memory_limit: int = 0  # bytes: its limit, or all that the host has
    memory_percent: float = 0.0  # of that
    net_received: int = 0  # bytes, all interfaces but its loopback
    net_sent: int = 0
    block_read: int = 0  # bytes
    block_written: int = 0
    pids: int = 0


class Top(Record):
    """The processes of a container, as `ps` of the host tells them."""

    titles: tuple[str, ...]
    processes: tuple[tuple[str, ...], ...]


class LogLine(Record):
    """One line a container wrote, without its newline."""

    time: str  # RFC 3339 with nanoseconds
    stream: str  # "stdout" or "stderr"
    text: str
    partial: bool = False  # no newline came: a piece of a long line, or the last words without one
    attrs: Mapping[str, str] | None = None  # what the options labels, env and tag put into each


class ExecResult(Record):
    """How an exec'd process ended, what it wrote and what it used."""

    exit_code: int  # 128+n after signal n
    stdout: bytes
    stderr: bytes
    duration: float  # seconds from the request to the end
    signal: int = 0  # the one that ended it
    cpu: float = (
        0.0  # seconds of processors, user and system, of all that it had started by its end
    )
    memory: int = 0  # bytes: the largest resident set of one of its processes (getrusage(2))

    def check(self) -> ExecResult:
        """Itself when the code is 0.

        Raises:
            ExecFailed: Otherwise, with the tail of stderr.
        """
        if self.exit_code:
            from fastbox.errors import ExecFailed

            tail = self.stderr[-2000:].decode("utf-8", "replace")
            raise ExecFailed(
                f"the command ended with code {self.exit_code}",
                exit_status=self.exit_code,
                tail=tail,
            )
        return self


class Change(Record):
    """One difference between a container and its image: `kind` is "A" added, "C" changed or "D"
    deleted.
    """

    kind: str
    path: str  # absolute, in the container


class Committed(Record):
    """What a container has become, to be made an image."""

    image_id: str
    run: Mapping[str, object]  # members that replace those of the image's configuration
    write: Callable[[int], Written | None]  # its layer, gzip, to a descriptor; None: no changes

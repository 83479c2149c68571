"""The flags of `run` and `create`, and how they become one RunOptions."""

from __future__ import annotations

from fastbox.cli.parser import MANY, SWITCH, TEXT, Arguments, Option, UsageError
from fastbox.cli.values import TIMING, bad_value, signal, whole
from fastbox.errors import Conflict, os_error
from fastbox.types import RunOptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.door import Door
    from fastbox.cli.output import Output

_ID = (1 << 31) - 1
NOTES = """A container is in the network `bridge` unless --network says otherwise:
none (only its own loopback), host, container:NAME, or one that
`fastbox network create` has made."""


class IdFile:
    """--cidfile: claimed before the container exists, so that two can't share one, and given up
    when none came to be.

    Attributes:
        id: The container's id, once written.
    """

    def __init__(self, args: Arguments) -> None:
        self._path = args.text("cidfile")
        self.id = ""

    def __enter__(self) -> IdFile:
        if self._path:
            self._claim()
        return self

    def _claim(self) -> None:
        try:
            with open(self._path, "x"):
                pass
        except FileExistsError:
            raise Conflict(
                "the file for the container's id is already there",
                where=self._path,
                hint="remove it, or choose another",
            ) from None
        except OSError as error:
            raise os_error(
                error, "cannot make the file for the container's id", self._path
            ) from error

    def write(self, identity: str) -> None:
        """Keep the id."""
        self.id = identity
        if self._path:
            with open(self._path, "w") as file:
                file.write(identity)

    def __exit__(self, *_: object) -> None:
        if self._path and not self.id:
            import os

            os.unlink(self._path)


def run_only() -> tuple[Option, ...]:
    """The flags that `create` does not have."""
    return (
        Option("detach", "d", SWITCH, "run in the background and print the container's id"),
        Option("detach-keys", "", TEXT, "the keys that detach a terminal (default ctrl-p,ctrl-q)"),
        Option("sig-proxy", "", SWITCH, "pass signals on to the process (default true)"),
    )


def options() -> tuple[Option, ...]:
    """The flags that `run` and `create` share."""
    return (
        Option("add-host", "", MANY, "add a line to /etc/hosts (name:address)"),
        Option("annotation", "", MANY, "add an annotation to the OCI document (name=value)", "map"),
        Option("attach", "a", MANY, "attach only this stream: stdin, stdout or stderr"),
        Option("blkio-weight", "", TEXT, "weight of block IO, 10 to 1000; 0: none", "uint16"),
        Option("blkio-weight-device", "", MANY, "weight of a block device (/dev/sda:500)"),
        Option("cap-add", "", MANY, "add a capability"),
        Option("cap-drop", "", MANY, "drop a capability"),
        Option("cgroup-parent", "", TEXT, "the control group above the container's"),
        Option("cgroupns", "", TEXT, "control groups that it sees: private (default) or host"),
        Option("cidfile", "", TEXT, "write the container's id to this new file"),
        Option("cpu-count", "", TEXT, "", "int"),
        Option("cpu-percent", "", TEXT, "", "int"),
        Option("cpu-period", "", TEXT, "period of the CPU quota, in microseconds", "int"),
        Option("cpu-quota", "", TEXT, "CPU time within a period, in microseconds", "int"),
        Option("cpu-rt-period", "", TEXT, "period of realtime, in microseconds", "int"),
        Option("cpu-rt-runtime", "", TEXT, "realtime within a period, in microseconds", "int"),
        Option("cpu-shares", "c", TEXT, "weight among containers (relative)", "int"),
        Option("cpus", "", TEXT, "how many CPUs, such as 0.5", "decimal"),
        Option("cpuset-cpus", "", TEXT, "CPUs to run on (0-3, 0,1)"),
        Option("cpuset-mems", "", TEXT, "memory nodes to use (0-3, 0,1)"),
        Option("device", "", MANY, "give it a device (/dev/host[:/dev/inside][:rwm], or CDI's)"),
        Option("device-cgroup-rule", "", MANY, 'allow devices by number ("c 1:3 rwm")'),
        Option("device-read-bps", "", MANY, "bytes a second read from a device (/dev/sda:1mb)"),
        Option("device-read-iops", "", MANY, "reads a second from a device (/dev/sda:1000)"),
        Option("device-write-bps", "", MANY, "bytes a second written to a device (/dev/sda:1mb)"),
        Option("device-write-iops", "", MANY, "writes a second to a device (/dev/sda:1000)"),
        Option("disable-content-trust", "", SWITCH, ""),
        Option("dns", "", MANY, "set a name server in /etc/resolv.conf"),
        Option("dns-opt", "", MANY, "", stands_for="dns-option"),
        Option("dns-option", "", MANY, "set an option of the resolver"),
        Option("dns-search", "", MANY, "set a domain to search names in"),
        Option("domainname", "", TEXT, "the container's NIS domain name"),
        Option("entrypoint", "", TEXT, "replace the image's entry point"),
        Option(
            "env",
            "e",
            MANY,
            "set an environment variable (NAME=value, or NAME from this environment)",
        ),
        Option("env-file", "", MANY, "read environment variables from a file"),
        Option("expose", "", MANY, "note that it listens on a port or ports (80, 8000-8010/udp)"),
        Option("gpus", "", TEXT, "give it GPUs that CDI describes (all, 2, device=0)"),
        Option("group-add", "", MANY, "join an additional group"),
        Option("health-cmd", "", TEXT, "the command that checks its health"),
        Option("health-interval", "", TEXT, "time between two checks (default 30s)", "duration"),
        Option("health-retries", "", TEXT, "failures in a row that make it unhealthy", "int"),
        Option("health-start-interval", "", TEXT, "as interval, while it starts", "duration"),
        Option("health-start-period", "", TEXT, "time in which no failure counts", "duration"),
        Option("health-timeout", "", TEXT, "longest time of one check (default 30s)", "duration"),
        Option("hostname", "h", TEXT, "the container's host name"),
        Option("init", "", SWITCH, "run an init that forwards signals and reaps processes"),
        Option("interactive", "i", SWITCH, "keep stdin open"),
        Option("io-maxbandwidth", "", TEXT, "", "bytes"),
        Option("io-maxiops", "", TEXT, "", "uint"),
        Option("ip", "", TEXT, "its IPv4 address, in a network of yours", "ip"),
        Option("ip6", "", TEXT, "its IPv6 address, in a network of yours", "ip"),
        Option("ipc", "", TEXT, "shared memory: private, none, shareable, host, container:NAME"),
        Option("isolation", "", TEXT, ""),
        Option("kernel-memory", "", TEXT, "", "bytes"),
        Option("label", "l", MANY, "set a label"),
        Option("label-file", "", MANY, "read labels from a file"),
        Option("link", "", MANY, "a name for a container of the default network (name:alias)"),
        Option("link-local-ip", "", MANY, "a link-local address that it has besides", "ip"),
        Option("log-driver", "", TEXT, "where its output is kept: json-file, local, none, ..."),
        Option("log-opt", "", MANY, "an option of the log driver (max-size=10m)"),
        Option("mac-address", "", TEXT, "its MAC address, such as 92:d0:c6:0a:29:33"),
        Option("memory", "m", TEXT, "memory limit", "bytes"),
        Option("memory-reservation", "", TEXT, "memory to keep when the host runs short", "bytes"),
        Option("memory-swap", "", TEXT, "memory and swap together; -1 for unlimited swap", "bytes"),
        Option("memory-swappiness", "", TEXT, "how readily it is swapped out, 0 to 100", "int"),
        Option(
            "mount",
            "",
            MANY,
            "mount a directory of the host, a volume or a tmpfs (type=bind|volume|tmpfs,...)",
            "mount",
        ),
        Option("name", "", TEXT, "name the container"),
        Option("net", "", MANY, "", stands_for="network"),
        Option("net-alias", "", MANY, "", stands_for="network-alias"),
        Option("network", "", MANY, "bridge (default), none, host, container:NAME or a network"),
        Option("network-alias", "", MANY, "one more name for it in its network"),
        Option("no-healthcheck", "", SWITCH, "leave out the image's health check"),
        Option("oom-kill-disable", "", SWITCH, "let it wait for memory instead of being killed"),
        Option("oom-score-adj", "", TEXT, "who is killed first, -1000 to 1000", "int"),
        Option("pid", "", TEXT, "processes that it sees: its own, or host, or container:NAME"),
        Option(
            "pids-limit", "", TEXT, "most processes at once (default 4096, -1 for unlimited)", "int"
        ),
        Option("platform", "", TEXT, "refuse an image for another platform"),
        Option("privileged", "", SWITCH, "give the container every right on the host"),
        Option("publish", "p", MANY, "lead a port of the host to one of its own (8080:80/tcp)"),
        Option("publish-all", "P", SWITCH, "publish all exposed ports at ports that are free"),
        Option("pull", "", TEXT, "when to pull: missing or never, since nothing is pulled yet"),
        Option("quiet", "q", SWITCH, ""),
        Option("read-only", "", SWITCH, "make the root file system read-only"),
        Option("restart", "", TEXT, "no, on-failure[:most], always or unless-stopped", "policy"),
        Option("rm", "", SWITCH, "remove the container when it ends"),
        Option(
            "rootfs",
            "",
            TEXT,
            "use a directory of the host as the root; no image is named then",
            "directory",
        ),
        Option("runtime", "", TEXT, ""),
        Option("security-opt", "", MANY, "security options (seccomp=..., no-new-privileges, ...)"),
        Option("shm-size", "", TEXT, "size of /dev/shm (default 64m)", "bytes"),
        Option("stop-signal", "", TEXT, "the signal that `stop` sends first"),
        Option(
            "stop-timeout",
            "",
            TEXT,
            "seconds that `stop` waits before it kills (default 10)",
            "int",
        ),
        Option("storage-opt", "", MANY, ""),
        Option(
            "sysctl", "", MANY, "set a kernel setting of the container's own (name=value)", "map"
        ),
        Option("tmpfs", "", MANY, "mount a tmpfs (/path[:options])"),
        Option("tty", "t", SWITCH, "give the process a terminal"),
        Option("ulimit", "", MANY, "resource limit (nofile=1024:2048)", "ulimit"),
        Option("user", "u", TEXT, "user, and perhaps group (name|uid[:group|gid])"),
        Option("userns", "", TEXT, "users: host (default), remap[:USER] or FIRST:COUNT of ids"),
        Option("uts", "", TEXT, "host name: its own, or host"),
        Option("volume", "v", MANY, "mount a directory or a volume (/host|name:/container[:ro])"),
        Option("volume-driver", "", TEXT, "driver of the volumes that are made: local"),
        Option("volumes-from", "", MANY, "mount what another container has (name[:ro])"),
        Option("workdir", "w", TEXT, "working directory in the container"),
        *TIMING,
    )


def build(args: Arguments) -> RunOptions:
    """The options that a command line asks for.

    Raises:
        UsageError: A value that can't be read, or no image.
        Unsupported: Something that is not there yet.
    """
    values: dict[str, object] = _words(args) | _switches(args) | _texts(args)
    for part in (_limits, _files, _network, _endpoints, _process):
        values |= part(args)
    if any(map(args.given, _LIFE)):
        from fastbox.cli import lifeflags

        values |= lifeflags.values(args)
    return RunOptions(**values)  # type: ignore[arg-type]


def warn(engine: Door, args: Arguments, wanted: RunOptions, out: Output) -> None:
    """Warnings about limits, ports and profiles that change nothing here."""
    if any(map(args.given, (*_LIMITS, "security-opt"))):
        from fastbox.cli import limitflags

        for text in (*engine.containers.warnings(wanted), *limitflags.warnings(args)):
            out.note("WARNING: " + text)
    if wanted.network == "host" and (wanted.publish or wanted.publish_all):
        out.note("WARNING: Published ports are discarded when using host network mode")


def _words(args: Arguments) -> dict[str, object]:
    """The image and the command; with --rootfs every operand is the command's."""
    words = args.operands
    if args.given("rootfs"):
        if not args.text("rootfs"):
            raise bad_value(args, "rootfs", "", "it is empty", "/srv/root")
        return {"rootfs": args.text("rootfs"), "argv": tuple(words)}
    if not words:
        raise UsageError(
            args.command,
            "it needs an image",
            f"usage: fastbox {args.command} [OPTIONS] IMAGE [COMMAND] [ARG...]",
        )
    return {"image": words[0], "argv": tuple(words[1:])}


def _switches(args: Arguments) -> dict[str, object]:
    remove = args.switch("rm")
    return {
        "tty": args.switch("tty"),
        "interactive": args.switch("interactive"),
        "detach": args.switch("detach"),
        "remove": remove,
        "volatile": remove,
        "init": args.switch("init"),
        "read_only": args.switch("read-only"),
        "privileged": args.switch("privileged"),
    }


def _texts(args: Arguments) -> dict[str, object]:
    found: dict[str, object] = {
        name.replace("-", "_"): args.text(name)
        for name in ("name", "hostname", "domainname", "workdir", "volume-driver")
    }
    for name in ("cap-add", "cap-drop", "group-add", "security-opt", "volumes-from"):
        found[name.replace("-", "_")] = tuple(args.texts(name))
    if args.given("user"):
        found["user"] = args.text("user")
    if args.given("entrypoint"):
        found["entrypoint"] = (args.text("entrypoint"),) if args.text("entrypoint") else ()
    return found


_LIFE = (
    "restart", "no-healthcheck", "health-cmd", "health-interval", "health-retries",
    "health-start-interval", "health-start-period", "health-timeout",
)  # fmt: skip
_LIMITS = (
    "memory", "memory-reservation", "memory-swap", "memory-swappiness", "kernel-memory",
    "shm-size", "cpus", "cpu-shares", "cpu-quota", "cpu-period", "cpu-rt-period", "cpu-rt-runtime",
    "cpuset-cpus", "cpuset-mems", "pids-limit", "ulimit", "oom-kill-disable", "oom-score-adj",
    "blkio-weight", "blkio-weight-device", "device-read-bps", "device-read-iops",
    "device-write-bps", "device-write-iops", "cpu-count", "cpu-percent", "io-maxbandwidth",
    "io-maxiops",
)  # fmt: skip
_SPACES = (
    "ipc", "pid", "uts", "cgroupns", "userns", "gpus", "cgroup-parent", "annotation", "device",
    "device-cgroup-rule", "isolation", "runtime", "storage-opt",
)  # fmt: skip


def _limits(args: Arguments) -> dict[str, object]:
    found: dict[str, object] = {}
    if any(map(args.given, _LIMITS)):
        from fastbox.cli import limitflags

        found |= limitflags.creation(args)
    if any(map(args.given, _SPACES)):
        from fastbox.cli import nsflags

        found |= nsflags.build(args)
    return found


_NETWORK = ("add-host", "attach", "dns", "dns-option", "dns-search", "expose")
_FILES = ("env", "env-file", "label", "label-file", "volume", "mount", "tmpfs", "sysctl")


def _files(args: Arguments) -> dict[str, object]:
    """Environment, labels, mounts, kernel settings: imported only when one is asked for."""
    if not any(map(args.given, _FILES)):
        return {}
    from fastbox.cli.envfiles import environment, labels
    from fastbox.cli.mountflags import mounts

    settings: dict[str, str] = {}
    for text in args.texts("sysctl"):
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise bad_value(args, "sysctl", text, "not name=value", "net.ipv4.ip_forward=1")
        settings[name] = value
    return {
        "env": environment(args),
        "labels": labels(args),
        "mounts": mounts(args),
        "sysctls": settings or None,
    }


def _network(args: Arguments) -> dict[str, object]:
    if not any(map(args.given, _NETWORK)):
        return {}
    from fastbox.cli import netflags

    return netflags.build(args)


_ENDPOINTS = (
    "network", "ip", "ip6", "mac-address", "network-alias", "link-local-ip", "link", "publish",
    "publish-all",
)  # fmt: skip


def _endpoints(args: Arguments) -> dict[str, object]:
    """Networks and published ports; without a flag `RunOptions` says which network it is."""
    if not any(map(args.given, _ENDPOINTS)):
        return {}
    from fastbox.cli import endpointflags

    return endpointflags.build(args)


def _process(args: Arguments) -> dict[str, object]:
    """What few command lines have, checked strictly; harmless words of docker's are taken and
    dropped.
    """
    found: dict[str, object] = {"stop_signal": signal(args, "stop-signal")}
    timeout = whole(args, "stop-timeout", -1, _ID, "10")
    if timeout is not None:
        found["stop_timeout"] = float(timeout)
    _check_platform(args)
    if args.text("pull", "missing") not in ("missing", "never"):
        from fastbox.errors import Unsupported

        raise Unsupported(
            "--pull is not supported yet: registries come later",
            hint="load the image with `fastbox load`",
        )
    opts = {name: value for name, _, value in (t.partition("=") for t in args.texts("log-opt"))}
    found |= {"log_driver": args.text("log-driver"), "log_opts": opts or None}
    return found


def _check_platform(args: Arguments) -> None:
    if not args.given("platform"):
        return
    import os

    machine = os.uname().machine
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(machine, f"linux/{machine}")
    if args.text("platform") not in (own, own.removeprefix("linux/"), "linux"):
        from fastbox.errors import Unsupported

        raise Unsupported(
            f'platform "{args.text("platform")}" can\'t run here', hint=f"this machine is {own}"
        )

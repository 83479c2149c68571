"""Flags of limits: memory, CPUs, processes, block devices. Imported only when one is given."""

from __future__ import annotations

from fastbox import units
from fastbox.cli.parser import UsageError
from fastbox.cli.values import bad_value, convert, read, whole
from fastbox.types import DeviceLimit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_RATES = {
    "blkio-weight-device": ("weight", "/dev/sda:500"),
    "device-read-bps": ("read_bps", "/dev/sda:1mb"),
    "device-read-iops": ("read_iops", "/dev/sda:1000"),
    "device-write-bps": ("write_bps", "/dev/sda:1mb"),
    "device-write-iops": ("write_iops", "/dev/sda:1000"),
}
# Windows' own: docker on Linux warns and drops the first two, and refuses the others.
_WINDOWS = ("cpu-count", "cpu-percent")


def limits(args: Arguments) -> dict[str, object]:
    """What `run`, `create` and `update` share: only the flags that are given.

    Raises:
        UsageError: A value that can't be read, or two that contradict each other.
    """
    if args.given("cpus") and (args.given("cpu-quota") or args.given("cpu-period")):
        raise UsageError(
            args.command, "--cpus already sets the quota: leave out --cpu-quota and --cpu-period"
        )
    found: dict[str, object] = {
        "memory": read(args, "memory", units.size, "64m"),
        "memory_reservation": read(args, "memory-reservation", units.size, "64m"),
        "memory_swap": read(
            args, "memory-swap", lambda t: -1 if t == "-1" else units.size(t), "128m"
        ),
        "kernel_memory": read(args, "kernel-memory", units.size, "64m"),
        "cpus": read(args, "cpus", units.cpus, "0.5"),
        "cpu_shares": whole(args, "cpu-shares", 0, 262144, "512"),
        "cpu_quota": whole(args, "cpu-quota", -1, 1 << 40, "50000"),
        "cpu_period": whole(args, "cpu-period", 0, 1_000_000, "100000"),
        "cpu_rt_period": whole(args, "cpu-rt-period", 0, 1 << 40, "1000000"),
        "cpu_rt_runtime": whole(args, "cpu-rt-runtime", 0, 1 << 40, "950000"),
        "pids_limit": whole(args, "pids-limit", -1, 1 << 22, "100"),
        "blkio_weight": whole(args, "blkio-weight", 0, 65535, "500"),
    }
    for name in ("cpuset-cpus", "cpuset-mems"):
        if args.given(name):
            found[name.replace("-", "_")] = args.text(name)
    return {name: value for name, value in found.items() if value is not None}


def creation(args: Arguments) -> dict[str, object]:
    """All limits of `run` and `create`.

    Raises:
        UsageError: A value that can't be read.
        InvalidArgument: A limit that only Windows has.
    """
    found = limits(args)
    found["ulimits"] = tuple(
        convert(args, "ulimit", t, units.ulimit, "nofile=1024:2048") for t in args.texts("ulimit")
    )
    found["device_limits"] = tuple(
        _device(args, flag, text) for flag in _RATES for text in args.texts(flag)
    )
    if args.given("shm-size"):
        found["shm_size"] = read(args, "shm-size", units.size, "64m")
    swappiness = whole(args, "memory-swappiness", -1, 100, "60")
    if swappiness is not None and swappiness >= 0:
        found["memory_swappiness"] = swappiness
    if args.given("oom-score-adj"):
        found["oom_score_adj"] = whole(args, "oom-score-adj", -1000, 1000, "500")
    found["oom_kill_disable"] = args.switch("oom-kill-disable")
    _refuse_windows(args)
    return found


def _device(args: Arguments, flag: str, text: str) -> DeviceLimit:
    kind, example = _RATES[flag]
    path, colon, value = text.rpartition(":")
    if not colon or not path.startswith("/dev/"):
        raise bad_value(args, flag, text, "not /dev/NAME:LIMIT", example)
    parse = units.size if kind.endswith("bps") else units.integer
    return DeviceLimit(kind=kind, path=path, value=convert(args, flag, value, parse, example))


def _refuse_windows(args: Arguments) -> None:
    from fastbox.errors import InvalidArgument

    for flag in _WINDOWS:
        whole(args, flag, 0, 1 << 40, "2")
    bandwidth = read(args, "io-maxbandwidth", units.size, "1mb")
    if bandwidth or whole(args, "io-maxiops", 0, 1 << 40, "1000"):
        raise InvalidArgument(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
            hint="use --device-read-bps and its kin",
        )


def warnings(args: Arguments) -> list[str]:
    """Docker's warnings about flags that change nothing here."""
    given = args.given("cpu-percent") and args.text("cpu-percent") != "0"
    return ["linux does not support CPU percent. Percent discarded."] if given else []

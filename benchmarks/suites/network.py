"""Networks: a start on one, making and joining them, what a published port carries, many of them.

Fastbox and docker each have a network namespace of their own with its own bridges and rules, and
each is joined by a veth pair to the namespace of "another host", from which clients come: nothing
of this machine's network is touched. Docker runs without its proxy, so that both forward in the
kernel.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..suite import BASE, OURS, Budget, Field, Row, Suite
from ..vs_peers.clients import Measure, Measured, Worker
from ..vs_peers.daemons import Bridged
from ..vs_peers.lab import Lab, Missing
from ..vs_peers.peers import command, once, runtime_run

# The program for the transfers is this machine's, with its libraries.
_USR = [f"-v={path}:{path}:ro" for path in ("/usr", "/lib", "/lib64") if os.path.exists(path)]
_IPERF = ["/usr/bin/iperf3", "-s"]
_ECHO = ["/usr/bin/busybox", "nc", "-ll", "-p", "5202", "-e", "/usr/bin/cat"]
_PORTS = ["-p", "5201:5201", "-p", "5202:5202"]
TRANSFER = "512M"
MANY = 1000


@dataclass(frozen=True)
class Place:
    """A network namespace, kept by a process; `wrapper` runs a command in it."""

    wrapper: tuple[str, ...]
    pid: int


def _place(lab: Lab) -> Place:
    holder = subprocess.Popen(
        [lab.need("unshare"), "-n", "sh", "-c", "ip link set lo up; echo; exec sleep 1000000"],
        stdout=subprocess.PIPE,
    )
    lab.stack.callback(holder.wait)
    lab.stack.callback(holder.kill)
    assert holder.stdout is not None
    holder.stdout.readline()
    wrapper = (lab.need("nsenter"), f"--net=/proc/{holder.pid}/ns/net", "--")
    return Place(wrapper, holder.pid)


def _joined(lab: Lab, number: int) -> tuple[Place, Place, str]:
    """A host, another host, and the first one's address for the second."""
    host, other = _place(lab), _place(lab)
    address = f"198.19.{number}.1"
    for place, words in (
        (host, f"link add out type veth peer name eth0 netns {other.pid}"),
        (host, f"addr add {address}/24 dev out"),
        (host, "link set out up"),
        (other, f"addr add 198.19.{number}.2/24 dev eth0"),
        (other, "link set eth0 up"),
        (other, f"route add default via {address}"),
    ):
        subprocess.run([*place.wrapper, "ip", *words.split()], check=True)
    return host, other, address


class _Lab:
    """What the rows share, made when first asked for."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._made: dict[str, object] = {}

    def _once(self, name: str, make: Callable[[], object]) -> object:
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def hosts(self, name: str) -> tuple[Place, Place, str]:
        number = 1 + ("ours", "docker", "plain").index(name)
        found = self._once(name, partial(_joined, self.lab, number))
        assert isinstance(found, tuple)
        return found

    def commands(self, name: str) -> Worker:
        wrapper = self.hosts(name)[0].wrapper
        made = self._once(
            f"commands {name}",
            lambda: self.lab.stack.enter_context(Worker("commands", self.lab.env, wrapper)),
        )
        assert isinstance(made, Worker)
        return made

    def client(self, name: str, mode: str) -> Worker:
        wrapper = self.hosts(name)[1].wrapper
        made = self._once(
            f"{mode} {name}",
            lambda: self.lab.stack.enter_context(Worker(mode, self.lab.env, wrapper)),
        )
        assert isinstance(made, Worker)
        return made

    def docker(self) -> Bridged:
        wrapper = self.hosts("docker")[0].wrapper
        made = self._once("dockerd", lambda: Bridged(self.lab, wrapper))
        assert isinstance(made, Bridged)
        return made

    def engine(self, words: str, place: Place | None = None) -> Measure:
        wrapper = (place or self.hosts("ours")[0]).wrapper
        worker = self.lab.stack.enter_context(Worker(words, self.lab.env, wrapper))
        image = self.lab.image

        def measure(count: int, flight: int) -> Measured:
            return worker.measure(["true"], count, flight, image=image)

        return measure

    def cli(self, *words: str) -> Measure:
        return command(self.commands("ours"), [self.lab.need("fastbox"), *words])

    def networks(self, what: str) -> Measure:
        wrapper, image = self.hosts("ours")[0].wrapper, self.lab.image
        worker = self.lab.stack.enter_context(Worker("networks", self.lab.env, wrapper))
        return lambda count, flight: worker.measure([what], count, flight, image=image)

    def by_docker(self, *words: str) -> Measure:
        found = self.docker()
        return command(found.commands, [*found.words, *words])

    def shell(self, name: str, text: str) -> Measure:
        """Two commands as one, by a shell, which costs each the same millisecond."""
        return command(self.commands(name), ["/bin/sh", "-c", text])

    def served(self, name: str) -> str:
        """The address at which another host reaches servers; they are started once."""
        address = self.hosts(name)[2]
        self._once(f"servers {name}", lambda: self._serve(name))
        time.sleep(0.5)  # they have to listen
        return address

    def _serve(self, name: str) -> None:
        lab, worker = self.lab, self.commands(name)
        shell = ["sh", "-c", f"{' '.join(_IPERF)} & exec {' '.join(_ECHO)}"]
        if name == "ours":
            words = ["run", "-d", "--name", "served", *_PORTS, *_USR, lab.image, *shell]
            once(worker, [lab.need("fastbox"), *words])
            lab.stack.callback(once, worker, [lab.need("fastbox"), "rm", "-f", "served"])
        elif name == "docker":
            words = ["run", "-d", *_PORTS, *_USR, "bench:latest", *shell]
            once(self.docker().commands, [*self.docker().words, *words])
        else:
            wrapper = self.hosts(name)[0].wrapper
            for each in (_IPERF, _ECHO):
                server = subprocess.Popen([*wrapper, *each], stdout=subprocess.DEVNULL)
                lab.stack.callback(server.wait)
                lab.stack.callback(server.kill)

    def transfer(self, name: str) -> Measure:
        words = ["-c", self.served(name), "-n", TRANSFER]
        return command(self.client(name, "commands"), [self.lab.need("iperf3"), *words])

    def round_trip(self, name: str) -> Measure:
        worker, address = self.client(name, "round-trips"), self.served(name)
        return lambda count, flight: worker.measure([address, "5202"], count, flight)


def _shared(lab: Lab) -> _Lab:
    """One for all suites of a lab: a second dockerd can't have the same directory."""
    found = lab.daemons.setdefault("network", _Lab(lab))
    assert isinstance(found, _Lab)
    return found


def _start(field: Field) -> None:
    lab = _shared(field.lab)
    image = field.lab.image
    field.admit("runc", partial(runtime_run, field.lab, "runc"))
    field.admit("none", partial(lab.engine, "engine none"))
    field.admit("bridge", partial(lab.engine, "engine bridge"))

    def user() -> Measure:
        once(lab.commands("ours"), [field.lab.need("fastbox"), "network", "create", "user"])
        return lab.engine("engine user")

    field.admit("user", user)
    field.admit("publish", partial(lab.engine, "engine bridge 80"))
    field.admit("cli", partial(lab.cli, "run", "--rm", image, "true"))
    docker = ("run", "--rm", "bench:latest", "true")
    field.admit("docker", partial(lab.by_docker, *docker))
    field.admit("docker_publish", partial(lab.by_docker, "run", "--rm", "-p", "80", *docker[2:]))


def _make(field: Field) -> None:
    lab = _shared(field.lab)
    fastbox = field.lab.need("fastbox")
    field.admit("create", partial(lab.networks, "create"))
    text = "{0} network create {1} >/dev/null && {0} network rm {1} >/dev/null"
    field.admit("create_cli", partial(lab.shell, "ours", text.format(fastbox, "made")))
    field.admit("connect", partial(lab.networks, "connect"))

    def docker(what: str) -> Measure:
        found = lab.docker()
        client = " ".join(found.words)
        if what == "create":
            return lab.shell("docker", text.format(client, "made"))
        words = [*found.words, "run", "-d", "--name", "beside", "bench:latest", "sleep", "1000000"]
        once(found.commands, words)
        once(found.commands, [*found.words, "network", "create", "beside"])
        both = (
            f"{client} network connect beside beside && {client} network disconnect beside beside"
        )
        return lab.shell("docker", both)

    field.admit("docker_create", partial(docker, "create"))
    field.admit("docker_connect", partial(docker, "connect"))


def _carry(field: Field) -> None:
    lab = _shared(field.lab)
    if not field.lab.which("iperf3"):
        raise Missing("iperf3 is not installed")
    for name in ("plain", "ours", "docker"):
        field.admit(name, partial(lab.transfer, name))


def _answer(field: Field) -> None:
    lab = _shared(field.lab)
    for name in ("plain", "ours", "docker"):
        field.admit(name, partial(lab.round_trip, name))


def _many(field: Field) -> None:
    lab = _shared(field.lab)
    for name, held in (("ten", 10), ("thousand", MANY)):
        place = _place(field.lab)
        field.admit(name, partial(lab.engine, f"engine bridge 80 {held}", place))


SUITES = (
    Suite(
        name="network_start",
        title="one start of `true` on a network",
        rows=(
            Row("runc", "runc run, without any network", BASE),
            Row("none", "fastbox, in process, network none", OURS),
            Row("bridge", "fastbox, in process, default bridge", OURS),
            Row("user", "fastbox, in process, user-defined network", OURS),
            Row("publish", "fastbox, in process, a published port", OURS),
            Row("cli", "fastbox run --rm, default bridge", OURS),
            Row("docker", "docker run --rm, default bridge", daemon=True),
            Row("docker_publish", "docker run --rm, a published port", daemon=True),
        ),
        open=_start,
        base="runc",
        rounds=30,
        seconds=90.0,
        apart=True,
        budgets=(
            Budget(
                "a start on the default bridge, at most 0.5 x `runc run`", "bridge", 0.5, "runc"
            ),
            Budget("the same, at most 0.05 x docker's", "bridge", 0.05, "docker"),
            Budget(
                "one with a published port, at most 0.05 x docker's",
                "publish",
                0.05,
                "docker_publish",
            ),
        ),
    ),
    Suite(
        name="network_make",
        title="a network made and removed, joined and left",
        rows=(
            Row("docker_create", "docker network create, rm", BASE, daemon=True),
            Row("create", "fastbox, in process, create and remove", OURS),
            Row("create_cli", "fastbox network create, rm", OURS),
            Row("docker_connect", "docker network connect, disconnect", daemon=True),
            Row("connect", "fastbox, in process, connect and disconnect", OURS),
        ),
        open=_make,
        base="docker_create",
        rounds=20,
        seconds=60.0,
        apart=True,
        budgets=(
            Budget("create and rm, at most 0.5 x docker's", "create_cli", 0.5, "docker_create"),
            Budget(
                "connect and disconnect, at most 0.2 x docker's", "connect", 0.2, "docker_connect"
            ),
        ),
    ),
    Suite(
        name="network_transfer",
        title=f"{TRANSFER} from another host through a published port (iperf3)",
        rows=(
            Row("plain", "a server on the host, no container", BASE),
            Row("ours", "fastbox", OURS),
            Row("docker", "docker, proxy off", daemon=True),
        ),
        open=_carry,
        base="plain",
        rounds=12,
        seconds=60.0,
        apart=True,
        budgets=(Budget("throughput: the time at most 1.05 x docker's", "ours", 1.05, "docker"),),
    ),
    Suite(
        name="network_round_trip",
        title="a byte from another host through a published port, and back",
        rows=(
            Row("plain", "a server on the host, no container", BASE),
            Row("ours", "fastbox", OURS),
            Row("docker", "docker, proxy off", daemon=True),
        ),
        open=_answer,
        base="plain",
        unit="us",
        rounds=20,
        seconds=30.0,
        apart=True,
        budgets=(Budget("a round trip, at most 1.05 x docker's", "ours", 1.05, "docker"),),
    ),
    Suite(
        name="network_many",
        title="one start with a published port, beside others",
        rows=(
            Row("ten", "beside 10", BASE),
            Row("thousand", f"beside {MANY}", OURS),
        ),
        open=_many,
        base="ten",
        rounds=40,
        seconds=60.0,
        apart=True,
        budgets=(Budget("beside 1,000, at most 1.2 x beside 10", "thousand", 1.2, "ten"),),
    ),
)

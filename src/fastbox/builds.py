"""What a build takes, what it tells about itself while it goes on, and what came of it."""

from __future__ import annotations

from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from fastbox.types import Ulimit


class Secret(Record):
    """A secret that `RUN --mount=type=secret` may ask for: a file's or a variable's content."""

    id: str
    path: str = ""
    env: str = ""


class Ssh(Record):
    """Sockets of agents for `RUN --mount=type=ssh`; () is $SSH_AUTH_SOCK."""

    id: str = "default"
    paths: tuple[str, ...] = ()


class Output(Record):
    """Where a result goes: `kind` is image, local, tar, oci or docker; `target` "-" is stdout."""

    kind: str = "image"
    target: str = ""  # a directory (local), a file (tar, oci, docker)
    name: str = ""  # of an image; "" for the tags
    attributes: Mapping[str, str] | None = None  # what else was given


class CacheSource(Record):
    """One `--cache-from` or `--cache-to`: `kind` is registry (or an image here), local, inline."""

    kind: str
    ref: str = ""  # an image (registry)
    path: str = ""  # a directory (local)
    mode: str = "min"  # min: of the result's steps; max: of all
    attributes: Mapping[str, str] | None = None


class BuildOptions(Record):
    """All that a build takes. Absent is None or empty."""

    context: str = "."  # a directory, "-" (a tar or a Dockerfile in `stdin`), or a git URL
    stdin: BinaryIO | None = None
    file: str = ""  # the Dockerfile: a path of the host, or "-"; "": Dockerfile in the context
    tags: tuple[str, ...] = ()
    target: str = ""
    args: Mapping[str, str | None] | None = None  # None: this process's variable of that name
    labels: Mapping[str, str] | None = None
    contexts: Mapping[str, str] | None = None  # --build-context
    secrets: tuple[Secret, ...] = ()
    ssh: tuple[Ssh, ...] = ()
    outputs: tuple[Output, ...] = ()  # (): an image
    cache_from: tuple[CacheSource, ...] = ()
    cache_to: tuple[CacheSource, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()  # stages
    pull: bool = False
    platform: str = ""
    network: str = ""  # "", default, none, host, or a network
    allow: tuple[str, ...] = ()  # --allow: security.insecure, network.host
    extra_hosts: tuple[str, ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 << 20
    memory: int | None = None
    memory_swap: int | None = None
    cpu_shares: int | None = None
    cpu_period: int | None = None
    cpu_quota: int | None = None
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    security_opt: tuple[str, ...] = ()
    squash: bool = False
    parallel: int = 0  # steps at once; 0: four times the cores, 8 at least
    check: bool = False  # only look at the Dockerfile


class Warned(Record):
    """What a check of the file found; `rule` is docker's name of it, such as "StageNameCasing"."""

    rule: str
    message: str
    line: int
    url: str = ""


class Event(Record):
    """One thing that happened. `kind` is:

    start: vertex `step` begins (`name`, `stage`); output: it wrote `data` to `stream`; done: it is
    over after `seconds` (`cached`: nothing had to be done; `error`: it failed; `canceled`);
    progress: `current` of `total` bytes; warning: `text`, `line`. Events come from any thread, one
    at a time.
    """

    kind: str
    step: int = 0  # the vertex's number, from 1 in the order of the first start
    name: str = ""  # "[server 2/5] RUN make", "[internal] load build context"
    stage: str = ""
    stream: int = 1
    data: bytes = b""
    cached: bool = False
    canceled: bool = False
    seconds: float = 0.0
    error: str = ""
    current: int = 0
    total: int = 0
    text: str = ""
    line: int = 0


class StepReport(Record):
    """One step of the graph, for `build --print=graph`; `needs` are numbers of others."""

    number: int
    stage: str  # the stage's name, or its number
    name: str  # the instruction on one line
    needs: tuple[int, ...] = ()
    status: str = "unneeded"  # cached, done, failed, canceled, planned; unneeded: nor is its stage
    seconds: float = 0.0
    key: str = ""  # of the cache, hex
    size: int = 0  # bytes of the files in its layer


class Built(Record):
    """The result of a build."""

    image_id: str = ""  # "": no image was made (local or tar output)
    digest: str = ""  # of the manifest
    tags: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()
    steps: tuple[StepReport, ...] = ()
    seconds: float = 0.0
    metadata: Mapping[str, object] | None = None  # what --metadata-file gets

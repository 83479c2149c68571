"""The instructions of a Dockerfile as typed values. Texts are as written: variables in them are not
expanded yet (`expand.py`).
"""

from __future__ import annotations

from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Where(Record):
    """The place of an instruction in its file, and its text as people wrote it."""

    line: int  # the first line, from 1
    end: int  # the last one
    text: str  # the instruction on one line, as progress and history show it


class Heredoc(Record):
    """A document that follows an instruction: `<<EOF` to `EOF`."""

    name: str
    content: str  # after `<<-` without the tabs at the beginning of its lines
    expand: bool  # variables are expanded: its name was not quoted
    descriptor: int = 0  # the number before `<<`; 0 when there is none


class Command(Record):
    """What RUN, CMD, ENTRYPOINT, SHELL and a health check start."""

    argv: tuple[str, ...] = ()  # the exec form (JSON); () in the shell form
    line: str = ""  # the shell form
    shell: bool = False  # which of both


class RunMount(Record):
    """One `RUN --mount`. Texts are unexpanded (source, target and from may hold variables)."""

    kind: str = "bind"  # bind, cache, tmpfs, secret, ssh
    target: str = ""
    source: str = ""
    from_: str = ""  # a stage, an image or a named context; "": the context (bind), nothing (cache)
    read_only: bool = True  # bind: True by default; cache: False by default
    id: str = ""
    sharing: str = "shared"  # of a cache: shared, private, locked
    required: bool = False  # of a secret or ssh
    env: str = ""  # of a secret: the variable that gets it
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0  # of a tmpfs, bytes; 0: no limit


class From(Record):
    """The beginning of a stage."""

    where: Where
    image: str
    platform: str = ""
    name: str = ""  # lower case


class Run(Record):
    """A command whose changes become a layer."""

    where: Where
    command: Command
    mounts: tuple[RunMount, ...] = ()
    network: str = ""  # "", default, none, host
    security: str = ""  # "", sandbox, insecure
    heredocs: tuple[Heredoc, ...] = ()
    mount_texts: tuple[str, ...] = ()  # the mounts as written, for their expansion
    script: str = ""  # a document with `#!`: the program that `command` names, by its path


class Copy(Record):
    """Files of the context, a stage or an image become a layer; with `add` true it is ADD."""

    where: Where
    add: bool = False
    sources: tuple[str, ...] = ()  # paths or, of ADD, URLs and git repositories; heredocs apart
    heredocs: tuple[Heredoc, ...] = ()  # inline files, each by its name
    target: str = ""
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str = ""
    keep_git_dir: bool = False
    unpack: bool | None = None  # of ADD: None: archives of the context are, downloaded ones not


class Arg(Record):
    """Build arguments: name and default, None without one."""

    where: Where
    args: tuple[tuple[str, str | None], ...]


class Env(Record):
    """Variables of the image."""

    where: Where
    pairs: tuple[tuple[str, str], ...]


class Label(Record):
    """Labels of the image."""

    where: Where
    pairs: tuple[tuple[str, str], ...]


class Expose(Record):
    """Ports of the image."""

    where: Where
    ports: tuple[str, ...]


class Volume(Record):
    """Places of volumes."""

    where: Where
    paths: tuple[str, ...]


class User(Record):
    """Who runs what follows."""

    where: Where
    user: str


class Workdir(Record):
    """Where what follows runs."""

    where: Where
    path: str


class Cmd(Record):
    """The default command."""

    where: Where
    command: Command


class Entrypoint(Record):
    """What a command is given to."""

    where: Where
    command: Command


class Shell(Record):
    """What runs shell forms from here on."""

    where: Where
    argv: tuple[str, ...]


class Healthcheck(Record):
    """How to ask for health. Durations are seconds."""

    where: Where
    none: bool = False
    command: Command | None = None
    interval: float = 0.0
    timeout: float = 0.0
    start_period: float = 0.0
    start_interval: float = 0.0
    retries: int = 0


class Onbuild(Record):
    """An instruction for whoever builds on this image."""

    where: Where
    text: str  # as it goes into the configuration


class Stopsignal(Record):
    """The signal that `stop` sends."""

    where: Where
    signal: str


class Maintainer(Record):
    """The author (deprecated)."""

    where: Where
    name: str


Instruction = (
    Run | Copy | Arg | Env | Label | Expose | Volume | User | Workdir | Cmd | Entrypoint | Shell
    | Healthcheck | Onbuild | Stopsignal | Maintainer
)  # fmt: skip


class Stage(Record):
    """FROM and what follows up to the next one."""

    number: int
    start: From
    instructions: tuple[Instruction, ...]


class Dockerfile(Record):
    """A whole file, understood."""

    name: str
    lines: tuple[str, ...]  # of the source, for messages
    escape: str
    directives: Mapping[str, str]
    args: tuple[Arg, ...]  # before the first FROM
    stages: tuple[Stage, ...]

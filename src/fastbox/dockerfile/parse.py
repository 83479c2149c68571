"""Nodes to typed instructions, and a whole file to stages. Variables stay as they are written."""

from __future__ import annotations

from fastbox import units
from fastbox.dockerfile import arguments
from fastbox.dockerfile.arguments import Flag, Unknown
from fastbox.dockerfile.instructions import (
    Arg,
    Cmd,
    Command,
    Copy,
    Dockerfile,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Heredoc,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    Stage,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from fastbox.dockerfile.source import Document, Node, cut, heredoc_of, locate, parse, shown
from fastbox.errors import DockerfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastbox.dockerfile.instructions import Instruction, RunMount

    Flags = dict[str, Any]

NETWORKS = ("default", "none", "host")
SECURITY = ("sandbox", "insecure")
SCRIPT_DIR = "/dev/pipes/"  # where a document with `#!` is while it runs, as docker's


def read(data: bytes | str, name: str = "Dockerfile") -> Dockerfile:
    """A whole file.

    Args:
        data: Its content, at most 16 MiB.
        name: What messages call it.

    Raises:
        DockerfileError: It can't be read as a Dockerfile; line and column say where.

    Example:
        >>> read("FROM scratch AS a\\nCOPY x /").stages[0].start.name
        'a'
    """
    return understood(parse(data, name))


def understood(document: Document) -> Dockerfile:
    """A file that is already cut to nodes."""
    args: list[Arg] = []
    stages: list[Stage] = []
    start: From | None = None
    body: list[Instruction] = []
    for node in document.nodes:
        found = _typed(node, document)
        if isinstance(found, From):
            if start is not None:
                stages.append(Stage(number=len(stages), start=start, instructions=tuple(body)))
            start = found
            body.clear()
        elif start is not None:
            body.append(found)
        elif isinstance(found, Arg):
            args.append(found)
        else:
            why = f"{node.keyword.upper()} before the first FROM"
            raise _error(document, node, why, node.keyword, "only ARG may come before it")
    if start is None:
        hint = "a Dockerfile begins with FROM"
        raise DockerfileError("no FROM, so nothing to build", where=document.name, hint=hint)
    stages.append(Stage(number=len(stages), start=start, instructions=tuple(body)))
    return Dockerfile(
        name=document.name,
        lines=document.lines,
        escape=document.escape,
        directives=document.directives,
        args=tuple(args),
        stages=tuple(stages),
    )


def parse_line(text: str, name: str = "instruction") -> Instruction:
    """One instruction with what belongs to it, such as a trigger of ONBUILD or a `--change`.

    Raises:
        DockerfileError: None, several, FROM, or one that is malformed.
    """
    document = parse(text, name)
    if len(document.nodes) != 1:
        raise DockerfileError("more than one instruction", where=name)
    found = _typed(document.nodes[0], document)
    if isinstance(found, From):
        raise DockerfileError("FROM can't stand here", where=name)
    return found


def _typed(node: Node, document: Document) -> Instruction | From:
    word = node.keyword.upper()
    entry = _READERS.get(word)
    try:
        if entry is None:
            raise Unknown(f"unknown instruction: {node.keyword}", node.keyword, tuple(_READERS))
        reader, known = entry
        flags = arguments.flags(node.flags, known) if node.flags else {}
        if not node.rest:
            raise ValueError(f"{word} needs an argument")
        return reader(node, flags, document.escape)
    except Unknown as error:
        raise _error(document, node, str(error), error.word, error.hint) from None
    except ValueError as error:
        raise _error(document, node, str(error)) from None


def _error(
    document: Document, node: Node, what: str, word: str = "", hint: str = ""
) -> DockerfileError:
    where = node.where
    line, column = locate(document.lines, where.line, where.end, word)
    source = document.lines[line - 1]
    return DockerfileError(
        what, where=document.name, hint=hint, line=line, column=column, source=source
    )


def _from(node: Node, flags: Flags, _escape: str) -> From:
    words = arguments.blank_words(node.rest)
    if len(words) == 3 and words[1].upper() == "AS":
        name = words[2].lower()
    elif len(words) == 1:
        name = ""
    else:
        raise ValueError("FROM takes an image, or an image AS a name")
    if name and not _is_stage_name(name):
        raise ValueError(
            f'invalid name of a stage "{words[2]}": a letter, then letters, digits, ".", "_" or "-"'
        )
    return From(where=node.where, image=words[0], platform=flags.get("platform", ""), name=name)


def _is_stage_name(name: str) -> bool:
    plain = name.replace("-", "a").replace("_", "a").replace(".", "a")
    return name.isascii() and plain.isalnum() and name[0].isalpha()


def _command(node: Node) -> Command:
    argv = arguments.array(node.rest)
    return Command(line=node.rest, shell=True) if argv is None else Command(argv=argv)


def _run(node: Node, flags: Flags, _escape: str) -> Run:
    texts = tuple(flags.get("mount", ()))
    mounts: tuple[RunMount, ...] = ()
    if texts:
        from fastbox.dockerfile.mounts import mount

        mounts = tuple([mount(text) for text in texts])
    network, security = flags.get("network", ""), flags.get("security", "")
    check_choice("network", network, NETWORKS)
    check_choice("security", security, SECURITY)
    where, command, script = node.where, _command(node), ""
    if node.heredocs:
        where, command, script = _documents(node)
    elif not command.shell and not command.argv:
        raise ValueError("RUN needs a command, not an empty array")
    return Run(
        where=where,
        command=command,
        mounts=mounts,
        mount_texts=texts,
        network=network,
        security=security,
        heredocs=node.heredocs,
        script=script,
    )


def check_choice(flag: str, value: str, known: tuple[str, ...]) -> None:
    """Refuse a value that is none of those; one with a variable is judged after expansion.

    Raises:
        ValueError: It is none of them.
    """
    if value and "$" not in value and value not in known:
        raise Unknown(f'unknown --{flag} "{value}"', value, known)


def _documents(node: Node) -> tuple[Any, Command, str]:
    """RUN with documents: a document alone is the script, else the shell gets all of them."""
    first = node.heredocs[0]
    if heredoc_of(node.rest) is None:
        parts = [node.rest, *(f"{each.content}{each.name}" for each in node.heredocs)]
        return node.where, Command(line="\n".join(parts), shell=True), ""
    lines = first.content.strip().splitlines() or [""]
    text = f"{node.where.text} ({lines[0].rstrip()}{'...' if len(lines) > 1 else ''})"
    where = node.where.replace(text=shown(text))
    if not first.content.startswith("#!"):
        return where, Command(line=first.content, shell=True), ""
    # The name becomes a path, and a word of the shell's.
    plain = first.name.replace("_", "").replace("-", "").replace(".", "")
    name = first.name if plain.isascii() and plain.isalnum() else "script"
    return where, Command(line=SCRIPT_DIR + name, shell=True), first.content


def _copy(node: Node, flags: Flags, _escape: str) -> Copy:
    word = node.keyword.upper()
    exec_form = arguments.array(node.rest)
    words = list(exec_form) if exec_form is not None else arguments.blank_words(node.rest)
    if len(words) < 2:
        raise ValueError(f"{word} needs a source and a destination")
    *sources, target = words
    if exec_form is None and heredoc_of(target) is not None:
        raise ValueError(f"{word} can't take a heredoc as its destination")
    documents: list[Heredoc] = []
    if node.heredocs:
        sources, documents = _inline(word, sources, node.heredocs)
    return Copy(
        where=node.where,
        add=word == "ADD",
        sources=tuple(sources),
        heredocs=tuple(documents),
        target=target,
        from_=_plain_from(flags.get("from", "")),
        chown=flags.get("chown", ""),
        chmod=flags.get("chmod", ""),
        link=flags.get("link", False),
        parents=flags.get("parents", False),
        exclude=tuple(flags.get("exclude", ())),
        checksum=flags.get("checksum", ""),
        keep_git_dir=flags.get("keep-git-dir", False),
        unpack=flags.get("unpack"),
    )


def _plain_from(name: str) -> str:
    if "$" in name[:-1]:
        raise ValueError("--from takes no variables; name a stage: FROM ${IMAGE} AS name")
    return name


def _inline(
    word: str, sources: list[str], heredocs: tuple[Heredoc, ...]
) -> tuple[list[str], list[Heredoc]]:
    """Sources without the documents among them, and those in order."""
    waiting = list(reversed(heredocs))
    paths = []
    for source in sources:
        if heredoc_of(source) is None:
            paths.append(source)
            continue
        if not waiting:
            raise ValueError(f'{word} can\'t read the heredoc "{source}"')
        name = waiting.pop().name
        if "/" in name or name in (".", ".."):
            raise ValueError(f'"{name}" can\'t be the name of a file: give it in the destination')
    if waiting:
        raise ValueError(f'{word} can\'t read the heredoc "{waiting[-1].name}": no spaces in it')
    return paths, list(heredocs)


def _arg(node: Node, _flags: Flags, escape: str) -> Arg:
    found: list[tuple[str, str | None]] = []
    for word in arguments.quoted_words(node.rest, escape):
        name, equals, value = word.partition("=")
        if not name:
            raise ValueError("ARG has a name that is empty")
        found.append((name, value if equals else None))
    if not found:
        raise ValueError("ARG needs an argument")
    return Arg(where=node.where, args=tuple(found))


def _env(node: Node, _flags: Flags, escape: str) -> Env:
    return Env(where=node.where, pairs=arguments.pairs("ENV", node.rest, escape))


def _label(node: Node, _flags: Flags, escape: str) -> Label:
    return Label(where=node.where, pairs=arguments.pairs("LABEL", node.rest, escape))


def _expose(node: Node, _flags: Flags, _escape: str) -> Expose:
    return Expose(where=node.where, ports=tuple(arguments.blank_words(node.rest)))


def _volume(node: Node, _flags: Flags, _escape: str) -> Volume:
    found = arguments.array(node.rest)
    paths = arguments.blank_words(node.rest) if found is None else found
    paths = [path.strip() for path in paths]
    if not paths or not all(paths):
        raise ValueError("VOLUME has a path that is empty")
    return Volume(where=node.where, paths=tuple(paths))


def _user(node: Node, _flags: Flags, _escape: str) -> User:
    return User(where=node.where, user=node.rest)


def _workdir(node: Node, _flags: Flags, _escape: str) -> Workdir:
    return Workdir(where=node.where, path=node.rest)


def _stopsignal(node: Node, _flags: Flags, _escape: str) -> Stopsignal:
    return Stopsignal(where=node.where, signal=node.rest)


def _maintainer(node: Node, _flags: Flags, _escape: str) -> Maintainer:
    return Maintainer(where=node.where, name=node.rest)


def _cmd(node: Node, _flags: Flags, _escape: str) -> Cmd:
    return Cmd(where=node.where, command=_command(node))


def _entrypoint(node: Node, _flags: Flags, _escape: str) -> Entrypoint:
    return Entrypoint(where=node.where, command=_command(node))


def _shell(node: Node, _flags: Flags, _escape: str) -> Shell:
    argv = arguments.array(node.rest)
    if not argv:
        raise ValueError('SHELL needs a JSON array: SHELL ["/bin/sh", "-c"]')
    return Shell(where=node.where, argv=argv)


def _healthcheck(node: Node, flags: Flags, _escape: str) -> Healthcheck:
    word, rest = cut(node.rest)
    if word.upper() == "NONE":
        if rest:
            raise ValueError("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(where=node.where, none=True)
    if word.upper() != "CMD":
        raise Unknown(f'HEALTHCHECK takes CMD or NONE, not "{word}"', word, ("CMD", "NONE"))
    argv = arguments.array(rest)
    if not rest or argv == ():
        raise ValueError("HEALTHCHECK CMD needs a command")
    return Healthcheck(
        where=node.where,
        command=Command(line=rest, shell=True) if argv is None else Command(argv=argv),
        interval=_seconds(flags, "interval"),
        timeout=_seconds(flags, "timeout"),
        start_period=_seconds(flags, "start-period"),
        start_interval=_seconds(flags, "start-interval"),
        retries=_retries(flags.get("retries", "")),
    )


def _seconds(flags: Flags, name: str) -> float:
    text = flags.get(name, "")
    if text in ("", "0"):
        return 0.0
    try:
        value = units.duration(text)
    except ValueError as error:
        raise ValueError(f'--{name} "{text}": {error}') from None
    if value and value < 0.001:
        raise ValueError(f"--{name} is less than 1ms")
    return value


def _retries(text: str) -> int:
    try:
        return units.integer(text, 0, (1 << 31) - 1) if text else 0
    except ValueError as error:
        raise ValueError(f'--retries "{text}": {error}') from None


def _onbuild(node: Node, _flags: Flags, escape: str) -> Onbuild:
    word, _ = cut(node.rest)
    if word.upper() in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ValueError(f"{word.upper()} can't be triggered by ONBUILD")
    text = "\n".join([node.rest, *(f"{each.content}{each.name}" for each in node.heredocs)])
    # Whoever builds on the image could do nothing about a mistake in it.
    head = f"# escape={escape}\n" if escape != "\\" else ""
    try:
        parse_line(head + text)
    except DockerfileError as error:
        raise ValueError(error.what) from None
    return Onbuild(where=node.where, text=text)


_COPIED = (
    Flag(name="chown"),
    Flag(name="chmod"),
    Flag(name="link", kind="bool"),
    Flag(name="exclude", kind="list"),
)
_READERS: dict[str, tuple[Callable[[Node, Flags, str], Instruction | From], tuple[Flag, ...]]] = {
    "FROM": (_from, (Flag(name="platform"),)),
    "RUN": (_run, (Flag(name="mount", kind="list"), Flag(name="network"), Flag(name="security"))),
    "COPY": (_copy, (*_COPIED, Flag(name="from"), Flag(name="parents", kind="bool"))),
    "ADD": (
        _copy,
        (
            *_COPIED,
            Flag(name="checksum"),
            Flag(name="keep-git-dir", kind="bool"),
            Flag(name="unpack", kind="bool"),
        ),
    ),
    "ARG": (_arg, ()),
    "ENV": (_env, ()),
    "LABEL": (_label, ()),
    "EXPOSE": (_expose, ()),
    "VOLUME": (_volume, ()),
    "USER": (_user, ()),
    "WORKDIR": (_workdir, ()),
    "CMD": (_cmd, ()),
    "ENTRYPOINT": (_entrypoint, ()),
    "SHELL": (_shell, ()),
    "HEALTHCHECK": (
        _healthcheck,
        tuple(
            Flag(name=name)
            for name in ("interval", "timeout", "start-period", "start-interval", "retries")
        ),
    ),
    "ONBUILD": (_onbuild, ()),
    "STOPSIGNAL": (_stopsignal, ()),
    "MAINTAINER": (_maintainer, ()),
}
INSTRUCTIONS = tuple(_READERS)

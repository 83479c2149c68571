"""Variables in instructions: which fields docker expands, and what ARG gives."""

from __future__ import annotations

from fastbox.dockerfile import words
from fastbox.dockerfile.instructions import (
    Arg,
    Copy,
    Env,
    Expose,
    From,
    Heredoc,
    Label,
    Run,
    Stopsignal,
    User,
    Volume,
    Workdir,
)
from fastbox.errors import DockerfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TypeVar

    from fastbox.dockerfile.instructions import Instruction
    from fastbox.dockerfile.words import Variables

    Given = TypeVar("Given", bound=Instruction | From)

MAX_PORTS = 3 * 65535  # of one EXPOSE: all there are


def expanded(
    instruction: Given,
    env: Variables,
    escape: str = "\\",
    used: set[str] | None = None,
    missing: set[str] | None = None,
    name: str = "Dockerfile",
) -> Given:
    """An instruction with its variables replaced; one that has none is returned as it is.

    RUN is only expanded in its flags (the shell does the rest), CMD, ENTRYPOINT, SHELL, HEALTHCHECK
    and ONBUILD never. The pairs of one ENV see the values from before the line; those of one ARG
    see each other. Ports of EXPOSE come as "80/tcp", ranges unfolded.

    Args:
        env: The variables of the image and the arguments that are declared.
        escape: The file's escape character.
        used: Gets the names that were found in `env`.
        missing: Gets those that were not.
        name: The file, for messages.

    Raises:
        DockerfileError: A quote without its end, a wrong substitution, `${X:?why}` without X, or a
            value that is no port, mount, or mode of a network.
    """
    field = _Field(env, escape, used, missing)
    try:
        return _replaced(instruction, field)  # type: ignore[return-value]
    except ValueError as error:
        hint = getattr(error, "hint", "")
        where = instruction.where
        raise DockerfileError(
            str(error), where=name, hint=hint, line=where.line, source=where.text
        ) from None


def declared(
    instruction: Arg,
    env: Variables,
    given: Mapping[str, str],
    outer: Mapping[str, str] | None = None,
    escape: str = "\\",
    used: set[str] | None = None,
    missing: set[str] | None = None,
    name: str = "Dockerfile",
) -> dict[str, str | None]:
    """What an ARG gives its stage: each name with its value, None for one that has none.

    Args:
        env: What a default may refer to.
        given: `--build-arg`; it wins.
        outer: Arguments from before the first FROM: an ARG without a default takes its value there.
    """
    found: dict[str, str | None] = {}
    field = _Field(_Layer(found, env), escape, used, missing)
    try:
        for key, default in instruction.args:
            if key in given:
                value: str | None = given[key]
            elif default is None:
                value = (outer or {}).get(key)
            else:
                value = field(default)
            found[key] = value
    except ValueError as error:
        where = instruction.where
        raise DockerfileError(str(error), where=name, line=where.line, source=where.text) from None
    return found


class _Layer:
    """Variables on top of others."""

    def __init__(self, own: Mapping[str, str | None], below: Variables) -> None:
        self.own, self.below = own, below

    def get(self, name: str, /) -> str | None:
        value = self.own.get(name)
        return self.below.get(name) if value is None else value


class _Field:
    """Expands one field."""

    def __init__(
        self,
        env: Variables,
        escape: str,
        used: set[str] | None,
        missing: set[str] | None,
    ) -> None:
        self.env, self.escape, self.used, self.missing = env, escape, used, missing

    def __call__(self, text: str) -> str:
        return words.expand(text, self.env, self.escape, used=self.used, missing=self.missing)

    def all(self, texts: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([self(text) for text in texts])

    def document(self, heredoc: Heredoc) -> Heredoc:
        if not heredoc.expand:
            return heredoc
        content = words.expand_document(
            heredoc.content, self.env, used=self.used, missing=self.missing
        )
        return heredoc.replace(content=content)


def _replaced(instruction: Instruction | From, field: _Field) -> Instruction | From:
    if isinstance(instruction, Run):
        return _run(instruction, field)
    if isinstance(instruction, Copy):
        return _copy(instruction, field)
    if isinstance(instruction, (Env, Label)):
        pairs = tuple([(field(key), field(value)) for key, value in instruction.pairs])
        if not all(key for key, _ in pairs):
            raise ValueError(f"{type(instruction).__name__.upper()} has a name that is empty")
        return instruction.replace(pairs=pairs)
    if isinstance(instruction, Expose):
        return instruction.replace(ports=_ports(instruction, field))
    if isinstance(instruction, Volume):
        paths = field.all(instruction.paths)
        if not all(paths):
            raise ValueError("VOLUME has a path that is empty")
        return instruction.replace(paths=paths)
    if isinstance(instruction, User):
        return instruction.replace(user=field(instruction.user))
    if isinstance(instruction, Workdir):
        return instruction.replace(path=field(instruction.path))
    if isinstance(instruction, Stopsignal):
        return instruction.replace(signal=field(instruction.signal))
    if isinstance(instruction, From):
        image, platform = field(instruction.image), field(instruction.platform)
        if not image:
            raise ValueError(f'the name of the image is empty: "{instruction.image}"')
        if instruction.platform and not platform:
            raise ValueError(f'the platform is empty: "{instruction.platform}"')
        return instruction.replace(image=image, platform=platform)
    if isinstance(instruction, Arg):
        found = declared(instruction, field.env, {}, None, field.escape, field.used, field.missing)
        return instruction.replace(args=tuple(found.items()))
    return instruction


def _run(instruction: Run, field: _Field) -> Run:
    if not instruction.mount_texts and not instruction.network:
        return instruction
    from fastbox.dockerfile.mounts import mount
    from fastbox.dockerfile.parse import NETWORKS, check_choice

    network = field(instruction.network)
    check_choice("network", network.replace("$", "?"), NETWORKS)
    mounts = tuple([mount(text, field) for text in instruction.mount_texts])
    return instruction.replace(mounts=mounts, network=network)


def _copy(instruction: Copy, field: _Field) -> Copy:
    return instruction.replace(
        sources=field.all(instruction.sources),
        heredocs=tuple([field.document(each) for each in instruction.heredocs]),
        target=field(instruction.target),
        chown=field(instruction.chown),
        chmod=field(instruction.chmod),
        checksum=field(instruction.checksum),
    )


def _ports(instruction: Expose, field: _Field) -> tuple[str, ...]:
    from fastbox.dockerfile.ports import exposed

    found: dict[str, None] = {}
    room = MAX_PORTS
    for word in port_words(instruction, field.env, field.escape, field.used, field.missing):
        names = exposed(word).names()
        room -= len(names)
        if room < 0:
            raise ValueError(f"EXPOSE names more than {MAX_PORTS} ports")
        found.update(dict.fromkeys(names))
    return tuple(found)


def port_words(
    instruction: Expose,
    env: Variables,
    escape: str,
    used: set[str] | None = None,
    missing: set[str] | None = None,
) -> list[str]:
    """The words of EXPOSE: a variable may hold several.

    Raises:
        ValueError: A word that can't be expanded.
    """
    found: list[str] = []
    for text in instruction.ports:
        found += words.split(text, env, escape, used=used, missing=missing)
    return found

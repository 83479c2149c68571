"""The checks that follow a stage from its FROM on: which variables there are, what came before."""

from __future__ import annotations

from fastbox.dockerfile import words
from fastbox.dockerfile.expand import declared, expanded, port_words
from fastbox.dockerfile.instructions import (
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Shell,
    Workdir,
)
from fastbox.dockerfile.ports import exposed
from fastbox.errors import DockerfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastbox.dockerfile.instructions import Dockerfile, Instruction, Stage
    from fastbox.dockerfile.rules import Findings
    from fastbox.dockerfile.source import Node

    BaseEnv = Callable[[str], Mapping[str, str] | None]

MAX_DEPTH = 64  # stages on stages: beyond, variables are taken for defined
_SECRETS = frozenset(
    "apikey auth credential credentials key password pword passwd secret token".split()
)
_NO_SECRETS = frozenset("public file version".split())
_SCRATCH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
_ONCE = (Cmd, Entrypoint, Healthcheck)


class _State:
    """What is known within a stage, on top of its base's."""

    def __init__(self, base: _State | None, env: Mapping[str, str] | None) -> None:
        self.base = base
        self.depth: int = base.depth + 1 if base else 0
        # Whether all variables are known; of an image nobody looked at they are not.
        self.known: bool = base.known if base else env is not None
        self.own: dict[str, str] = dict(env or {})
        self.args: set[str] = set()
        self.workdir: bool = base.workdir if base else False
        self.shell: bool = base.shell if base else False
        self.last: dict[type, Node] = {}
        if self.depth > MAX_DEPTH:
            self.base, self.known = None, False

    def chain(self) -> Iterator[_State]:
        state: _State | None = self
        while state is not None:
            yield state
            state = state.base


class _Variables:
    """The variables of a stage and of those below it, as the mapping that expansion asks."""

    def __init__(self, state: _State) -> None:
        self.state = state

    def get(self, name: str, /) -> str | None:
        for state in self.state.chain():
            if name in state.own:
                return state.own[name]
        return None

    def names(self) -> set[str]:
        return {name for state in self.state.chain() for name in state.own}


def check_instructions(
    dockerfile: Dockerfile,
    nodes: Mapping[int, list[Node]],
    outer: Mapping[str, str],
    given: Mapping[str, str],
    base_env: BaseEnv | None,
    ignored: Callable[[str], bool] | None,
    findings: Findings,
) -> None:
    """Go through all stages in order; `nodes` are theirs by number, FROM first."""
    named: dict[str, _State] = {}
    for stage in dockerfile.stages:
        state = _begin(stage, named, outer, base_env, dockerfile.escape)
        walker = _Walker(state, dockerfile, outer, given, ignored, findings)
        for instruction, node in zip(stage.instructions, nodes[stage.number][1:], strict=True):
            walker.visit(instruction, node)
        if stage.start.name:
            named[stage.start.name] = state


def _begin(
    stage: Stage,
    named: Mapping[str, _State],
    outer: Mapping[str, str],
    base_env: BaseEnv | None,
    escape: str,
) -> _State:
    try:
        image = words.expand(stage.start.image, outer, escape)
    except ValueError:
        return _State(None, None)
    if image in named:
        return _State(named[image], None)
    if image == "scratch":
        return _State(None, _SCRATCH)
    env = base_env(image) if base_env else None
    return _State(None, env if env is None else {**_SCRATCH, **env})


class _Walker:
    def __init__(
        self,
        state: _State,
        dockerfile: Dockerfile,
        outer: Mapping[str, str],
        given: Mapping[str, str],
        ignored: Callable[[str], bool] | None,
        findings: Findings,
    ) -> None:
        self.state, self.escape, self.name = state, dockerfile.escape, dockerfile.name
        self.outer, self.given = outer, given
        self.ignored, self.findings = ignored, findings
        self.env = _Variables(state)

    def visit(self, instruction: Instruction, node: Node) -> None:
        missing: set[str] = set()
        try:
            if isinstance(instruction, Arg):
                self._arg(instruction, node, missing)
            elif isinstance(instruction, Expose):
                self._expose(instruction, node, missing)
            else:
                self._other(
                    expanded(instruction, self.env, self.escape, None, missing, self.name), node
                )
        except (DockerfileError, ValueError):
            return  # the build says it
        self._undefined(missing, node)

    def _other(self, instruction: Instruction, node: Node) -> None:
        state = self.state
        if isinstance(instruction, _ONCE):
            self._once(instruction, node)
        if isinstance(instruction, (Cmd, Entrypoint)) and instruction.command.shell:
            self._json(node)
        elif isinstance(instruction, Env):
            for key, value in instruction.pairs:
                self._secret("ENV", key, node)
                state.own[key] = value
        elif isinstance(instruction, Copy):
            self._copy(instruction, node)
        elif isinstance(instruction, Shell):
            state.shell = True
        elif isinstance(instruction, Workdir):
            self._workdir(instruction, node)

    def _arg(self, instruction: Arg, node: Node, missing: set[str]) -> None:
        for key, _ in instruction.args:
            self._secret("ARG", key, node)
        found = declared(
            instruction, self.env, self.given, self.outer, self.escape, None, missing, self.name
        )
        self.state.args |= set(found)
        self.state.own.update({key: value for key, value in found.items() if value is not None})

    def _expose(self, instruction: Expose, node: Node, missing: set[str]) -> None:
        for word in port_words(instruction, self.env, self.escape, None, missing):
            port = exposed(word)
            if port.protocol != port.protocol.lower():
                message = f"Defined protocol '{word}' in EXPOSE instruction should be lowercase"
                self.findings.tell("ExposeProtoCasing", message, node)
            if port.mapped:
                message = "EXPOSE instruction should not define an IP address or host-port mapping"
                self.findings.tell("ExposeInvalidFormat", f"{message}, found '{word}'", node)

    def _once(self, instruction: Instruction, node: Node) -> None:
        kind = type(instruction)
        before = self.state.last.get(kind)
        if before is not None:  # docker tells of the one that counts for nothing
            message = f"Multiple {node.keyword} instructions should not be used in the same stage"
            why = "because only the last one will be used"
            self.findings.tell("MultipleInstructionsDisallowed", f"{message} {why}", before)
        self.state.last[kind] = node

    def _json(self, node: Node) -> None:
        if not self.state.shell:
            message = f"JSON arguments recommended for {node.keyword} to prevent unintended"
            self.findings.tell(
                "JSONArgsRecommended", f"{message} behavior related to OS signals", node
            )

    def _copy(self, instruction: Copy, node: Node) -> None:
        if instruction.from_ or self.ignored is None:
            return
        for source in instruction.sources:
            if not _is_remote(source) and self.ignored(source):
                verb = "Add" if instruction.add else "Copy"
                message = f'Attempting to {verb} file "{source}" that is excluded by .dockerignore'
                self.findings.tell("CopyIgnoredFile", message, node)

    def _workdir(self, instruction: Workdir, node: Node) -> None:
        if not self.state.workdir and not instruction.path.startswith("/"):
            message = f'Relative workdir "{instruction.path}" can have unexpected results if the'
            self.findings.tell("WorkdirRelativePath", f"{message} base image changes", node)
        self.state.workdir = True

    def _secret(self, kind: str, key: str, node: Node) -> None:
        parts = set(key.lower().split("_"))
        if parts & _SECRETS and not parts & _NO_SECRETS:
            message = f'Do not use ARG or ENV instructions for sensitive data ({kind} "{key}")'
            self.findings.tell("SecretsUsedInArgOrEnv", message, node)

    def _undefined(self, missing: set[str], node: Node) -> None:
        if not self.state.known:
            return
        for name in sorted(missing):
            if any(name in state.args for state in self.state.chain()):
                continue
            near = self.findings.guess(name, self.env.names)
            guess = f" (did you mean ${near}?)" if near else ""
            message = f"Usage of undefined variable '${name}'{guess}"
            self.findings.tell("UndefinedVar", message, node)


def _is_remote(source: str) -> bool:
    return source.startswith(("http://", "https://", "git@", "git://", "ssh://"))

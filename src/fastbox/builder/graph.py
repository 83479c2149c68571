"""A Dockerfile's stages as a graph: what each begins with, which others it takes files from, and
which of them a target needs.
"""

from __future__ import annotations

from fastbox.dockerfile.expand import declared, expanded
from fastbox.dockerfile.instructions import Arg, Copy, Run
from fastbox.errors import InvalidArgument
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from fastbox.dockerfile.instructions import Dockerfile, From, Instruction, Stage
    from fastbox.errors import FastboxError

    # What raises an error at a line of the file: (line, what, hint).
    Refusal = Callable[[int, str, str], FastboxError]

# What every RUN may use without declaring it; neither in the cache's key nor in history.
PROXIES = frozenset(
    name
    for word in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (word, word.lower())
)


class Node(Record):
    """One stage of the graph."""

    stage: Stage
    start: From  # its variables expanded
    base: int | None  # the stage that it begins with, if it is one
    needs: frozenset[int]  # stages, the base among them


class Graph:
    """The stages of one build.

    Attributes:
        nodes: All, in the file's order.
        target: The number of the one that is the result.
        args: The arguments before the first FROM, and those of the platform, with their values.
        used: Names of arguments that something looked at.
        declared: Names of arguments that the file declares, anywhere.
    """

    __slots__ = ("_contexts", "_names", "args", "declared", "nodes", "target", "used")

    def __init__(
        self,
        file: Dockerfile,
        *,
        given: Mapping[str, str],
        platform: Mapping[str, str],
        target: str,
        contexts: Mapping[str, object],
        refuse: Refusal,
    ) -> None:
        """
        Args:
            file: The Dockerfile.
            given: Build arguments.
            platform: TARGETPLATFORM and the like.
            target: A stage's name or number; "" for the last.
            contexts: Named contexts; they stand for stages and images of their name.
            refuse: Makes the error for a line.
        """
        self.used: set[str] = set()
        self._contexts = contexts
        self._names: dict[str, int] = {}
        self.args = self._globals(file, given, platform)
        self.declared = declared_names(file)
        self.nodes: list[Node] = []
        for stage in file.stages:
            self.nodes.append(self._node(stage, file.escape, refuse))
            if stage.start.name:
                self._names[stage.start.name] = stage.number
        # A stage begins with one above it; its files may come from one below, too.
        for stage in file.stages:
            self.extend(stage.number, stage.instructions, refuse)
        self.target = self._target(target)
        self.check_circles(refuse)

    def _globals(
        self, file: Dockerfile, given: Mapping[str, str], platform: Mapping[str, str]
    ) -> dict[str, str]:
        values = dict(platform)
        for arg in file.args:
            found = declared(arg, values, given, {}, file.escape, self.used, name=file.name)
            self.used.update(found)
            values.update({name: value for name, value in found.items() if value is not None})
        return values

    def _node(self, stage: Stage, escape: str, refuse: Refusal) -> Node:
        start = expanded(stage.start, self.args, escape, self.used)
        line = start.where.line
        if not start.image:
            raise refuse(
                line, f"the base name ({stage.start.image}) is blank",
                "give the argument a default, or a value with --build-arg",
            )  # fmt: skip
        base = None if start.image.lower() in self._contexts else self.find(start.image)
        needs = frozenset(() if base is None else (base,))
        return Node(stage=stage, start=start, base=base, needs=needs)

    def extend(self, stage: int, instructions: Sequence[Instruction], refuse: Refusal) -> None:
        """A stage has these instructions: it needs what they take files from."""
        more = {number for each in instructions for number in self.sources(each, stage, refuse)}
        node = self.nodes[stage]
        if not more <= node.needs:
            self.nodes[stage] = node.replace(needs=node.needs | more)

    def check_circles(self, refuse: Refusal) -> None:
        """
        Raises:
            DockerfileError: Stages need each other in a circle.
        """
        waits = {number: len(node.needs) for number, node in enumerate(self.nodes)}
        users: dict[int, list[int]] = {}
        for number, node in enumerate(self.nodes):
            for need in node.needs:
                users.setdefault(need, []).append(number)
        free = [number for number, count in waits.items() if not count]
        while free:
            number = free.pop()
            del waits[number]
            for user in users.get(number, ()):
                waits[user] -= 1
                if not waits[user]:
                    free.append(user)
        if waits:
            number = min(waits)
            raise refuse(
                self.nodes[number].start.where.line,
                f'circular dependency detected on stage: "{self.name(number)}"',
                "take its files from a stage that does not need it",
            )

    def find(self, name: str) -> int | None:
        """The number of the last stage of that name, of those that are known by now."""
        return self._names.get(name.lower())

    def sources(self, instruction: Instruction, stage: int, refuse: Refusal) -> list[int]:
        """The stages that an instruction takes files from."""
        found = []
        for name in sources_of(instruction):
            number = self.source(name)
            if number is None:
                continue
            if number >= len(self.nodes):
                raise refuse(
                    instruction.where.line, f"there is no stage {name}",
                    f"the stages of this file have the numbers 0 to {len(self.nodes) - 1}",
                )  # fmt: skip
            if number == stage or name.lower() == self._name_of(stage):
                raise refuse(
                    instruction.where.line, f'circular dependency: stage "{name}" takes files '
                    "from itself", "take them from another stage",
                )  # fmt: skip
            found.append(number)
        return found

    def _name_of(self, stage: int) -> str:
        return next((name for name, number in self._names.items() if number == stage), "")

    def source(self, name: str) -> int | None:
        """The stage that `--from` names; None: an image or a context.

        A number is always a stage's, as for docker, though an image's id may begin with it.
        """
        if name.lower() in self._contexts:
            return None
        found = self.find(name)
        return _number(name) if found is None else found

    def _target(self, wanted: str) -> int:
        if not wanted:
            return len(self.nodes) - 1
        found = self.find(wanted)
        if found is not None:
            return found
        number = _number(wanted)
        if number is not None and number < len(self.nodes):
            return number
        from fastbox.support.nearest import nearest

        near = nearest(wanted.lower(), self._names)
        raise InvalidArgument(
            f'target stage "{wanted}" could not be found',
            hint=f'did you mean "{near}"?' if near else _known(self._names),
        )

    def needed(self) -> list[int]:
        """The stages that the target needs, itself among them, in the file's order."""
        found, waiting = set(), [self.target]
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting.extend(self.nodes[number].needs)
        return sorted(found)

    def name(self, number: int) -> str:
        """How people call a stage."""
        return self.nodes[number].start.name or f"stage-{number}"


def sources_of(instruction: Instruction) -> list[str]:
    """The texts of an instruction's `--from`s."""
    if isinstance(instruction, Copy):
        return [instruction.from_] if instruction.from_ else []
    if isinstance(instruction, Run):
        return [mount.from_ for mount in instruction.mounts if mount.from_]
    return []


def copied(graph: Graph) -> list[str]:
    """What the needed stages copy from the context, of which the text alone tells what it is."""
    found = [
        source
        for number in graph.needed()
        for each in graph.nodes[number].stage.instructions
        if isinstance(each, Copy) and not (each.from_ or each.exclude or each.parents)
        for source in each.sources
        if not any(sign in source for sign in "$*?[\\:@")
    ]
    return list(dict.fromkeys(found))


def _number(text: str) -> int | None:
    """Of a stage, if it can be one; more digits are an image's id."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else None


def declared_names(file: Dockerfile) -> set[str]:
    """The names of all arguments that a file declares."""
    args = [each for stage in file.stages for each in stage.instructions if isinstance(each, Arg)]
    return {name for arg in (*file.args, *args) for name, _ in arg.args}


def _known(names: Mapping[str, int]) -> str:
    if not names:
        return "no stage has a name: give one with FROM ... AS name"
    return "there are: " + ", ".join(list(names)[:20])

"""What `docker build --check` finds in a Dockerfile that is valid, under docker's names. Nothing is
built, and nothing outside of the file is looked at but through callables.
"""

from __future__ import annotations

from fastbox.dockerfile import arguments, words
from fastbox.dockerfile.expand import declared
from fastbox.dockerfile.instructions import Arg, From
from fastbox.dockerfile.rules import Findings, settings
from fastbox.dockerfile.stagechecks import check_instructions
from fastbox.errors import DockerfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from fastbox.builds import Warned
    from fastbox.dockerfile.instructions import Dockerfile, Instruction
    from fastbox.dockerfile.rules import Settings
    from fastbox.dockerfile.source import Document, Node

PLATFORM = {
    "TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64",
    "TARGETVARIANT": "", "TARGETSTAGE": "default",
    "BUILDPLATFORM": "linux/amd64", "BUILDOS": "linux", "BUILDARCH": "amd64", "BUILDVARIANT": "",
}  # fmt: skip
RESERVED = ("context", "scratch")
_OSES = ("linux", "windows", "darwin", "freebsd")
_JSON_FORMS = ("RUN", "CMD", "ENTRYPOINT", "COPY", "ADD", "VOLUME", "HEALTHCHECK")


def chosen_rules(document: Document, override: str = "") -> Settings:
    """Which rules count for a file: its `check` directive, or what is given instead of it."""
    return settings(override or document.directives.get("check", ""))


def check(
    dockerfile: Dockerfile,
    document: Document,
    *,
    args: Mapping[str, str] | None = None,
    predefined: Mapping[str, str] | None = None,
    base_env: Callable[[str], Mapping[str, str] | None] | None = None,
    ignored: Callable[[str], bool] | None = None,
    override: str = "",
) -> tuple[Warned, ...]:
    """All findings, by line.

    Args:
        dockerfile: The file, understood.
        document: The same file's nodes.
        args: `--build-arg`.
        predefined: TARGETPLATFORM and its like; linux/amd64 without it.
        base_env: The variables of an image, None where they are not known: then UndefinedVar says
            nothing of stages on it. Without it no image is known but scratch.
        ignored: Whether a source of COPY or ADD is left out of the context (`Ignore.hides`).
        override: Instead of the `check` directive, as BUILDKIT_DOCKERFILE_CHECK has it.

    Raises:
        InvalidArgument: The directive or `override` is malformed.
    """
    findings = Findings(chosen_rules(document, override))
    given, outer = args or {}, dict(PLATFORM if predefined is None else predefined)
    for node in document.nodes:
        if node.gap:
            findings.tell("NoEmptyContinuation", "Empty continuation line", node, node.gap)
    _check_names(dockerfile, document, findings)
    _check_casing(dockerfile, document, findings)
    _check_forms(document, findings)
    _check_descriptions(dockerfile, document, findings)
    _check_defaults(dockerfile, document, outer, findings)
    declared_names = _outer_args(dockerfile, outer, given)
    _check_from(dockerfile, document, outer, declared_names, findings)
    check_instructions(
        dockerfile,
        dict(stage_nodes(dockerfile, document)),
        outer,
        given,
        base_env,
        ignored,
        findings,
    )
    return findings.in_order()


def stage_nodes(dockerfile: Dockerfile, document: Document) -> Iterator[tuple[int, list[Node]]]:
    """The number of each stage with its nodes, FROM first."""
    at = len(dockerfile.args)
    for stage in dockerfile.stages:
        count = 1 + len(stage.instructions)
        yield stage.number, list(document.nodes[at : at + count])
        at += count


def _froms(dockerfile: Dockerfile, document: Document) -> Iterator[tuple[From, Node]]:
    at = len(dockerfile.args)
    for stage in dockerfile.stages:
        yield stage.start, document.nodes[at]
        at += 1 + len(stage.instructions)


def _typed(dockerfile: Dockerfile, document: Document) -> Iterator[tuple[Instruction | From, Node]]:
    found: list[Instruction | From] = list(dockerfile.args)
    for stage in dockerfile.stages:
        found += [stage.start, *stage.instructions]
    return zip(found, document.nodes, strict=True)


def _check_names(dockerfile: Dockerfile, document: Document, findings: Findings) -> None:
    seen: set[str] = set()
    for start, node in _froms(dockerfile, document):
        if not start.name:
            continue
        _, word, written = arguments.blank_words(node.rest)
        if written != written.lower():
            findings.tell("StageNameCasing", f"Stage name '{written}' should be lowercase", node)
        keyword = node.keyword
        if (keyword.islower() and not word.islower()) or (keyword.isupper() and not word.isupper()):
            message = f"'{word}' and '{keyword}' keywords' casing do not match"
            findings.tell("FromAsCasing", message, node)
        if start.name in RESERVED:
            message = f'Stage name should not use the same name as reserved stage "{start.name}"'
            findings.tell("ReservedStageName", message, node)
        if start.name in seen:
            message = f'Duplicate stage name "{start.name}", stage names should be unique'
            findings.tell("DuplicateStageName", message, node)
        seen.add(start.name)


def _check_casing(dockerfile: Dockerfile, document: Document, findings: Findings) -> None:
    nodes = document.nodes[len(dockerfile.args) :]  # docker does not look at those before FROM
    lower = sum(node.keyword.islower() for node in nodes)
    upper = sum(node.keyword.isupper() for node in nodes)
    wanted = "lowercase" if lower > upper else "uppercase"
    for node in nodes:
        if not (node.keyword.islower() if lower > upper else node.keyword.isupper()):
            majority = f"should match the case of the command majority ({wanted})"
            message = f"Command '{node.keyword}' {majority}"
            findings.tell("ConsistentInstructionCasing", message, node)


def _check_forms(document: Document, findings: Findings) -> None:
    for node in document.nodes:
        word = node.keyword.upper()
        if word == "MAINTAINER":
            message = "Maintainer instruction is deprecated in favor of using label"
            findings.tell("MaintainerDeprecated", message, node)
        if word in ("ENV", "LABEL") and arguments.is_old_form(node.rest, document.escape):
            forms = f'"{node.keyword} key=value" should be used instead of legacy'
            message = f'{forms} "{node.keyword} key value" format'
            findings.tell("LegacyKeyValueFormat", message, node)
        rest = node.rest[3:].lstrip() if word == "HEALTHCHECK" else node.rest
        if word in _JSON_FORMS and rest[:2] in ('["', "['") and _is_no_array(rest):
            message = f"The arguments of {word} look like a JSON array but are none, so the text"
            findings.tell("JSONArgsInvalid", f"{message} is taken as it is", node)


def _is_no_array(rest: str) -> bool:
    return rest[-1:] == "]" and arguments.array(rest) is None


def _check_descriptions(dockerfile: Dockerfile, document: Document, findings: Findings) -> None:
    for instruction, node in _typed(dockerfile, document):
        if isinstance(instruction, From):
            kind, names = "FROM", [instruction.name] if instruction.name else []
        elif isinstance(instruction, Arg):
            kind, names = "ARG", [name for name, _ in instruction.args]
        else:
            continue
        if names and node.comments and node.comments[-1].split(" ")[0] not in names:
            name = names[0] if len(names) == 1 else "<arg_key>"
            message = f"Comment for {kind} should follow the format: `# {name} <description>`"
            findings.tell("InvalidDefinitionDescription", message, node)


def _outer_args(
    dockerfile: Dockerfile, outer: dict[str, str], given: Mapping[str, str]
) -> set[str]:
    """The names declared before the first FROM; their values go to `outer`."""
    names = set(outer)
    for arg in dockerfile.args:
        found = declared(arg, outer, given, None, dockerfile.escape, name=dockerfile.name)
        names |= set(found)
        outer.update({key: value for key, value in found.items() if value is not None})
    return names


def _check_defaults(
    dockerfile: Dockerfile, document: Document, predefined: Mapping[str, str], findings: Findings
) -> None:
    """Whether each FROM names an image when no build argument is given."""
    defaults = dict(predefined)
    try:
        _outer_args(dockerfile, defaults, {})
        for start, node in _froms(dockerfile, document):
            if not _is_image(words.expand(start.image, defaults, dockerfile.escape)):
                message = f"Default value for ARG {start.image} results in empty or invalid base"
                findings.tell("InvalidDefaultArgInFrom", f"{message} image name", node)
    except (DockerfileError, ValueError):
        return  # the build says it


def _check_from(
    dockerfile: Dockerfile,
    document: Document,
    outer: Mapping[str, str],
    names: set[str],
    findings: Findings,
) -> None:
    for start, node in _froms(dockerfile, document):
        missing: set[str] = set()
        used: set[str] = set()
        try:
            words.expand(start.image, outer, dockerfile.escape, missing=missing)
            platform = words.expand(
                start.platform, outer, dockerfile.escape, used=used, missing=missing
            )
        except ValueError:
            continue  # the build says it
        for name in sorted(missing - names):
            near = findings.guess(name, lambda: names)
            guess = f" (did you mean {near}?)" if near else ""
            message = f"FROM argument '{name}' is not declared{guess}"
            findings.tell("UndefinedArgInFrom", message, node)
        if start.platform:
            _check_platform(start, platform, used, outer, node, findings)


def _check_platform(
    start: From,
    platform: str,
    used: set[str],
    outer: Mapping[str, str],
    node: Node,
    findings: Findings,
) -> None:
    if used == {"TARGETPLATFORM"} and platform == outer.get("TARGETPLATFORM"):
        message = f"Setting platform to predefined {start.platform} in FROM is redundant as this is"
        findings.tell("RedundantTargetPlatform", f"{message} the default behavior", node)
    elif not used and "$" not in start.platform:
        system, _, rest = platform.partition("/")
        architecture = rest.partition("/")[0]
        if not rest and system not in _OSES:
            system, architecture = "linux", system
        if not any(part and part in start.name for part in (system, architecture)):
            message = f'FROM --platform flag should not use constant value "{platform}"'
            findings.tell("FromPlatformFlagConstDisallowed", message, node)


def _is_image(name: str) -> bool:
    """Whether a name may be an image's or a stage's: the shape, not all of the grammar."""
    path, at, digest = name.partition("@")
    if at and (":" not in digest or not digest.replace(":", "a", 1).isalnum()):
        return False
    host, slash, rest = path.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost" or not host.islower()):
        host, rest = "", path
    last = rest.rpartition("/")[2]
    repository, colon, tag = last.partition(":")
    rest = rest[: len(rest) - len(last)] + repository
    if colon and not (tag and tag[0] not in ".-" and _is_made_of(tag.lower(), "._-")):
        return False
    parts = rest.split("/")
    plain = all(part and part[0].isalnum() and part[-1].isalnum() for part in parts)
    return plain and all(_is_made_of(part, "._-") for part in parts) and name.isascii()


def _is_made_of(text: str, marks: str) -> bool:
    return not any(not (char.isdigit() or char.islower() or char in marks) for char in text)

"""Docker's rules for Dockerfiles: their names, where docker describes them, which count."""

from __future__ import annotations

from fastbox.builds import Warned
from fastbox.errors import InvalidArgument
from fastbox.support.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from fastbox.dockerfile.source import Node

_URL = "https://docs.docker.com/go/dockerfile/rule/"
RULES = (
    "ConsistentInstructionCasing", "CopyIgnoredFile", "DuplicateStageName", "ExposeInvalidFormat",
    "ExposeProtoCasing", "FromAsCasing", "FromPlatformFlagConstDisallowed",
    "InvalidDefaultArgInFrom", "InvalidDefinitionDescription", "JSONArgsRecommended",
    "LegacyKeyValueFormat", "MaintainerDeprecated", "MultipleInstructionsDisallowed",
    "NoEmptyContinuation", "RedundantTargetPlatform", "ReservedStageName", "SecretsUsedInArgOrEnv",
    "StageNameCasing", "UndefinedArgInFrom", "UndefinedVar", "WorkdirRelativePath",
)  # fmt: skip
OWN_RULES = ("JSONArgsInvalid",)  # fastbox's: docker has no name and no page for it
EXPERIMENTAL = ("InvalidDefinitionDescription",)
MAX_GUESSES, MAX_KNOWN = 20, 1000
_ALL = ("all",)


class Settings(Record):
    """Which rules count: `# check=skip=A,B;error=true;experimental=all`."""

    skip: tuple[str, ...] = ()  # ("all",): all of them
    experimental: tuple[str, ...] = ()
    error: bool = False  # a finding fails the build

    def counts(self, rule: str) -> bool:
        """Whether findings of that rule are told."""
        if rule in EXPERIMENTAL:
            return self.experimental == _ALL or rule in self.experimental
        return self.skip != _ALL and rule not in self.skip


def settings(text: str) -> Settings:
    """The value of a `check` directive, or of the build argument BUILDKIT_DOCKERFILE_CHECK.

    Raises:
        InvalidArgument: An unknown option, or a value that is none.
    """
    found: dict[str, tuple[str, ...]] = {"skip": (), "experimental": ()}
    error = False
    for option in text.split(";") if text.strip() else ():
        name, equals, value = option.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or name not in ("skip", "experimental", "error"):
            known = "skip=..., experimental=..., error=true"
            raise InvalidArgument(f'check: "{option.strip()}" is not one of {known}')
        if name != "error":
            found[name] = tuple([word.strip() for word in value.split(",") if word.strip()])
        elif value.lower() not in ("true", "false", "1", "0"):
            raise InvalidArgument(f'check: error is true or false, not "{value}"')
        else:
            error = value.lower() in ("true", "1")
    return Settings(skip=found["skip"], experimental=found["experimental"], error=error)


class Findings:
    """Collects what the checks find, as far as it counts."""

    def __init__(self, chosen: Settings) -> None:
        self.chosen, self.guesses = chosen, MAX_GUESSES
        self.found: list[Warned] = []

    def tell(self, rule: str, message: str, node: Node, line: int = 0) -> None:
        """One finding. A comment `# check=skip=...` above its instruction counts for that one."""
        if self.chosen.counts(rule) and (not node.comments or _counts_here(rule, node.comments)):
            url = "" if rule in OWN_RULES else f"{_URL}{_slug(rule)}/"
            at = line or node.where.line
            self.found.append(Warned(rule=rule, message=message, line=at, url=url))

    def guess(self, word: str, names: Callable[[], Collection[str]]) -> str:
        """A known word that is near, or "". Only the first findings are worth the search."""
        if not self.guesses:
            return ""
        from fastbox.support.nearest import nearest

        self.guesses -= 1
        known = names()
        return nearest(word, sorted(known)) if len(known) <= MAX_KNOWN else ""

    def in_order(self) -> tuple[Warned, ...]:
        """By line; on one line in the order of their finding."""
        return tuple(sorted(self.found, key=lambda warned: warned.line))


def _counts_here(rule: str, comments: Sequence[str]) -> bool:
    for comment in comments:
        name, _, value = comment.partition("=")
        if name.strip().lower() == "check":
            try:
                return settings(value.strip().partition(" ")[0]).counts(rule)
            except InvalidArgument:
                return True
    return True


def _slug(rule: str) -> str:
    """The rule's name in its address: "JSONArgsRecommended" is json-args-recommended."""
    found = ""
    for at, char in enumerate(rule):
        starts = char.isupper() and (rule[at - 1].islower() or rule[at + 1 : at + 2].islower())
        found += ("-" if at and starts else "") + char.lower()
    return found

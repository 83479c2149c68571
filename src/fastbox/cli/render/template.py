r"""Go's templates, as far as they go here: `{{.}}`, `{{.Field.Field}}`, and `{{json .Field}}`, with
text around them.
"""

from __future__ import annotations

from fastbox.errors import InvalidArgument, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_HINT = "templates know {{.Field}}, {{.Field.Field}} and {{json .Field}}"


class Template:
    """A parsed template.

    Raises:
        InvalidArgument: An action without its end, or an empty one.
        Unsupported: An action that this version does not know.
    """

    def __init__(self, text: str) -> None:
        self._parts: list[str | tuple[bool, tuple[str, ...]]] = []
        while text:
            literal, opened, text = text.partition("{{")
            if literal:
                self._parts.append(literal)
            if not opened:
                break
            action, closed, text = text.partition("}}")
            if not closed:
                raise InvalidArgument("template: {{ without }}", hint=_HINT)
            self._parts.append(_action(action.strip()))

    def render(self, value: Mapping[str, object]) -> str:
        """The template filled in from a document.

        Raises:
            InvalidArgument: The document has no such field.
        """
        return "".join(
            part if isinstance(part, str) else _shown(_look_up(value, part[1]), part[0])
            for part in self._parts
        )


def unescape(text: str) -> str:
    r"""The template of a listing, in which `\t` and `\n` may be typed as two characters."""
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _action(text: str) -> tuple[bool, tuple[str, ...]]:
    words = text.split()
    as_json = len(words) == 2 and words[0] == "json"
    path = words[-1] if words else ""
    fields = tuple(path[1:].split(".")) if len(path) > 1 else ()
    names = all(field.replace("_", "a").isalnum() for field in fields)
    if path[:1] != "." or len(words) != 1 + as_json or not names:
        raise Unsupported(f'template: cannot read "{{{{{text}}}}}"', hint=_HINT)
    return as_json, fields


def _look_up(value: object, fields: tuple[str, ...]) -> object:
    for i, field in enumerate(fields):
        if not isinstance(value, dict) or field not in value:
            path = ".".join(fields[: i + 1])
            known = ", ".join(sorted(value)) if isinstance(value, dict) else ""
            raise InvalidArgument(
                f"template: no field .{path}", hint=f"there are {known}" if known else ""
            )
        value = value[field]
    return value


def _shown(value: object, as_json: bool) -> str:
    if as_json:
        from fastbox.support import json

        return json.dumps(value)
    return plain(value)


def plain(value: object) -> str:
    """A value as Go prints it: `[a b]`, `map[k:v]`, `true`, `<nil>`."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(plain, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
    return str(value)

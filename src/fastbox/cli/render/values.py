"""What templates work on: documents as Go's structs and maps, and how Go prints what is in them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_BIG_EXPONENT = 6


class Struct(dict[str, object]):
    """An object whose fields are known: another is an error; `{a b}` when printed.

    Attributes:
        absent: Fields that are known but not part of it as JSON: absent members, and methods.
    """

    __slots__ = ("absent",)

    def __init__(
        self, fields: Mapping[str, object] = {}, absent: Mapping[str, object] = {}
    ) -> None:
        super().__init__(fields)
        self.absent = absent


class NilList(list[object]):
    """A list that is not there: `[]` when printed, `null` as JSON."""


class NilMap(dict[str, object]):
    """A map that is not there: `map[]` when printed, `null` as JSON."""


class Missing:
    """What a map says of a key that it lacks."""


MISSING = Missing()


def plain(value: object) -> str:
    """A value as Go prints it: `[a b]`, `map[k:v]`, `true`, `<nil>`."""
    if isinstance(value, str):
        return value
    if value is None:
        return "<nil>"
    if isinstance(value, Missing):
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return real(value)
    if isinstance(value, (list, tuple)):
        return "[" + " ".join(map(plain, value)) + "]"
    if isinstance(value, Struct):
        absent = [each for each in value.absent.values() if not callable(each)]
        return "{" + " ".join(map(plain, [*value.values(), *absent])) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{plain(value[key])}" for key in sorted(value)) + "]"
    return str(value)


def real(value: float) -> str:
    """A number with a fraction in the fewest digits, with an exponent where it is very small or
    large.
    """
    text = repr(value)
    if text[-3:] in ("inf", "nan"):
        return {"inf": "+Inf", "-inf": "-Inf", "nan": "NaN"}[text]
    places = 0
    while float(f"{value:.{places}e}") != value:
        places += 1
    mantissa, _, exponent = f"{value:.{places}e}".partition("e")
    if not -4 <= int(exponent) < _BIG_EXPONENT:
        return f"{mantissa}e{int(exponent):+03d}"
    return text.removesuffix(".0")


def is_nil(value: object) -> bool:
    """Whether there is no value."""
    return value is None or isinstance(value, Missing)


def is_true(value: object) -> bool:
    """Whether `if` takes it: not zero, not empty; an object always."""
    return not isinstance(value, Missing) and (isinstance(value, Struct) or bool(value))


def kind(value: object) -> str:
    """The name of a value's type, in Go's words."""
    if is_nil(value):
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Struct):
        return "struct"
    for known, name in ((str, "string"), (int, "int"), (float, "float64")):
        if isinstance(value, known):
            return name
    if isinstance(value, dict):
        texts = all(isinstance(each, str) for each in value.values())
        return "map[string]string" if texts else "map[string]interface {}"
    if isinstance(value, (list, tuple)):
        return "[]string" if all(isinstance(each, str) for each in value) else "[]interface {}"
    return "func()"


def json(value: object) -> str:
    """A value as compact JSON: objects in their fields' order, maps in their keys'."""
    from fastbox.support import json as encoder

    return encoder.dumps(_ordered(value))


def _ordered(value: object) -> object:
    if isinstance(value, (NilList, NilMap, Missing)):
        return None
    if isinstance(value, Struct):
        return {key: _ordered(each) for key, each in value.items()}
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, (list, tuple)):
        return [_ordered(each) for each in value]
    return value

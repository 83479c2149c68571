"""Go's templates: what they make of values, what they say of what is wrong, and their bounds."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbox.cli.render.lexer import KEYWORDS
from fastbox.cli.render.listing import texts
from fastbox.cli.render.printf import printf
from fastbox.cli.render.template import Template, plain
from fastbox.cli.render.typed import fill, typed
from fastbox.cli.render.values import Struct
from fastbox.errors import FastboxError, InvalidArgument, ResourceExhausted

VALUE = {
    "A": 1, "B": {"C": True}, "D": ["a", "b"], "E": None, "Name": "/web", "Map": {"k.l": "v"},
}  # fmt: skip


def shown(text: str, value: object = VALUE) -> str:
    return Template(text).render(value)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{{.A}}", "1"),
        ("x{{ .B.C }}y", "xtruey"),
        ("{{json .B}}", '{"C":true}'),
        ("{{.D}}{{.E}}", "[a b]<nil>"),
        ("{{.Nope}}", "<no value>"),
        ('{{index .Map "k.l"}}{{index .D 1}}', "vb"),
        ("a {{- .A -}} b", "a1b"),
        ("a {{- /* b */ -}} c{{/* d */}}", "ac"),
        ("{{if .B.C}}yes{{else}}no{{end}}", "yes"),
        ("{{if .E}}1{{else if eq .A 1}}2{{else}}3{{end}}", "2"),
        ("{{with .E}}1{{else with .Name}}{{.}}{{end}}", "/web"),
        ("{{range .D}}<{{.}}>{{end}}", "<a><b>"),
        ("{{range $i, $e := .D}}{{$i}}{{$e}}{{end}}{{range .E}}x{{else}}none{{end}}", "0a1bnone"),
        ("{{range $k, $v := .Map}}{{$k}}={{$v}}{{end}}", "k.l=v"),
        ("{{range .D}}{{if eq . `a`}}{{continue}}{{end}}{{.}}{{break}}{{end}}", "b"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{$x := .A}}{{range .D}}{{$x = .}}{{end}}{{$x}}{{$.A}}", "b1"),
        ('{{define "t"}}[{{.}}]{{end}}{{template "t" .A}}{{block "u" .D}}{{len .}}{{end}}', "[1]2"),
        ('{{.Name | upper | printf "%q"}}', '"/WEB"'),
        ('{{printf "%-6s|%4d|%05.1f|%x" .Name .A 2.5 "hi"}}', "/web  |   1|002.5|6869"),
        ('{{join .D ","}}{{split .Name "/"}}{{title "a b"}}', "a,b[ web]A B"),
        ("{{pad .Name 1 2}}|{{truncate .Name 2}}{{slice .Name 1 3}}", " /web  |/wwe"),
        ("{{and .A .E}}{{or .E .A}}{{not .A}}", "<nil>1false"),
        ("{{lt 1 2}}{{le 2 2}}{{gt 1 2}}{{ge 1 2}}{{ne `a` `b`}}{{eq .A 3 1}}",
         "truetruefalsefalsetruetrue"),
        ("{{html `<a>`}}{{js `it's`}}{{urlquery `a b&`}}", r"&lt;a&gt;it\'sa+b%26"),
        ("{{print 1 2 `a` 3}}{{println 1 `b`}}", "1 2a31 b\n"),
        (r'{{"\t\x41\u00e9\101"}}{{`\t`}}{{' + r"'a'}}", "\tAéA\\t97"),
        ("{{0x10}} {{1_000}} {{1e3}} {{1.50}} {{-3}} {{.5}} {{017}}", "16 1000 1000 1.5 -3 0.5 15"),
        ("{{(index .D 0) | len}}{{(.B).C}}", "1true"),
        ("{{true}}{{len .Name}}", "true4"),
    ],
)  # fmt: skip
def test_templates(text: str, result: str) -> None:
    assert shown(text) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.A", ":1: unclosed action"),
        ("a\n{{range .}}", ":2: unexpected EOF"),
        ("{{}}", ":1: missing value for command"),
        ("{{A}}", ':1: function "A" not defined'),
        ("{{.A..B}}", ":1: unexpected <.> in operand"),
        ('{{"abc}}', ":1: unterminated quoted string"),
        ("{{`abc}}", ":1: unterminated raw quoted string"),
        ("{{end}}", ":1: unexpected {{end}}"),
        ("{{if .}}{{else}}{{else}}{{end}}", ":1: expected end; found {{else}}"),
        ("{{$x}}", ':1: undefined variable "$x"'),
        ("{{$x = 1}}", ':1: undefined variable "$x"'),
        ("{{if $y := 1}}{{end}}{{$y}}", ':1: undefined variable "$y"'),
        ("{{@}}", ':1: unexpected "@" in command'),
        ("{{break}}", ":1: {{break}} outside {{range}}"),
        ("{{(.A}}", ":1: unclosed left paren"),
        ("{{.A)}}", ":1: unexpected right paren"),
        ("{{/* a }}", ":1: unclosed comment"),
        ("{{.A | 1}}", ":1: non executable command in pipeline stage 2"),
        ("{{1.a}}", ":1: bad number syntax"),
        ("{{.A | |}}", ':1: unexpected "|" in command'),
        ("{{if}}{{end}}", ":1: missing value for if"),
        ("{{.a$}}", ":1: bad character U+0024 '$'"),
        ("{{a := 1}}", ':1: function "a" not defined'),
        ("{{range $a, $b, $c := .}}{{end}}", ":1: too many declarations in range"),
        ("{{if .}}{{define `a`}}{{end}}{{end}}", ":1: unexpected <define> in command"),
    ],
)
def test_what_is_no_template_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        Template(text)
    assert str(raised.value).startswith(f"template parsing error: template: {message}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{.Name.Foo}}", ":1:7: executing \"\" at <.Name.Foo>: can't evaluate field Foo in type"),
        ("a\nbc{{.E.F}}", ':2:6: executing "" at <.E.F>: nil pointer evaluating interface {}.F'),
        ("{{json}}", ':1:2: executing "" at <json>: wrong number of args for json: want 1 got 0'),
        ("{{eq 1 `a`}}", ":1:2: executing \"\" at <eq 1 `a`>: error calling eq: incompatible types"),
        ("{{index .D 9}}", ':1:2: executing "" at <index .D 9>: error calling index: index out'),
        ("{{lower .A}}", ':1:8: executing "" at <.A>: wrong type for value; expected string; got'),
        ("{{nil}}", ':1:2: executing "" at <nil>: nil is not a command'),
        ("{{len 3}}", ':1:2: executing "" at <len 3>: error calling len: len of type int'),
        ("{{.A 1}}", ":1:2: executing \"\" at <.A>: A is not a method but has arguments"),
        ('{{template "x"}}', ':1:11: executing "" at <{{template "x"}}>: template "x" not defined'),
        ("{{lt true false}}", ':1:2: executing "" at <lt true false>: error calling lt: invalid'),
        ("{{range .Name}}{{end}}", ":1:8: executing \"\" at <.Name>: range can't iterate over /web"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_place(text: str, message: str) -> None:
    with pytest.raises(InvalidArgument) as raised:
        shown(text)
    assert str(raised.value).startswith(f"template parsing error: template: {message}")


def test_objects_know_their_fields_and_maps_do_not() -> None:
    document = typed({"State": {"Status": "up"}, "Config": {"Labels": {"a": "b"}, "Env": None}})
    assert shown("{{.Config.Labels.no}}{{.Config.Env}}{{json .Config.Env}}", document) == (
        "<no value>[]null"
    )
    assert shown("{{.State.Health}}{{.Config.ExposedPorts}}", document) == "<nil>map[]"
    with pytest.raises(InvalidArgument, match="can't evaluate field No in type struct"):
        shown("{{.State.No}}", document)


def test_what_types_refuse_is_tried_as_maps() -> None:
    document = {"State": {"Status": "up"}, "Config": {"Env": None}}
    assert fill(Template("{{len .State}}{{range $k, $v := .State}}{{$k}}{{end}}"), document) == (
        "1Status"
    )
    for text, key in (("{{.State.No}}", "No"), ("{{.State.Health.Status}}", "Health")):
        with pytest.raises(InvalidArgument, match=f'map has no entry for key "{key}"'):
            fill(Template(text), document)


@pytest.mark.parametrize(
    ("form", "args", "text"),
    [
        ("%d", ["a"], "%!d(string=a)"),
        ("%s", [1], "%!s(int=1)"),
        ("%s", [], "%!s(MISSING)"),
        ("%s", [1, 2], "%!s(int=1)%!(EXTRA int=2)"),
        ("%", [], "%!(NOVERB)"),
        ("%*d|%-*d|", [4, 7, 3, 7], "   7|7  |"),
        ("%99999999s", ["a"], "%!(BADWIDTH)a"),
        ("%.2s|%.2f|%+d|%U|%c|%t|%T|%v|%e", ["abc", 1.0, 3, 65, 65, True, "x", None, 1.5],
         "ab|1.00|+3|U+0041|A|true|string|<nil>|1.500000e+00"),
        ("%q%v%s", [["a"], {"b": 1}, ["x", "y"]], '["a"]map[b:1][x y]'),
        ("%#x|%o|%b|%X", [255, 8, 5, "hi"], "0xff|10|101|6869"),
    ],
)  # fmt: skip
def test_printf(form: str, args: list[object], text: str) -> None:
    assert printf(form, args) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"), (0.1, "0.1"), (1e21, "1e+21"), (1e5, "100000"), (1e-5, "1e-05"), (1e6, "1e+06"),
        (123456789.5, "1.234567895e+08"), (12345.5, "12345.5"), (float("inf"), "+Inf"),
    ],
)  # fmt: skip
def test_numbers_print_as_in_go(value: float, text: str) -> None:
    assert plain(value) == text


def test_plain_values() -> None:
    assert plain({"b": 1, "a": [True, None]}) == "map[a:[true <nil>] b:1]"
    assert plain(Struct({"b": 1, "a": "x"})) == "{1 x}"


def test_tables() -> None:
    items = [{"ID": "1", "Name": "a"}, {"ID": "22", "Name": "b"}]
    heads = {"ID": "ID", "Name": "NAMES"}
    assert texts(items, heads, r"table {{.ID}}\t{{upper .Name}}") == [
        "ID        NAMES",
        "1         A",
        "22        B",
    ]
    assert texts(items, heads, "json") == ['{"ID":"1","Name":"a"}', '{"ID":"22","Name":"b"}']


@pytest.mark.parametrize(
    "text",
    [
        "{{range 100000000}}{{end}}",
        '{{define "a"}}{{template "a"}}{{end}}{{template "a"}}',
        "{{$x := `aaaaaaaa`}}{{range 30}}{{$x = print $x $x}}{{end}}",
        "{{$x := `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`}}{{range 14}}{{$x = print $x $x}}{{end}}"
        "{{range 1000}}{{$x}}{{end}}",
    ],
)
def test_bounded_in_time_depth_and_output(text: str) -> None:
    with pytest.raises((ResourceExhausted, InvalidArgument)):
        shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{" + "(" * 5000 + "1" + ")" * 5000 + "}}",
        "{{if .}}" * 5000 + "{{end}}" * 5000,
        "{{if .}}" + "{{else if .}}" * 3000 + "{{end}}",
        "x" * 70000,
    ],
)
def test_deep_and_long_templates_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"nested deeper|more than 65536"):
        Template(text)


WORDS = st.sampled_from(
    [*sorted(KEYWORDS), ".A", ".B.C", "$", "$x", ":=", "=", ",", "|", "(", ")", "1", "2.5", '"s"',
     "`r`", "'c'", "len", "index", "printf", "eq", "json", "print", "slice", " ", "{{", "}}", "-",
     "/*", "*/", "@", "é", "\n"]
)  # fmt: skip


@given(st.lists(WORDS, max_size=30).map(" ".join), st.booleans())
def test_any_words_make_a_template_or_an_error(text: str, wrapped: bool) -> None:
    with contextlib.suppress(FastboxError):
        shown("{{" + text + "}}" if wrapped else text)


@given(st.text(max_size=60))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with contextlib.suppress(FastboxError):
        shown(text)


@given(st.text(max_size=20), st.lists(st.none() | st.integers() | st.text() | st.floats()))
def test_printf_takes_anything(form: str, args: list[object]) -> None:
    assert isinstance(printf(form, args), str)


@given(st.text(st.characters(exclude_characters="`\r", exclude_categories=["Cs"])))
def test_texts_survive_quoting(text: str) -> None:
    """What %q writes is a literal of the same text."""
    assert shown("{{" + shown("{{printf `%q` .}}", text) + "}}", None) == text

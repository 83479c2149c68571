"""COPY's sources: every rule of docker about what is taken and where it lands."""

from __future__ import annotations

import pytest

from fastbox.builder.selection import Selection, select, target_path
from fastbox.errors import Conflict, InvalidArgument, NotFound


def chosen(tree, sources: str, target: str, there: str = "", **options) -> Selection:
    return select(tree, sources.split(), target, is_directory=there.split().__contains__, **options)


def landed(tree, sources: str, target: str, there: str = "", **options) -> str:
    """The targets, with "=source" where the path says something else."""
    picked = chosen(tree, sources, target, there, **options)
    return " ".join(to if source == to else f"{to}={source}" for source, to, _ in picked.entries)


@pytest.mark.parametrize(
    ("workdir", "written", "path"),
    [
        ("/", "/a", "/a"),
        ("/", "/a/", "/a/"),
        ("/w", ".", "/w/"),
        ("/w", "", "/w/"),
        ("/", ".", "/"),
        ("/w", "a/.", "/w/a/"),
        ("/w", "../../b", "/b"),
        ("/w/x", "..", "/w/"),
        ("/w", "//a//b/", "/a/b/"),
        ("", "x", "/x"),
    ],
)
def test_a_target_is_absolute_and_says_whether_it_is_a_directory(workdir, written, path) -> None:
    assert target_path(workdir, written) == path


@pytest.mark.parametrize(
    ("sources", "target", "there", "expected"),
    [
        ("f", "/x", "", "x=f"),
        ("f", "/x/", "", "x/f=f"),
        ("f", "/x", "x", "x/f=f"),
        ("f", "/", "", "f"),
        ("./f", "/", "", "f"),
        ("/f", "/", "", "f"),
        ("f/", "/x", "", "x=f"),
        ("../../f", "/x", "", "x=f"),
        ("d", "/x", "", "x/a=d/a x/s=d/s x/s/b=d/s/b"),
        ("d/", "/x/", "", "x/a=d/a x/s=d/s x/s/b=d/s/b"),
        ("d/.", "/x", "x", "x/a=d/a x/s=d/s x/s/b=d/s/b"),
        ("d/s", "/", "", "b=d/s/b"),
        ("f g", "/x/", "", "x/f=f x/g=g"),
        ("f g", "/x", "x", "x/f=f x/g=g"),
        ("d f", "/x", "", "x/a=d/a x/s=d/s x/s/b=d/s/b x/f=f"),
        ("d/s d", "/x", "", "x/b=d/s/b x/a=d/a x/s=d/s x/s/b=d/s/b"),
    ],
)
def test_where_sources_land(tree, sources, target, there, expected) -> None:
    assert landed(tree("f g d/a d/s/b"), sources, target, there) == expected


def test_the_whole_tree(tree) -> None:
    made = tree("f d/a")
    for source in (".", "/", "./", "", "d/.."):
        picked = select(made, [source], "/x/", is_directory=lambda _: False)
        assert [to for _, to, _ in picked.entries] == ["x/d", "x/d/a", "x/f"]


def test_directories_of_the_target_that_have_to_be_there(tree) -> None:
    made = tree("f d/a empty/")
    assert chosen(made, "f", "/a/b/c").directories == ["a/b"]
    assert chosen(made, "f", "/a/b/c/").directories == ["a/b/c"]
    assert chosen(made, "d", "/a/b").directories == ["a/b"]
    assert chosen(made, "f", "/x").directories == [""]
    nothing = chosen(made, "empty", "/e")
    assert (nothing.entries, nothing.directories) == ([], ["e"])


def test_the_target_is_asked_for_only_when_it_matters(tree) -> None:
    asked: list[str] = []

    def ask(path: str) -> bool:
        asked.append(path)
        return True

    made = tree("f g d/a")
    select(made, ["d"], "/x", is_directory=ask)
    select(made, ["f"], "/x/", is_directory=ask)
    assert asked == []
    select(made, ["f", "g"], "/x/y", is_directory=ask)
    assert asked == ["x/y"]


@pytest.mark.parametrize("sources", ["f g", "f*", "f d", "g* f"])
def test_several_sources_need_a_directory(tree, sources) -> None:
    with pytest.raises(InvalidArgument, match="more than one source file, the destination must be"):
        chosen(tree("f f2 g d/a"), sources, "/x")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.go", "x/a.go=a.go x/b.go=b.go"),
        ("?.go", "x/a.go=a.go x/b.go=b.go"),
        ("[^a].go", "x/b.go=b.go"),
        ("[a-c].*", "x/a.go=a.go x/b.go=b.go x/c.py=c.py"),
        ("*", "x/.dot=.dot x/a.go=a.go x/b.go=b.go x/c.py=c.py x/e=s/e x/e/f=d/e/f x/g=d/g"
              " x/e/h=s/e/h"),
        ("*/e", "x/f=d/e/f x/h=s/e/h"),
        ("d/*", "x/f=d/e/f x/g=d/g"),
        ("*/*/*", "x/f=d/e/f x/h=s/e/h"),
        ("s/../*/g", "x/g=d/g"),
        ("[[]x]", ""),
        ("none*", ""),
        ("a.go/*", ""),
    ],
)  # fmt: skip
def test_patterns(tree, pattern, expected) -> None:
    made = tree("a.go b.go c.py .dot d/g d/e/f s/e/h")
    assert landed(made, pattern, "/x/") == expected


def test_a_pattern_without_matches_is_nothing(tree) -> None:
    picked = chosen(tree("f"), "f none*", "/x/")
    assert [to for _, to, _ in picked.entries] == ["x/f"]


def test_a_pattern_whose_directory_is_missing_is_an_error(tree) -> None:
    with pytest.raises(NotFound, match='"/none": not found'):
        chosen(tree("f"), "none/*", "/x/")


@pytest.mark.parametrize("pattern", ["[", "a[", "[]a]", "*[-"])
def test_malformed_patterns(tree, pattern) -> None:
    with pytest.raises(InvalidArgument, match="syntax error in pattern"):
        chosen(tree("f"), pattern, "/x/")


LINKS = {
    "real/file": "content", "link": "->real", "up": "->../../../real", "abs": "->/real/file",
    "chain": "->abs", "dangling": "->none", "loop": "->loop", "real/inner": "->file",
    "real/back": "->../link/file", "out": "->/etc/passwd",
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("link", "x/back=real/back x/file=real/file x/inner=real/inner"),
        ("link/file", "x/file=real/file"),
        ("up/file", "x/file=real/file"),
        ("abs", "x/abs=real/file"),
        ("chain", "x/chain=real/file"),
        ("link/inner", "x/inner=real/file"),
        ("link/back", "x/back=real/file"),
        ("a*", "x/abs=real/file"),
        ("link/f*", "x/file=real/file"),
    ],
)
def test_links_of_a_source_are_followed_within_the_root(tree, source, expected) -> None:
    assert landed(tree(LINKS), source, "/x/") == expected


@pytest.mark.parametrize("source", ["dangling", "out", "link/none", "d*"])
def test_links_that_lead_nowhere_or_outside(tree, source) -> None:
    with pytest.raises(NotFound, match="not found"):
        chosen(tree(LINKS), source, "/x/")


def test_links_in_a_circle(tree) -> None:
    with pytest.raises(InvalidArgument, match="too many links"):
        chosen(tree(LINKS), "loop", "/x/")
    with pytest.raises(InvalidArgument, match="too many links"):
        chosen(tree({"a": "->b/c", "b": "->a/d"}), "a/x", "/x/")


def test_a_link_to_what_is_ignored_leads_nowhere(tree) -> None:
    with pytest.raises(NotFound) as caught:
        chosen(tree({"secret": "", "link": "->secret"}, "secret"), "link", "/x/")
    assert caught.value.hint == 'the .dockerignore file excludes "secret"'


@pytest.mark.parametrize(
    ("source", "what", "hint"),
    [
        ("redme.md", '"/redme.md": not found', 'did you mean "/readme.md"?'),
        ("README.md", '"/README.md": not found', 'did you mean "/readme.md"?'),
        ("src/man.c", '"/src/man.c": not found', 'did you mean "/src/main.c"?'),
        ("scr/main.c", '"/scr/main.c": not found', 'did you mean "/src"?'),
        ("../no", '"/no": not found', ""),
        ("readme.md/x", '"/readme.md/x": not found', '"readme.md" is not a directory'),
        ("x.log", '"/x.log": not found', 'the .dockerignore file excludes "x.log"'),
    ],
)
def test_what_is_missing_is_said_with_a_hint(tree, source, what, hint) -> None:
    with pytest.raises(NotFound) as caught:
        chosen(tree("readme.md src/main.c x.log", "*.log"), source, "/x/")
    assert (str(caught.value), caught.value.hint) == (what, hint)


@pytest.mark.parametrize(
    ("source", "exclude", "expected"),
    [
        (".", ["*.txt"], "d d/b.txt d/c"),
        (".", ["**/*.txt"], "d d/c"),
        (".", ["d"], "a.txt"),
        ("d", ["c"], "b.txt=d/b.txt"),
        (".", ["d", "!d/c"], "a.txt d d/c"),
        ("*", ["*.txt"], "c=d/c"),
        ("a.txt", ["*.txt"], "a.txt"),
        (".", ["#x", "a.txt"], "d d/b.txt d/c"),
    ],
)
def test_exclude(tree, source, exclude, expected) -> None:
    assert landed(tree("a.txt d/b.txt d/c"), source, "/", exclude=exclude) == expected


DEEP = "t/a/b/c/d/foo t/a/b/c/d/e/bay t/a/b2/c/d/e/bar t/a/b/c2/d/e/baz t/a/b/c2/d/e2/baz"


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        ("/t/a/b/./c/d", "o/c o/c/d o/c/d/e o/c/d/e/bay o/c/d/foo"),
        ("./t/a/b/c/d", "o/t o/t/a o/t/a/b o/t/a/b/c o/t/a/b/c/d o/t/a/b/c/d/e o/t/a/b/c/d/e/bay"
                        " o/t/a/b/c/d/foo"),
        ("/t/a/b/c/d/.", "o/t o/t/a o/t/a/b o/t/a/b/c o/t/a/b/c/d o/t/a/b/c/d/e"
                         " o/t/a/b/c/d/e/bay o/t/a/b/c/d/foo"),
        ("/t/a/./b/./c/d/foo", "o/b o/b/c o/b/c/d o/b/c/d/foo"),
        ("/t/a/./*/c/d/e", "o/b o/b/c o/b/c/d o/b/c/d/e o/b/c/d/e/bay o/b2 o/b2/c o/b2/c/d"
                           " o/b2/c/d/e o/b2/c/d/e/bar"),
        ("/t/a/b*/./c/**/e", "o/c o/c/d o/c/d/e o/c/d/e/bay o/c/d/e/bar"),
        ("/t/a/b/c*/./d/**/baz /t/a/b*/./c/**/bar", "o/d o/d/e o/d/e/baz o/d/e2 o/d/e2/baz o/c"
                                                    " o/c/d o/c/d/e o/c/d/e/bar"),
        ("/t/a/b9*/c", ""),
        ("/t/a/b/./c9*", ""),
    ],
)  # fmt: skip
def test_parents(tree, sources, expected) -> None:
    picked = chosen(tree(DEEP), sources, "/o/", parents=True)
    assert [to for _, to, _ in picked.entries] == expected.split()
    assert picked.directories == ["o"]


@pytest.mark.parametrize("source", ["/t/none", "/t/a/b/./none", "t/a/b/c/d/foo/x"])
def test_parents_of_what_is_missing(tree, source) -> None:
    with pytest.raises(NotFound, match="not found"):
        chosen(tree(DEEP), source, "/o/", parents=True)


def test_of_two_sources_the_last_one_wins(tree) -> None:
    assert landed(tree("a/x a/y b/x"), "a b", "/") == "x=b/x y=a/y"


@pytest.mark.parametrize("sources", ["a b", "b a"])
def test_a_file_and_a_directory_of_one_name_conflict(tree, sources) -> None:
    with pytest.raises(Conflict):
        chosen(tree("a/x b/x/y"), sources, "/")

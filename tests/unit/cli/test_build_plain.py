"""A build as lines for logs: recorded events, compared whole."""

from __future__ import annotations

from fastbox.builds import Event
from fastbox.cli.render.build_plain import Plain


class Page:
    def __init__(self) -> None:
        self.now, self.text = 100.0, ""
        self.plain = Plain(self.write, lambda: self.now)

    def write(self, text: str) -> None:
        self.text += text

    def tell(self, kind: str, step: int, at: float = -1.0, **members: object) -> None:
        self.now = 100.0 + at if at >= 0 else self.now
        self.plain.tell(Event(kind=kind, step=step, **members))


def test_steps_one_after_the_other() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="[internal] load build definition from Dockerfile")
    page.tell("progress", 1, text="transferring dockerfile", current=98, total=98)
    page.tell("done", 1, 0.01)
    page.tell("start", 2, name="[1/3] FROM busybox")
    page.tell("done", 2, cached=True)
    page.tell("start", 3, 0.5, name="[2/3] RUN make")
    page.tell("output", 3, 0.623, data=b"hello\nwor")
    page.tell("output", 3, 0.7, data=b"ld\n", stream=1)
    page.tell("output", 3, 0.75, data=b"no newline")
    page.tell("done", 3, 0.8, seconds=0.3)
    page.tell("start", 4, name="[3/3] RUN false")
    page.tell("done", 4, error="exit code: 1\x1b[2J")
    page.tell("start", 5, name="[other 1/1] RUN sleep")
    page.tell("done", 5, canceled=True)
    page.plain.end()
    assert page.text == (
        "#1 [internal] load build definition from Dockerfile\n"
        "#1 transferring dockerfile 98B done\n"
        "#1 DONE 0.0s\n"
        "\n"
        "#2 [1/3] FROM busybox\n"
        "#2 CACHED\n"
        "\n"
        "#3 [2/3] RUN make\n"
        "#3 0.123 hello\n"
        "#3 0.200 world\n"
        "#3 0.300 no newline\n"
        "#3 DONE 0.3s\n"
        "\n"
        "#4 [3/3] RUN false\n"
        "#4 ERROR: exit code: 1\\x1b[2J\n"
        "\n"
        "#5 [other 1/1] RUN sleep\n"
        "#5 CANCELED\n"
    )
    assert [vertex.number for vertex in page.plain.vertices.failed()] == [4]


def test_steps_at_once_take_turns() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="[a 1/1] RUN a")
    page.tell("start", 2, 0.0, name="[b 1/1] RUN b")
    page.tell("output", 1, 0.1, data=b"a1\n")
    page.tell("output", 2, 0.2, data=b"b1\n")
    page.tell("output", 1, 0.3, data=b"a2\n")
    before = page.text
    assert "b1" not in before
    page.now = 101.4  # a has said nothing for more than a second
    page.plain.tick()
    page.tell("output", 1, 1.5, data=b"a3\n")
    page.tell("done", 2, 1.6)
    page.tell("done", 1, 1.7)
    page.plain.end()
    assert page.text == (
        "#1 [a 1/1] RUN a\n"
        "#1 0.100 a1\n"
        "#1 0.300 a2\n"
        "#1 ...\n"
        "\n"
        "#2 [b 1/1] RUN b\n"
        "#2 0.200 b1\n"
        "#2 DONE 1.6s\n"
        "\n"
        "#1 [a 1/1] RUN a\n"
        "#1 1.500 a3\n"
        "#1 DONE 1.7s\n"
    )


def test_nobody_holds_the_page_for_long() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="chatty")
    page.tell("start", 2, 0.0, name="quiet")
    page.tell("output", 2, 0.0, data=b"me\n")
    for tenth in range(60):
        page.tell("output", 1, tenth / 10, data=b"x\n")
    assert "#2 0.000 me\n" in page.text


def test_what_waits_is_bounded() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="holder")
    page.tell("start", 2, 0.0, name="flood")
    page.tell("output", 2, 0.0, data=b"x\n" * 5000)
    assert page.text.count("#2 0.000 x\n") == 5000


def test_what_waits_at_the_end_is_printed() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="one")
    page.tell("start", 2, 0.0, name="two")
    page.tell("output", 2, 0.1, data=b"last words\n")
    page.plain.end()
    assert page.text.endswith("#1 ...\n\n#2 two\n#2 0.100 last words\n")


def test_a_long_transfer_says_so_now_and_then() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="[internal] load build context")
    for second in range(13):
        page.tell("progress", 1, float(second), text="transferring", current=second, total=12)
    page.tell("done", 1, 12.0)
    assert page.text.splitlines()[1:] == [
        "#1 transferring 5B / 12B 5.0s",
        "#1 transferring 10B / 12B 10.0s",
        "#1 transferring 12B 12.0s done",
        "#1 DONE 12.0s",
    ]


def test_parts_without_a_size_end_with_the_next_one() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="exporting to image")
    page.tell("progress", 1, 0.0, text="exporting layers")
    page.tell("progress", 1, 2.0, text="writing image sha256:ab")
    page.tell("progress", 1, 2.0, text="naming to x", seconds=0.2)
    page.tell("done", 1, 2.3)
    assert page.text.splitlines()[1:] == [
        "#1 exporting layers 2.0s done",
        "#1 writing image sha256:ab done",
        "#1 naming to x 0.2s done",
        "#1 DONE 2.3s",
    ]


def test_an_event_of_an_unknown_step_and_one_of_none() -> None:
    page = Page()
    page.tell("output", 7, 0.0, data=b"hi\n")
    page.tell("warning", 0, text="careful", line=3)
    page.plain.end()
    assert page.text == "#7 step 7\n#7 0.000 hi\n"
    assert page.plain.vertices.warnings == [("careful", 3)]


def test_names_do_nothing_to_a_terminal() -> None:
    page = Page()
    page.tell("start", 1, 0.0, name="[1/1] RUN printf '\x1b[2J\n'")
    assert page.text == "#1 [1/1] RUN printf ' '\n"

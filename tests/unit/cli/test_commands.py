"""The other commands over an engine that takes notes."""

from __future__ import annotations

import json

import pytest

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["stop", "a"], ("stop", ("a",), {"timeout": None, "signal": None})),
        (
            ["stop", "-t", "3", "-s", "INT", "a"],
            ("stop", ("a",), {"timeout": 3.0, "signal": "INT"}),
        ),
        (["stop", "a", "--time=0"], ("stop", ("a",), {"timeout": 0.0, "signal": None})),
        (["kill", "a"], ("kill", ("a", "KILL"), {})),
        (["kill", "-s", "9", "a"], ("kill", ("a", "9"), {})),
        (["rm", "a", "-f"], ("remove", ("a",), {"force": True, "volumes": False})),
        (["container", "rm", "a", "-v"], ("remove", ("a",), {"force": False, "volumes": True})),
        (["start", "a"], ("start", ("a",), {})),
    ],
)
def test_commands_on_many(shell, words: list[str], call: tuple) -> None:
    assert shell(*words) == 0
    assert shell.containers.calls == [call]
    assert shell.out == "a\n"
    assert shell(*words, "missing", "c") == (0 if "-f" in words else 1)
    assert shell.out == "a\nc\n"
    assert shell.err == "fastbox: missing: no such thing\n"


def test_rm_force_of_what_is_not_there(shell) -> None:
    assert shell("rm", "-f", "missing", "a") == 0
    assert (shell.out, shell.err) == ("a\n", "fastbox: missing: no such thing\n")


def test_wait(shell) -> None:
    shell.containers.answers["wait"] = 137
    assert shell("wait", "a", "missing", "b") == 1
    assert shell.out == "137\n137\n"


def test_rename_and_tag(shell) -> None:
    assert shell("rename", "a", "b") == 0
    assert shell("image", "tag", "c", "d") == 0
    assert shell.containers.calls == [("rename", ("a", "b"), {})]
    assert shell.images.calls == [("tag", ("c", "d"), {})]


def test_rmi(shell, container) -> None:
    shell.images.answers["remove"] = ["Untagged: a", "Deleted: sha256:x"]
    shell.containers.answers["list"] = [container(), container(image_id="other")]
    assert shell("rmi", "-f", "a") == 0
    assert shell.out == "Untagged: a\nDeleted: sha256:x\n"
    name, args, options = shell.images.calls[0]
    assert (name, args, options["force"]) == ("remove", ("a",), True)
    assert options["in_use"]("sha256:" + "ab" * 32) == [ID]
    assert options["running"]("sha256:" + "ab" * 32) == [ID]
    assert shell("rmi", "-f", "missing") == 0  # as docker
    assert shell("rmi", "missing", "a") == 1


def test_bad_signal_and_timeout(shell) -> None:
    assert shell("kill", "-s", "nope", "a") == 125
    assert shell("stop", "-t", "soon", "a") == 125
    assert not shell.containers.calls


def test_ps_is_dockers_table(shell, container, monkeypatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1767323045.0 + 600)
    shell.containers.answers["list"] = [
        container(
            name="newest",
            state="created",
            created="2026-01-02T03:14:05Z",
            image="sha256:" + "ab" * 32,
        ),
        container(),
        container(
            name="gone",
            state="exited",
            exit_code=3,
            finished="2026-01-02T03:14:00Z",
            command=("true",),
        ),
    ]
    assert shell("ps", "-a") == 0
    assert shell.out.splitlines() == [
        "CONTAINER ID   IMAGE            COMMAND                  CREATED                  STATUS                     PORTS     NAMES",
        '0123456789ab   abababababab     "sh -c \'echo hi; sle…"   Less than a second ago   Created                              newest',
        '0123456789ab   busybox:latest   "sh -c \'echo hi; sle…"   9 minutes ago            Up 9 minutes                         happy',
        '0123456789ab   busybox:latest   "true"                   9 minutes ago            Exited (3) 5 seconds ago             gone',
    ]
    asked = {"all": True, "filters": [], "last": -1, "size": False}
    assert shell.containers.calls == [("list", (), asked)]


def test_ps_options(shell, container) -> None:
    shell.containers.answers["list"] = [container(id=str(i) * 64) for i in (3, 2)]
    asked = {"all": False, "filters": [], "last": -1, "size": False}
    shell("ps", "-q")
    assert shell.out == "333333333333\n222222222222\n"
    assert shell.containers.calls.pop() == ("list", (), asked)
    shell("container", "ls", "-lq", "--no-trunc", "-f", "name=a")
    assert shell.out == "3" * 64 + "\n" + "2" * 64 + "\n"
    assert shell.containers.calls.pop()[2] == asked | {"last": 1, "filters": ["name=a"]}
    shell("ps", "-n", "2", "--format", "{{.ID}}={{.Names}}")
    assert shell.out == "333333333333=happy\n222222222222=happy\n"
    shell("ps", "-q", "--format", "{{.Names}}")
    assert shell.out == "333333333333\n222222222222\n"
    assert "WARNING: Ignoring custom format" in shell.err
    shell.containers.answers["list"] = [container(size=0, size_root=4262000, state="paused")]
    shell("ps", "--format", "{{.Size}} {{.Label `a`}}{{.Label `no`}}")
    assert shell.out == "0B (virtual 4.26MB) 1\n"
    assert shell.containers.calls.pop()[2]["size"] is True
    shell("ps", "--format", r"table {{.Names}}\t{{.Labels}}", "-l")
    assert shell.out == "NAMES     LABELS\nhappy     a=1,b=2\n"
    shell("ps", "--format", r'table {{upper .Names}}\t{{.Label "com.x.b-c"}}')
    assert shell.out == "NAMES     b c\nHAPPY     \n"
    shell("ps", "--format", "json", "-l")
    assert json.loads(shell.out)["Image"] == "busybox:latest"
    assert shell("ps", "--format", "{{.Nope}}") == 125
    assert 'executing "" at <.Nope>: can\'t evaluate field Nope' in shell.err


def test_ps_escapes_what_a_command_says(shell, container) -> None:
    shell.containers.answers["list"] = [container(command=('a\x1b[2J\n"',))]
    shell("ps")
    assert r'"a\x1b[2J\n\""' in shell.out


def test_images_is_dockers_table(shell, image, monkeypatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1767323045.0 + 3 * 86400)
    shell.images.answers["list"] = [
        image(),
        image(repository="<none>", tag="<none>", created="", size=0),
    ]
    assert shell("images") == 0
    assert shell.out.splitlines() == [
        "REPOSITORY   TAG       IMAGE ID       CREATED      SIZE",
        "busybox      latest    abababababab   3 days ago   4.26MB",
        "<none>       <none>    abababababab   N/A          0B",
    ]
    assert shell("images", "-q", "--no-trunc", "busy*") == 0
    assert shell.out == ("sha256:" + "ab" * 32 + "\n") * 2  # one for each line, as docker
    assert shell.images.calls[-1] == ("list", ("busy*",), {"all": False, "filters": []})
    assert shell("images", "--digests") == 0
    assert "DIGEST" in shell.out


def test_inspect(shell) -> None:
    shell.containers.answers["inspect"] = {
        "Id": "a",
        "State": {"Running": True, "Pid": 5},
        "Args": ["x", "y"],
    }
    assert shell("inspect", "a", "b") == 0
    assert [item["Id"] for item in json.loads(shell.out)] == ["a", "a"]
    assert (
        shell("inspect", "-f", "{{.State.Running}} {{.State.Pid}} {{.Args}} {{json .State}}", "a")
        == 0
    )
    assert shell.out == 'true 5 [x y] {"Running":true,"Pid":5}\n'
    assert shell("inspect", "missing") == 1
    assert shell.out == "[]\n"
    assert shell.err.startswith("fastbox: missing: no such container, image, network or volume\n")
    assert shell("image", "inspect", "missing") == 1
    assert shell.images.calls[-1][0] == "inspect"
    shell.volumes.answers["inspect"] = {"Name": "a"}
    assert shell("inspect", "--type", "volume", "-f", "{{.Name}}", "a") == 0
    assert shell.out == "a\n"
    shell.networks.answers["inspect"] = {"Name": "n"}
    assert shell("inspect", "--type", "network", "-f", "{{.Name}}", "a") == 0
    assert shell.out == "n\n"
    assert shell("inspect", "--type", "secret", "a") == 125


def test_exec(shell, ended) -> None:
    attachment = shell.containers.answers["exec_attached"] = ended("exit", 7)
    assert shell("exec", "-u", "1", "-w", "/", "-e", "A=1", "-i", "a", "sh", "-c", "-x") == 7
    assert shell.containers.calls[0] == (
        "exec_attached",
        ("a", ["sh", "-c", "-x"]),
        {"env": ("A=1",), "user": "1", "workdir": "/", "tty": False, "interactive": True,
         "privileged": False, "rows": 0, "columns": 0},
    )  # fmt: skip
    assert attachment.closed
    assert shell("exec", "-d", "a", "true") == 0
    assert shell.containers.calls[1][0] == "exec_detached"
    assert shell.out == ""
    assert shell("exec", "a") == 125


def test_attach_and_start(shell, ended) -> None:
    shell.containers.answers |= {"attach": ended("exit", 3), "start_again": ended("exit", 3)}
    assert shell("attach", "a") == 3
    assert shell("start", "-a", "a") == 3
    assert shell.containers.calls[-1][2]["interactive"] is False
    assert shell("start", "-i", "a") == 3
    assert shell.containers.calls[-1][2]["interactive"] is True
    assert shell("start", "-a", "a", "b") == 125
    assert shell("attach", "missing") == 125


class Log:
    """A log of which there are two blocks."""

    def __init__(self) -> None:
        self.blocks = [[(1, b"one\n"), (2, b"two\n")], [], [(1, b"thr\xffee")]]
        self.given: list[dict[str, bool]] = []
        self.waited = 0

    @property
    def ended(self) -> bool:
        return not self.blocks

    def text_ready(self, **given: bool) -> list[tuple[int, bytes]]:
        self.given.append(given)
        return self.blocks.pop(0)

    def wait(self) -> None:
        self.waited += 1

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_logs(shell) -> None:
    log = shell.containers.answers["open_log"] = Log()
    assert shell("logs", "-ft", "--tail", "5", "a") == 0
    assert (shell.out, shell.err) == ("one\nthr\ufffdee", "two\n")
    assert log.waited == 1
    assert log.given[0] == {"timestamps": True, "details": False}
    assert shell.containers.calls == [
        ("open_log", ("a",), {"follow": True, "tail": 5, "since": None, "until": None})
    ]
    until = "2026-01-02T04:04:06.5+01:00"
    assert shell("logs", "--since", "10m", "--until", until, "-n", "-1", "--details", "a") == 0
    assert shell.containers.calls[-1][2] == {
        "follow": False, "tail": None, "since": "10m", "until": until,
    }  # fmt: skip
    assert shell("logs", "--tail", "many", "a") == 125
    assert shell("logs", "--since", "yesterday", "a") == 125


def test_load_and_import(shell) -> None:
    shell.images.answers |= {"load": ["Loaded image: a:1"], "import_tar": "sha256:x"}
    assert shell("load", "-q", "-i", "/a.tar") == 0
    assert shell.out == "Loaded image: a:1\n"
    assert shell.images.calls[0] == ("load", ("/a.tar",), {"progress": None, "platform": ""})
    assert shell("import", "-q", "-c", "CMD a", "-m", "b", "-", "n:t") == 0
    assert shell.images.calls[1] == (
        "import_tar",
        (0, "n:t"),
        {"changes": ["CMD a"], "message": "b", "platform": "", "progress": None},
    )
    assert shell("load", "-i", "/a.tar") == 0
    assert callable(shell.images.calls[2][2]["progress"])
    assert shell("import", "http://x/y") == 125
    assert shell.out == ""


def test_info(shell, container, image) -> None:
    shell.containers.answers["list"] = [container(), container(state="exited")]
    shell.images.answers["list"] = [image(), image(tag="other")]
    assert shell("info", "-f", "{{.Containers}} {{.ContainersRunning}} {{.Images}} {{.Root}}") == 0
    assert shell.out.startswith("2 1 1 /")
    assert shell("info") == 0
    assert "Cgroups:" in shell.out

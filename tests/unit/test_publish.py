"""Ports as people write them and as they are shown; the words of errors are docker's."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastbox.errors import InvalidArgument, NotFound
from fastbox.support import portwords as ports
from fastbox.support.portwords import Binding, publish


def short(*specs: str, **more: object) -> list[str]:
    """`host|first-last>port/protocol` of each."""
    return [f"{p.host}|{p.first}-{p.last}>{p.port}/{p.protocol}" for p in publish(specs, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("80", ["|0-0>80/tcp"]),
        ("80/udp", ["|0-0>80/udp"]),
        ("80/", ["|0-0>80/tcp"]),
        ("80/SCTP", ["|0-0>80/sctp"]),
        ("8080:80", ["|8080-8080>80/tcp"]),
        ("0:80", ["|0-0>80/tcp"]),
        (":80", ["|0-0>80/tcp"]),
        ("127.0.0.1:8080:80", ["127.0.0.1|8080-8080>80/tcp"]),
        ("127.0.0.1::80", ["127.0.0.1|0-0>80/tcp"]),
        ("0.0.0.0:8080:80/udp", ["0.0.0.0|8080-8080>80/udp"]),
        ("[::1]:8080:80", ["::1|8080-8080>80/tcp"]),
        ("[::]::80", ["::|0-0>80/tcp"]),
        ("::1:8080:80", ["::1|8080-8080>80/tcp"]),
        ("[2001:DB8:0::1]:8080:80", ["2001:db8::1|8080-8080>80/tcp"]),
        ("8000-8010:80", ["|8000-8010>80/tcp"]),
        ("127.0.0.1:8000-8010:80", ["127.0.0.1|8000-8010>80/tcp"]),
        ("8000-8002:80-82/udp", [f"|{8000 + i}-{8000 + i}>{80 + i}/udp" for i in range(3)]),
        ("80-82", [f"|0-0>{80 + i}/tcp" for i in range(3)]),
        ("127.0.0.1::80-81", ["127.0.0.1|0-0>80/tcp", "127.0.0.1|0-0>81/tcp"]),
        ("65535:65535", ["|65535-65535>65535/tcp"]),
        ("published=8080,target=80,protocol=tcp", ["|8080-8080>80/tcp"]),
        ("target=80", ["|0-0>80/tcp"]),
        ("published=8080,target=80,protocol=udp,mode=host", ["|8080-8080>80/udp"]),
    ],
)
def test_forms(spec: str, expected: list[str]) -> None:
    assert short(spec) == expected


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ("", "no port specified: <empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("x", "invalid containerPort: x"),
        ("8080:x", "invalid containerPort: x"),
        ("8080:0", "invalid containerPort: 0"),
        ("8080:65536", "invalid containerPort: 65536"),
        ("8080:-1", "invalid containerPort: -1"),
        ("8080:٣", "invalid containerPort: ٣"),
        ("90-80", "invalid containerPort: 90-80"),
        ("x:80", "invalid hostPort: x"),
        ("65536:80", "invalid hostPort: 65536"),
        ("0-3:80", "invalid hostPort: 0-3"),
        ("8010-8000:80", "invalid hostPort: 8010-8000"),
        ("80/xyz", "invalid proto: xyz"),
        (
            "8000-8003:80-82",
            "invalid ranges specified for container and host Ports: 80-82 and 8000-8003",
        ),
        ("8000:80-82", "invalid ranges specified for container and host Ports: 80-82 and 8000"),
        ("1.2.3:8080:80", "invalid IP address: 1.2.3"),
        ("localhost:8080:80", "invalid IP address: localhost"),
        ("[::1:8080:80", "invalid IP address: [::1"),
        ("fe80::1%eth0:8080:80", "invalid IP address: fe80::1%eth0"),
        (
            "published=1,target",
            "invalid publish opts format (should be name=value but got 'target')",
        ),
        ("published=1,=2", "invalid publish opts format (should be name=value but got '=2')"),
        ("published=8080", "no port specified: 8080:/tcp<empty>"),
    ],
)
def test_errors(spec: str, error: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        publish([spec])
    assert caught.value.what == error
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_publish_all() -> None:
    exposed = ["80/tcp", "53/udp", "90-91/tcp"]
    assert short(publish_all=True, exposed=exposed) == [
        "|0-0>53/udp", "|0-0>80/tcp", "|0-0>90/tcp", "|0-0>91/tcp",
    ]  # fmt: skip
    # what is published already keeps its own place
    assert short("8080:80", publish_all=True, exposed=exposed, expose=["80", "7000-7001/sctp"]) == [
        "|8080-8080>80/tcp", "|0-0>53/udp", "|0-0>90/tcp", "|0-0>91/tcp", "|0-0>7000/sctp", "|0-0>7001/sctp",
    ]  # fmt: skip
    assert short(publish_all=False, exposed=exposed, expose=["80"]) == []


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("8080:80", "invalid port format for --expose: 8080:80"),
        ("", "invalid range format for --expose: , error: empty string specified for ports"),
        (
            "90-80",
            "invalid range format for --expose: 90-80, error: invalid range specified for port: 90-80",
        ),
        ("x/tcp", "invalid range format for --expose: x/tcp, error: invalid port: x"),
        ("80/x", "invalid proto: x"),
    ],
)
def test_expose_errors(text: str, error: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        publish([], expose=[text])
    assert caught.value.what == error


def test_to_document() -> None:
    wanted = publish(["8080:80", "127.0.0.1:8000-8010:81/udp"])
    assert ports.to_document(wanted, "172.17.0.2", "fd00::2") == [
        {
            "protocol": "tcp",
            "hosts": ["0.0.0.0", "::"],
            "first": 8080,
            "last": 8080,
            "port": 80,
            "address": "172.17.0.2",
            "address6": "fd00::2",
        },
        {
            "protocol": "udp",
            "hosts": ["127.0.0.1"],
            "first": 8000,
            "last": 8010,
            "port": 81,
            "address": "172.17.0.2",
            "address6": "fd00::2",
        },
    ]
    assert ports.to_document(wanted[:1], "172.17.0.2", "", binding="192.0.2.1")[0]["hosts"] == [
        "192.0.2.1"
    ]


def live(*texts: str) -> tuple[Binding, ...]:
    """From `protocol host host_port port`."""
    rows = []
    for text in texts:
        protocol, host, outer, inner = text.split()
        rows.append(
            {"protocol": protocol, "host": host, "host_port": int(outer), "port": int(inner)}
        )
    return ports.bindings(rows)


@pytest.mark.parametrize(
    ("rows", "exposed", "expected"),
    [
        ([], [], ""),
        ([], ["80/tcp", "81/tcp", "53/udp"], "53/udp, 80-81/tcp"),
        (
            ["tcp 0.0.0.0 8080 80", "tcp :: 8080 80"],
            ["80/tcp"],
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        ),
        (["tcp 127.0.0.1 8080 80"], ["80/tcp", "90/tcp"], "90/tcp, 127.0.0.1:8080->80/tcp"),
        (
            [f"tcp 0.0.0.0 {n} {n}" for n in (80, 81, 82, 90)],
            [],
            "0.0.0.0:80-82->80-82/tcp, 0.0.0.0:90->90/tcp",
        ),
        (
            [
                f"{p} {h} {n} {n}"
                for n in (80, 81)
                for h in ("0.0.0.0", "::")
                for p in ("tcp", "udp")
            ],
            [],
            "0.0.0.0:80-81->80-81/tcp, 0.0.0.0:80-81->80-81/udp, [::]:80-81->80-81/tcp, [::]:80-81->80-81/udp",
        ),
        (
            [f"tcp 0.0.0.0 {n + 8000} {n}" for n in (80, 81)],
            [],
            "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp",
        ),
        (
            ["tcp 0.0.0.0 80 80", "tcp 0.0.0.0 8080 80"],
            [],
            "0.0.0.0:80->80/tcp, 0.0.0.0:8080->80/tcp",
        ),
    ],
)
def test_show(rows: list[str], exposed: list[str], expected: str) -> None:
    assert ports.show(live(*rows), exposed) == expected


def test_lines() -> None:
    published = live("tcp :: 8080 80", "tcp 0.0.0.0 8080 80", "udp 0.0.0.0 5353 53")
    assert ports.lines(published) == [
        "53/udp -> 0.0.0.0:5353",
        "80/tcp -> 0.0.0.0:8080",
        "80/tcp -> [::]:8080",
    ]
    assert ports.lines(published, "80") == ["0.0.0.0:8080", "[::]:8080"]
    assert ports.lines(published, "53/udp") == ["0.0.0.0:5353"]
    with pytest.raises(NotFound, match=r"^no public port '81' published for web$"):
        ports.lines(published, "81", name="web")
    with pytest.raises(InvalidArgument):
        ports.lines(published, "x")


def test_it_costs_a_start_nothing() -> None:
    """The first address is the only thing that loads a module, and that one is built in."""
    code = (
        "import sys\nfrom fastbox.support import portwords as ports\nports.publish(['127.0.0.1:80:80'])\n"
        "print(*sorted(m for m in sys.modules if m in ('socket', 'ipaddress', 're', 'enum', 'dataclasses', 'typing')))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == []

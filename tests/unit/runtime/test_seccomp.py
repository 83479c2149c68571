"""The filter and the capabilities it depends on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fastbox.errors import FastboxError, InvalidArgument
from fastbox.runtime import capabilities, seccomp


def profile(*add: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(seccomp.default_profile(capabilities.effective(add)))
    return found


def names(found: dict[str, Any]) -> list[str]:
    return [name for rule in found["syscalls"] if "args" not in rule for name in rule["names"]]


def test_every_name_once() -> None:
    plain = names(profile())
    assert len(plain) == len(set(plain))
    everything = names(json.loads(seccomp.default_profile(capabilities.NAMES)))
    assert len(everything) == len(set(everything))
    assert len(plain) > 340


def test_what_is_refused() -> None:
    refused = {
        "io_uring_setup", "io_uring_enter", "io_uring_register", "keyctl", "add_key", "request_key", "bpf", "mount",
        "unshare", "setns", "kexec_load", "open_by_handle_at", "perf_event_open", "userfaultfd", "init_module", "reboot",
        "swapon", "socketcall", "iopl", "pivot_root", "umount2", "syslog", "clock_settime", "personality", "clone",
    }  # fmt: skip
    assert refused.isdisjoint(names(profile()))


def test_rules_with_arguments() -> None:
    rules = [rule for rule in profile()["syscalls"] if "args" in rule]
    families = [rule["args"][0]["value"] for rule in rules if rule["names"] == ["socket"]]
    assert families == [1, 2, 10, 16, 17]
    assert all(
        rule["args"][0]["op"] == "SCMP_CMP_EQ" for rule in rules if rule["names"] == ["socket"]
    )
    (clone,) = [rule for rule in rules if rule["names"] == ["clone"]]
    assert clone["args"] == [{"index": 0, "value": 0x7E020000, "op": "SCMP_CMP_MASKED_EQ"}]
    (clone3,) = [rule for rule in profile()["syscalls"] if rule["names"] == ["clone3"]]
    assert (clone3["action"], clone3["errnoRet"]) == ("SCMP_ACT_ERRNO", 38)


def test_capabilities_add_calls() -> None:
    found = profile("SYS_ADMIN", "SYSLOG", "bpf")
    assert {"mount", "unshare", "clone", "clone3", "bpf", "syslog"} <= set(names(found))
    assert [rule for rule in found["syscalls"] if rule["names"] == ["clone3"]] == []
    assert "chroot" in names(profile())
    assert "chroot" not in names(
        json.loads(seccomp.default_profile(capabilities.effective(drop=["SYS_CHROOT"])))
    )


def test_capability_arithmetic() -> None:
    assert capabilities.effective() == list(capabilities.DEFAULT)
    assert capabilities.effective(["net_admin"], ["all"]) == ["CAP_NET_ADMIN"]
    assert capabilities.effective([], ["ALL"]) == []
    assert "CAP_CHOWN" not in capabilities.effective(["ALL"], ["cap_chown"])
    assert set(capabilities.effective(["ALL"])) == set(capabilities.owned())
    assert capabilities.effective(["CHOWN"], ["CHOWN"]).count("CAP_CHOWN") == 1
    assert len(capabilities.NAMES) == 41
    with pytest.raises(InvalidArgument):
        capabilities.effective(["SYS_NOTHING"])


def test_a_profile_of_the_user(tmp_path: Path) -> None:
    document = {
        "defaultAction": "SCMP_ACT_ERRNO", "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        ],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW", "comment": "x"},
            {"name": "write", "action": "SCMP_ACT_ALLOW", "args": []},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["old"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"}},
            {"names": ["new"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
            {"names": ["odd"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["mips"]}},
        ],
    }  # fmt: skip
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(document))
    found = json.loads(seccomp.load_profile(str(path), capabilities.DEFAULT))
    assert names(found) == ["read", "write", "clone", "new"]
    if os.uname().machine == "x86_64":
        assert found["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert names(json.loads(seccomp.load_profile(json.dumps(document), ["CAP_SYS_ADMIN"]))) == [
        "read", "write", "mount", "new",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "{", "{}", '{"defaultAction":"x","syscalls":1}', '{"defaultAction":"x","syscalls":[1]}',
        '{"defaultAction":"x","syscalls":[{"names":["a"],"action":"b","includes":{"moon":1}}]}',
        '{"defaultAction":"x","syscalls":[{}]}', '{"defaultAction":"x","listenerPath":"/x"}',
    ],
)  # fmt: skip
def test_damaged_profiles(text: str) -> None:
    with pytest.raises(InvalidArgument):
        seccomp.load_profile(text, ())


def test_a_missing_profile_and_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "missing", tmp_path, tmp_path / "fifo"):
        with pytest.raises(FastboxError):
            seccomp.load_profile(str(path), ())

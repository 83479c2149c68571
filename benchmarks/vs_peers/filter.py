"""An OCI seccomp profile to BPF bytes, a balanced tree: what the floor and bubblewrap load."""

from __future__ import annotations

import ctypes
import os
from typing import Any

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
OPERATORS = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
OPTIMIZE = 8  # SCMP_FLTATR_CTL_OPTIMIZE
EPERM = 1


class Comparison(ctypes.Structure):
    """struct scmp_arg_cmp."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def _action(name: str, errno: int | None) -> int:
    value = ACTIONS[name]
    return value | (EPERM if errno is None else errno) if name == "SCMP_ACT_ERRNO" else value


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    for name in ("attr_set", "arch_add", "rule_add_array", "export_bpf", "release"):
        getattr(library, f"seccomp_{name}").argtypes = None
    return library


def _add_rule(library: ctypes.CDLL, context: ctypes.c_void_p, rule: dict[str, Any]) -> None:
    args = rule.get("args") or []
    compare = (Comparison * max(len(args), 1))()
    for i, arg in enumerate(args):
        operator = OPERATORS.index(arg["op"].removeprefix("SCMP_CMP_"))
        compare[i] = Comparison(arg["index"], operator, arg["value"], arg.get("valueTwo", 0))
    action = ctypes.c_uint32(_action(rule["action"], rule.get("errnoRet")))
    for name in rule["names"]:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number != -1:  # a call this libseccomp doesn't know yet
            library.seccomp_rule_add_array(context, action, number, len(args), compare)


def compile_filter(profile: dict[str, Any], path: str) -> int:
    """Write the program of `profile` (a linux.seccomp) to `path`; returns its instructions."""
    library = _library()
    default = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    context = ctypes.c_void_p(library.seccomp_init(default))
    library.seccomp_attr_set(context, OPTIMIZE, 2)
    for name in profile.get("architectures") or []:
        token = library.seccomp_arch_resolve_name(name.removeprefix("SCMP_ARCH_").lower().encode())
        library.seccomp_arch_add(context, ctypes.c_uint32(token))
    for rule in profile.get("syscalls") or []:
        _add_rule(library, context, rule)
    with open(path, "wb") as file:
        failed = library.seccomp_export_bpf(context, file.fileno())
    library.seccomp_release(context)
    if failed:
        raise OSError(-failed, os.strerror(-failed), path)
    return os.path.getsize(path) // 8

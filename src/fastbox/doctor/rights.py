"""What the caller may do: rights, limits, security modules, and user namespaces for those without
rights.
"""

from __future__ import annotations

import errno
import os

from fastbox.doctor.check import FALLBACK, MISSING, OK, Check, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_RIGHTS, _USERS = "Rights", "User namespaces"
# By number (linux/capability.h): what a start takes, and what a container gets besides.
_NEEDED = {
    0: "CHOWN", 1: "DAC_OVERRIDE", 3: "FOWNER", 4: "FSETID", 5: "KILL", 6: "SETGID", 7: "SETUID",
    8: "SETPCAP", 12: "NET_ADMIN", 18: "SYS_CHROOT", 21: "SYS_ADMIN", 31: "SETFCAP",
}  # fmt: skip
_GIVEN = {10: "NET_BIND_SERVICE", 13: "NET_RAW", 27: "MKNOD", 29: "AUDIT_WRITE"}
_GIVE = "start fastbox with {}: not under a service manager or in a container that drops it"


def checks(results: Mapping[str, int]) -> list[Check]:
    """Root, its rights, limits that can be raised, security modules."""
    status = _status()
    return [
        _root(),
        *_capabilities(status),
        _limit(results),
        _oom_score(results),
        _no_new_privileges(status),
        *_modules(),
    ]


def _status() -> dict[str, str]:
    lines = (line.partition(":") for line in read("/proc/self/status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _root() -> Check:
    check = Check(group=_RIGHTS, name="root", state=OK, required=True)
    if os.geteuid() == 0:
        return check
    return check.replace(
        state=MISSING,
        detail="fastbox needs root's rights; what follows was tried in a user namespace",
        mend="run it with sudo, or as root",
    )


def _capabilities(status: Mapping[str, str]) -> list[Check]:
    """In a user namespace of its own an unprivileged caller would have them all: no line then."""
    if os.geteuid() != 0:
        return []
    held = int(status.get("CapEff", "0"), 16) & int(status.get("CapBnd", "0"), 16)
    needed = [name for number, name in _NEEDED.items() if not held >> number & 1]
    given = [name for number, name in _GIVEN.items() if not held >> number & 1]
    found = Check(group=_RIGHTS, name="capabilities", state=OK, required=True)
    if needed:
        names = ", ".join("CAP_" + name for name in needed)
        lost = f"a start takes {names}, which this caller lacks"
        found = found.replace(state=MISSING, detail=lost, mend=_GIVE.format(names))
    elif given:
        names = ", ".join("CAP_" + name for name in given)
        lost = f"containers go without {names}"
        found = found.replace(state=FALLBACK, detail=lost, mend=_GIVE.format(names))
    return [found]


def _limit(results: Mapping[str, int]) -> Check:
    code = results.get("rlimit", errno.EINTR)
    check = Check(group=_RIGHTS, name="raise resource limits", state=OK)
    if code == 0:
        return check
    return check.replace(
        state=FALLBACK,
        detail="a --ulimit above the caller's own hard limit is cut to that",
        mend=_GIVE.format("CAP_SYS_RESOURCE"),
    )


def _oom_score(results: Mapping[str, int]) -> Check:
    code = results.get("oom_score", errno.EINTR)
    check = Check(group=_RIGHTS, name="lower oom_score_adj", state=OK)
    if code == 0:
        return check
    return check.replace(
        state=FALLBACK,
        detail="a score below the caller's own stays as it is",
        mend=_GIVE.format("CAP_SYS_RESOURCE"),
    )


def _no_new_privileges(status: Mapping[str, str]) -> Check:
    check = Check(group=_RIGHTS, name="setuid programs", state=OK)
    if status.get("NoNewPrivs", "0") == "0":
        return check
    return check.replace(
        state=FALLBACK,
        detail="no_new_privs is set here: setuid programs in containers gain nothing",
        mend="start fastbox without no_new_privs (systemd: NoNewPrivileges=no)",
    )


def _modules() -> list[Check]:
    """What stands guard besides: nothing to mend, but good to know when something is refused."""
    found = []
    if read("/sys/module/apparmor/parameters/enabled") == "Y":
        profile = read("/proc/self/attr/apparmor/current") or read("/proc/self/attr/current")
        found.append(("AppArmor", f"on; this caller's profile: {profile or 'unknown'}"))
    enforcing = read("/sys/fs/selinux/enforce")
    if enforcing:
        mode = "enforcing" if enforcing == "1" else "permissive"
        found.append(("SELinux", f"{mode}; this caller's label: {read('/proc/self/attr/current')}"))
    if not found:
        found.append(("security modules", "neither AppArmor nor SELinux is on"))
    return [Check(group=_RIGHTS, name=name, state=OK, detail=text) for name, text in found]


def users(results: Mapping[str, int]) -> list[Check]:
    """Whether root and anybody else can make user namespaces, and the ids that they may map."""
    return [
        _namespace("for this caller", results.get("ns.user", errno.EINTR)),
        _namespace("for everybody", results.get("ns.user.anybody", errno.EINTR)),
        *_subordinates(),
    ]


def _namespace(whom: str, code: int) -> Check:
    check = Check(group=_USERS, name=whom, state=OK, detail=_limit_words())
    if code == 0:
        return check
    lost = "bundles with a user namespace are refused" if "this" in whom else "root is needed"
    why = "killed by a filter" if code == errno.EINTR else os.strerror(code).lower()
    return check.replace(state=MISSING, detail=f"{lost} ({why})", mend=_mend_namespace(code))


def _limit_words() -> str:
    limit = read("/proc/sys/user/max_user_namespaces")
    return f"at most {limit}" if limit else ""


def _mend_namespace(code: int) -> str:
    if read("/proc/sys/user/max_user_namespaces") == "0" or code == errno.ENOSPC:
        return "sysctl -w user.max_user_namespaces=15000"
    if read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "sysctl -w kernel.unprivileged_userns_clone=1"
    if read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if code == errno.EINVAL:
        return "use a kernel with CONFIG_USER_NS"
    return "allow clone with CLONE_NEWUSER in the filter that fastbox runs under"


def _subordinates() -> list[Check]:
    """Who has not got root's rights needs ranges of ids to map; root maps any."""
    user = os.environ.get("SUDO_USER") or _user()
    if user == "root":
        return []
    pairs = (("subuid", "--add-subuids"), ("subgid", "--add-subgids"))
    return [_subordinate(name, flag, user) for name, flag in pairs]


def _subordinate(name: str, flag: str, user: str) -> Check:
    check = Check(group=_USERS, name=f"/etc/{name}", state=OK)
    for line in read(f"/etc/{name}").splitlines():
        owner, _, rest = line.partition(":")
        first, _, count = rest.partition(":")
        if owner in (user, str(os.getuid())) and count.isdigit() and int(count) >= 65536:
            return check.replace(detail=f"{user}: {count} ids from {first} on")
    return check.replace(
        state=MISSING,
        detail=f"no range of 65536 ids for {user}: only needed without root's rights",
        mend=f"usermod {flag} 100000-165535 {user}",
    )


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())

"""The one tree of exceptions, and the only tables from an error to an exit code or an HTTP status.

```
FastboxError                  .what .where .hint .code
├── InvalidArgument           the caller's mistake; also ValueError
│   ├── InvalidReference      an image's name that the grammar refuses
│   └── InvalidSpec           a document (config, manifest, bundle) that breaks its specification
├── NotFound                  ImageNotFound, ContainerNotFound, NetworkNotFound
├── Conflict                  NameInUse, StateConflict, InUse
├── PermissionDenied          also PermissionError; names what is missing
├── ResourceExhausted         DiskFull
├── Unsupported               the kernel or this version lacks a feature; names it
├── Timeout                   also TimeoutError; which wait, how long
├── IntegrityError            DigestMismatch, SizeMismatch, UnsafePath; never retried, never cached
├── LaunchError               stage, call, errno, path from native; CommandNotFound, NotExecutable
├── NotReady                  a container ended or ran out of time before it was ready
├── ProcessFailed             ExecFailed, BuildFailed; exit_code and the tail of its output
└── EngineUnavailable         an engine or a supervisor cannot be reached or started
```

An error is one line, `what: why`, lower case, no full stop; `hint` is the next step. Text from
outside (names in archives, references, paths) is escaped
on its way into the line, so that it can't write to a terminal.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def printable(text: object) -> str:
    """The text with control characters and undecodable bytes written as escapes."""
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)


class FastboxError(Exception):
    """What failed, where, and what to do next.

    Attributes:
        what: The failure, one line.
        where: The object or path it happened to, or "".
        hint: The next step, or "".
        code: A stable string such as "image.not_found".
    """

    code = "error"
    exit_code = 125
    http_status = 500

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = printable(what)
        self.where = printable(where)
        self.hint = printable(hint)

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class InvalidArgument(FastboxError, ValueError):
    """The caller's mistake."""

    code = "argument.invalid"
    http_status = 400


class InvalidReference(InvalidArgument):
    """An image reference that the grammar refuses."""

    code = "reference.invalid"


class InvalidSpec(InvalidArgument):
    """A document that breaks its specification."""

    code = "spec.invalid"


_LONGEST = 400  # characters of an error that quotes a Dockerfile


class DockerfileError(InvalidArgument):
    """A Dockerfile, or one instruction, that can't be read as one.

    Attributes:
        line: Where, from 1; 0 when it is about the whole file.
        column: The character in that line, from 1; 0 when it is about the whole line.
        detail: The line with a caret below that character, as people print it; "" without a line.
    """

    code = "dockerfile.invalid"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        line: int = 0,
        column: int = 0,
        source: str = "",
    ) -> None:
        place = "".join(f":{number}" for number in (line, column) if number)
        if len(what) > _LONGEST:
            what = what[:_LONGEST] + "..."
        super().__init__(what, where=where + place, hint=hint)
        self.line, self.column = line, column
        self.detail = _excerpt(line, column, source) if line and source else ""


def _excerpt(line: int, column: int, source: str) -> str:
    """A line of a file, cut to what a terminal holds, with its number and a caret."""
    start = max(0, column - 60)
    margin = f"{line:>4} | "
    shown = f"{margin}{printable(source[start : start + 100].replace(chr(9), ' '))}"
    if not column:
        return shown
    before = printable(source[start : column - 1].replace(chr(9), " "))
    return f"{shown}\n{' ' * len(margin + before)}^"


class NotFound(FastboxError):
    """Something named does not exist."""

    code = "not_found"
    http_status = 404


class ImageNotFound(NotFound):
    """No such image in the store."""

    code = "image.not_found"


class ContainerNotFound(NotFound):
    """No such container."""

    code = "container.not_found"


class NetworkNotFound(NotFound):
    """No such network."""

    code = "network.not_found"


class Conflict(FastboxError):
    """The object's state does not allow it."""

    code = "conflict"
    http_status = 409


class NameInUse(Conflict):
    """The name belongs to another container."""

    code = "name.in_use"


class StateConflict(Conflict):
    """The container is not in the state that this needs."""

    code = "container.state"


class InUse(Conflict):
    """Somebody uses it; the message says who."""

    code = "in_use"


class PermissionDenied(FastboxError, PermissionError):
    """A right is missing; the message names it."""

    code = "permission.denied"
    http_status = 403


class ResourceExhausted(FastboxError):
    """A bound was reached."""

    code = "resource.exhausted"
    http_status = 507


class DiskFull(ResourceExhausted):
    """No space or no inode left in the store's file system."""

    code = "disk.full"


class Unsupported(FastboxError):
    """The kernel or this version lacks a feature."""

    code = "unsupported"
    http_status = 501


class Timeout(FastboxError, TimeoutError):
    """A wait reached its end."""

    code = "timeout"
    http_status = 504


class IntegrityError(FastboxError):
    """Bytes that are not what their name says, or that reach for what isn't theirs."""

    code = "integrity"


class DigestMismatch(IntegrityError):
    """The digest of the bytes differs from the one promised."""

    code = "integrity.digest"


class SizeMismatch(IntegrityError):
    """More or fewer bytes than promised."""

    code = "integrity.size"


class UnsafePath(IntegrityError):
    """An archive's member that reaches outside its root, or can't be extracted safely."""

    code = "integrity.path"


class LaunchError(FastboxError):
    """A process could not be started; the fields are native code's own."""

    code = "launch.failed"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        hint: str = "",
        stage: str = "",
        call: str = "",
        errno: int = 0,
        path: str = "",
    ) -> None:
        super().__init__(what, where=where, hint=hint)
        self.stage, self.call, self.errno, self.path = stage, call, errno, printable(path)


class CommandNotFound(LaunchError):
    """The command does not exist in the container."""

    code = "launch.command_not_found"
    exit_code = 127
    http_status = 400


class NotExecutable(LaunchError):
    """The command exists but can't be executed."""

    code = "launch.not_executable"
    exit_code = 126
    http_status = 400


class ProcessFailed(FastboxError):
    """A process ended with a code other than 0."""

    code = "process.failed"

    def __init__(self, what: str, *, exit_status: int, tail: str = "") -> None:
        super().__init__(what)
        self.exit_status, self.tail = exit_status, tail


class ExecFailed(ProcessFailed):
    """An exec'd process ended with a code other than 0."""

    code = "exec.failed"


class BuildFailed(ProcessFailed):
    """A step of a build ended with a code other than 0.

    Attributes:
        step: The instruction on one line.
        line: Where it is in the Dockerfile, from 1.
    """

    code = "build.failed"
    exit_code = 1

    def __init__(
        self, what: str, *, exit_status: int, tail: str = "", step: str = "", line: int = 0
    ) -> None:
        super().__init__(what, exit_status=exit_status, tail=tail)
        self.step, self.line = step, line


class NotReady(FastboxError):
    """A container was waited for in vain: it ended before it was ready, or was not in time.

    Attributes:
        exit_status: The container's code when it ended, else None.
        tail: The last lines of its log.
    """

    code = "container.not_ready"
    http_status = 504

    def __init__(
        self, what: str, *, where: str = "", exit_status: int | None = None, tail: str = ""
    ) -> None:
        super().__init__(what, where=where)
        self.exit_status, self.tail = exit_status, tail

    def __str__(self) -> str:
        if not self.tail:
            return super().__str__()
        lines = "\n".join("  " + printable(line) for line in self.tail.splitlines())
        return f"{super().__str__()}\nits last lines:\n{lines}"


class EngineUnavailable(FastboxError):
    """A supervisor or an engine cannot be reached or started."""

    code = "engine.unavailable"
    http_status = 503


def os_error(error: OSError, doing: str, path: str = "") -> FastboxError:
    """The tree's class for what the kernel said: EACCES and EPERM, ENOSPC and EDQUOT, or the plain
    base.
    """
    import errno

    where = path or (str(error.filename) if error.filename else "")
    line = f"{doing}: {(error.strerror or str(error)).lower()}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return PermissionDenied(line, where=where, hint="run it as root")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(line, where=where, hint="free space there, then run it again")
    return FastboxError(line, where=where)


def launch_error(
    fields: Mapping[str, object], container: str = "", doing: str = "start"
) -> LaunchError:
    """The exception for a supervisor's error answer (`{"code", "stage", "call", "path", "detail",
    "exit"}`) while it was `doing` something with a container.
    """
    import os

    errno, path = int(str(fields.get("code", 0))), str(fields.get("path", ""))
    stage, call = str(fields.get("stage", "")), str(fields.get("call", ""))
    why = str(fields.get("detail", "")) or os.strerror(errno).lower()
    kind = {126: NotExecutable, 127: CommandNotFound}.get(
        int(str(fields.get("exit", 125))), LaunchError
    )
    subject = f'"{path}"' if path else call
    what = f"cannot {doing} container {container[:12]}".rstrip() + f": {stage} {subject}: {why}"
    if kind is CommandNotFound:
        what = f'cannot run "{path}": command not found in the container'
    elif kind is NotExecutable:
        what = f'cannot run "{path}": {why}'
    return kind(what, stage=stage, call=call, errno=errno, path=path)

"""Files of git repositories, fetched by the host's `git`: the one program that builds start on the
host.

A repository is hostile, and so is its server. What it says can't become an option, no hook, filter
or configuration of it runs, nothing is asked on a terminal, and only http, https, ssh and git are
spoken, by submodules too. The user's own configuration is left out, so that a build is the same for
everybody; ssh takes the agent and the known hosts.
"""

from __future__ import annotations

import os
import signal
import time

from fastbox import _native
from fastbox.builder.giturl import Repository, is_commit
from fastbox.builder.scan import Tree
from fastbox.errors import FastboxError, IntegrityError, NotFound, Timeout, Unsupported, os_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from subprocess import Popen

    from fastbox.store.lease import Work

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT = (
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy"),
    *("SSH_AUTH_SOCK", "GIT_SSL_CAINFO", "SSL_CERT_FILE"),
)
_SETTINGS = (
    "init.defaultBranch=master",
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "advice.detachedHead=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "transfer.fsckObjects=false",
    "credential.helper=",
    "http.followRedirects=initial",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
)
_SECONDS = 3600.0  # for one call of git, submodules included
_MAX_FILE = 16 << 30  # bytes of one file that git writes: a pack has no other limit
_MAX_TOLD = 1 << 20
# What servers say that know no shallow clones, or give out no commit that is no tip.
_WHOLE = (b"shallow", b"--depth", b"dumb http", b"not our ref", b"unadvertised object")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_SPOOL = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC


def resolve(repository: Repository, work: Work, stop: Callable[[], bool] | None = None) -> str:
    """The commit that an address means now, in hex.

    Args:
        repository: Where to look.
        work: For what git says.
        stop: Asked some times a second; true ends it.

    Raises:
        NotFound: There is no such branch or tag.
        IntegrityError: It is not the commit that the address promises.
        Unsupported: No git on this host.
        FastboxError: git failed.
    """
    ref = repository.ref
    if is_commit(ref):
        return _promised(repository, ref)
    wanted = [ref, f"{ref}^{{}}"] if ref else ["HEAD"]
    told = _Git(repository, work, stop).run("ls-remote", "--", repository.remote, *wanted)
    refs = {}
    for line in told.decode("utf-8", "replace").splitlines():
        commit, _, name = line.partition("\t")
        refs[name] = commit
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}", f"refs/{ref}") if ref else ("HEAD",):
        commit = refs.get(name + "^{}") or refs.get(name, "")  # what an annotated tag is of
        if is_commit(commit):
            return _promised(repository, commit, refs.get(name, ""))
    what = f'no branch or tag "{ref}"' if ref else "the repository is empty"
    raise NotFound(what, where=repository.shown)


def checkout(
    repository: Repository,
    commit: str,
    work: Work,
    *,
    keep_git_dir: bool = False,
    stop: Callable[[], bool] | None = None,
) -> int:
    """The files of a commit, or of the directory in it that the address names: a descriptor, which
    the caller closes. They are in the work directory.

    Args:
        repository: Where from.
        commit: Which, as `resolve` told.
        work: Where it goes.
        keep_git_dir: Leave `.git` there, if the whole repository is wanted.
        stop: Asked some times a second; true ends it.

    Raises:
        NotFound: No such directory in it, or no such commit.
        Unsupported: No git on this host.
        FastboxError: git failed.
    """
    path = work.directory("git-" + os.urandom(8).hex())
    git = _Git(repository, work, stop, path)
    git.run("init", "-q", "--template=", *(["--object-format=sha256"] if len(commit) == 64 else []))
    _fetch(git, repository, commit)
    git.run("checkout", "-q", "--detach", commit, "--")
    if repository.submodules and os.path.lexists(os.path.join(path, ".gitmodules")):
        git.run("submodule", "--quiet", "update", "--init", "--recursive", "--depth=1")
    root = os.open(path, _DIRECTORY)
    if keep_git_dir and not repository.subdir:
        git.run("remote", "add", "origin", repository.shown)
        _forget(root)
        return root
    try:
        _remove_git(root, path)
        return _subdirectory(root, repository)
    finally:
        os.close(root)


def _fetch(git: _Git, repository: Repository, commit: str) -> None:
    """The commit alone, or, from servers that don't do that, all there is."""
    try:
        git.run("fetch", "-q", "--depth=1", "--no-tags", "--", repository.remote, commit)
    except _Failed as failed:
        if not any(word in failed.told for word in _WHOLE):
            raise
        whole = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
        named = (repository.ref,) if repository.ref.startswith("refs/") else ()
        git.run("fetch", "-q", "--no-tags", "--", repository.remote, *whole, *named)


def _promised(repository: Repository, commit: str, tag: str = "") -> str:
    checksum = repository.checksum
    if commit.startswith(checksum) or tag.startswith(checksum or "-"):
        return commit
    raise IntegrityError(
        f"expected checksum to match {checksum}, got {tag or commit}", where=repository.shown
    )


def _forget(root: int) -> None:
    """What git noted of where it fetched from: the address may have a password in it."""
    try:
        os.unlink(".git/FETCH_HEAD", dir_fd=root)
    except FileNotFoundError:
        pass


def _remove_git(root: int, path: str) -> None:
    """`.git`, and the files of that name in which submodules say where theirs is."""
    _native.remove_tree(root, ".git")
    if os.path.lexists(os.path.join(path, ".gitmodules")):
        for found in Tree(root).below(""):
            if found.path.endswith("/.git"):
                os.unlink(found.path, dir_fd=root)


def _subdirectory(root: int, repository: Repository) -> int:
    if not repository.subdir:
        return os.dup(root)
    try:
        return _native.open_in_root(root, repository.subdir, _DIRECTORY)
    except OSError as error:
        raise NotFound(
            f'the repository has no directory "{repository.subdir}"', where=repository.shown
        ) from error


class _Failed(FastboxError):
    """git ended with another code than 0."""

    code = "git.failed"
    told = b""


class _Git:
    """The program, for one repository."""

    __slots__ = ("_path", "_program", "_repository", "_stop", "_work")

    def __init__(
        self,
        repository: Repository,
        work: Work,
        stop: Callable[[], bool] | None,
        path: str = "",
    ) -> None:
        from shutil import which

        program = which("git", path=_PATH)
        if not program:
            raise Unsupported(
                "git repositories need the program git, which is not on this host",
                where=repository.shown,
                hint="install git",
            )
        self._program, self._repository, self._work = program, repository, work
        self._stop, self._path = stop, path

    def run(self, *words: str) -> bytes:
        """What a command of git writes.

        Raises:
            FastboxError: It fails, with the last line that it says.
        """
        told, said = (os.open(self._work.path, _SPOOL, 0o600) for _ in range(2))
        try:
            process = self._start(words, told, said)
            try:
                code = self._wait(process)
            except BaseException:
                _kill(process)
                raise
            if code != 0:
                raise self._failure(words[0], os.pread(said, _MAX_TOLD, 0))
            return os.pread(told, _MAX_TOLD, 0)
        except OSError as error:
            raise os_error(error, "cannot run git", self._program) from error
        finally:
            os.close(told)
            os.close(said)

    def _start(self, words: tuple[str, ...], told: int, said: int) -> Popen[bytes]:
        from resource import RLIMIT_FSIZE, prlimit
        from subprocess import DEVNULL, Popen

        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        process = Popen(
            [self._program, *settings, *words],
            stdin=DEVNULL,
            stdout=told,
            stderr=said,
            cwd=self._path or self._work.path,
            env=_environment(self._work.path),
            umask=0o022,
            start_new_session=True,  # its children end with it
        )
        try:
            prlimit(process.pid, RLIMIT_FSIZE, (_MAX_FILE, _MAX_FILE))
        except OSError:
            pass  # it has ended, or a host that allows less already
        return process

    def _wait(self, process: Popen[bytes]) -> int:
        from subprocess import TimeoutExpired

        end = time.monotonic() + _SECONDS
        pause = 0.002
        while True:
            try:
                return process.wait(pause)
            except TimeoutExpired:
                pause = 0.1
            if self._stop and self._stop():
                raise FastboxError("canceled", where=self._repository.shown)
            if time.monotonic() > end:
                raise Timeout(f"git took {_SECONDS:.0f} seconds", where=self._repository.shown)

    def _failure(self, command: str, said: bytes) -> _Failed:
        remote, shown = self._repository.remote, self._repository.shown
        lines = said.decode("utf-8", "replace").replace(remote, shown).strip().splitlines()
        marked = [line for line in lines if line.startswith(("fatal:", "error:"))]
        line = (marked or lines or ["no reason given"])[0]
        failed = _Failed(f"git {command}: {line.removeprefix('fatal: ')}", where=shown)
        failed.told = said
        return failed


def _environment(home: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return kept | {
        "PATH": _PATH,
        "LC_ALL": "C",
        "HOME": home,  # where there is no configuration
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https:git:ssh",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_SSH_COMMAND": "ssh -F /dev/null -o BatchMode=yes -o StrictHostKeyChecking=accept-new",
    }


def _kill(process: Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()

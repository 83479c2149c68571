"""Repositories by git's own daemon on loopback, and by a plain web server."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fastbox.builder import git
from fastbox.builder.context import open_context
from fastbox.builder.giturl import Repository, parse_git
from fastbox.builder.scan import Tree
from fastbox.builds import BuildOptions
from fastbox.errors import FastboxError, IntegrityError, NotFound, Unsupported
from tests.unit.builder.conftest import fill

Run = Callable[..., str]
_ENVIRONMENT = {
    "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    **{f"GIT_{who}_{what}": "test@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}  # fmt: skip


@pytest.fixture
def repository(tmp_path: Path) -> Run:
    """Runs git in a new repository `base/repo`."""
    place = fill(fill(tmp_path / "base", {}) / "repo", {"file": "one", "sub/Dockerfile": "FROM a"})

    def run(*words: str) -> str:
        settings = ["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]
        done = subprocess.run(
            ["git", *settings, *words],
            cwd=place,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    run("init", "-q")
    run("add", ".")
    run("commit", "-qm", "one")
    run("tag", "light")
    run("tag", "-am", "x", "heavy")
    (place / "file").write_text("two")
    run("commit", "-qam", "two")
    return run


@pytest.fixture
def daemon(tmp_path: Path, repository: Run) -> Iterator[str]:
    """The address of a git daemon that serves `base`."""
    process, port = None, 0
    for port in range(20000 + os.getpid() % 20000, 60000, 7):
        process = subprocess.Popen(
            ["git", "daemon", "--export-all", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}",
             f"--base-path={tmp_path}/base"],
            env=_ENVIRONMENT, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        while process.poll() is None and not _listens(port):  # its pid file is there before
            time.sleep(0.01)
        if process.poll() is None:
            break
    assert process is not None
    yield f"git://127.0.0.1:{port}"
    os.killpg(process.pid, 15)
    process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except ConnectionRefusedError:
        return False
    return True


def at(text: str) -> Repository:
    parsed = parse_git(text)
    assert parsed is not None
    return parsed


def fetched(text: str, work, *, keep_git_dir: bool = False) -> dict[str, str]:
    wanted = at(text)
    root = git.checkout(wanted, git.resolve(wanted, work), work, keep_git_dir=keep_git_dir)
    try:
        return {
            found.path: Path(f"/proc/self/fd/{root}/{found.path}").read_text()
            for found in Tree(root).below("")
            if found.size and found.kind == 0o100000 and not found.path.startswith(".git/")
        } | ({".git": ""} if Tree(root).get(".git") else {})
    finally:
        os.close(root)


TWO = {"file": "two", "sub/Dockerfile": "FROM a"}


def test_references_are_resolved_to_commits(daemon, repository, work) -> None:
    repository("branch", "feature/x", "HEAD~1")
    one, two = repository("rev-parse", "HEAD~1"), repository("rev-parse", "HEAD")
    for ref, commit in {
        "": two, "#main": two, "#refs/heads/main": two, "#light": one, "#heavy": one, "?tag=heavy": one,
        "#feature/x": one, "#heads/main": two, f"#{one}": one,
        f"?checksum={one[:9]}#heavy": one, f"?checksum={repository('rev-parse', 'heavy')}#heavy": one,
    }.items():  # fmt: skip
        assert git.resolve(at(f"{daemon}/repo{ref}"), work) == commit, ref


def test_a_branch_goes_before_a_tag(daemon, repository, work) -> None:
    repository("branch", "light", "HEAD")
    assert git.resolve(at(f"{daemon}/repo#light"), work) == repository("rev-parse", "HEAD")


@pytest.mark.parametrize("ref", ["#none", "?tag=main", "#mai", "#refs/none"])
def test_no_such_reference(daemon, work, ref) -> None:
    with pytest.raises(NotFound, match="no branch or tag"):
        git.resolve(at(f"{daemon}/repo{ref}"), work)


def test_a_checksum_that_is_another(daemon, work) -> None:
    with pytest.raises(IntegrityError, match="expected checksum to match 0000000"):
        git.resolve(at(f"{daemon}/repo?checksum=0000000"), work)


def test_the_files_of_a_commit(daemon, repository, work) -> None:
    assert fetched(f"{daemon}/repo", work) == TWO
    assert fetched(f"{daemon}/repo#light", work)["file"] == "one"
    older = repository("rev-parse", "HEAD~1")
    assert fetched(f"{daemon}/repo#{older}", work)["file"] == "one"
    assert fetched(f"{daemon}/repo#main:sub", work) == {"Dockerfile": "FROM a"}


def test_the_git_directory_is_kept_when_it_is_asked_for(daemon, work) -> None:
    assert fetched(f"{daemon}/repo", work, keep_git_dir=True) == TWO | {".git": ""}


@pytest.mark.parametrize("subdir", ["none", "file", "link"])
def test_no_such_directory(daemon, repository, work, tmp_path, subdir) -> None:
    (tmp_path / "base/repo/link").symlink_to("/etc")
    repository("add", ".")
    repository("commit", "-qm", "link")
    with pytest.raises(NotFound, match="no directory"):
        fetched(f"{daemon}/repo#:{subdir}", work)


def test_submodules_come_along_by_the_network_only(daemon, repository, work, tmp_path) -> None:
    repository("clone", "-q", ".", str(tmp_path / "base/inner"))
    repository("submodule", "--quiet", "add", str(tmp_path / "base/inner"), "inner")
    repository("config", "-f", ".gitmodules", "submodule.inner.url", f"{daemon}/inner")
    repository("commit", "-qam", "inner")
    found = fetched(f"{daemon}/repo", work)
    assert found["inner/file"] == "two"
    assert not [path for path in found if path.endswith("/.git")]
    assert "inner/file" not in fetched(f"{daemon}/repo?submodules=0", work)
    for url in (
        str(tmp_path / "base/inner"),
        f"file://{tmp_path}/base/inner",
        f"ext::touch {tmp_path}/ran",
    ):
        repository("config", "-f", ".gitmodules", "submodule.inner.url", url)
        repository("commit", "-qam", "other")
        with pytest.raises(FastboxError, match=r"git submodule"):
            fetched(f"{daemon}/repo", work)
    assert not (tmp_path / "ran").exists()


def test_nothing_of_a_repository_runs(daemon, repository, work, tmp_path) -> None:
    base = tmp_path / "base/repo"
    mark = tmp_path / "ran"
    fill(
        base,
        {".gitattributes": "* filter=x\n", ".gitconfig": f'[filter "x"]\nsmudge = touch {mark}\n'},
    )
    hook = base / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    repository("add", ".")
    repository("commit", "-qm", "x")
    fetched(f"{daemon}/repo", work)
    assert not mark.exists()


def test_a_plain_web_server(repository, work, tmp_path) -> None:
    repository("update-server-info")
    served = tmp_path / "base/repo.git"
    served.symlink_to(tmp_path / "base/repo/.git")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "base")
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/repo.git"
        assert fetched(address, work) == TWO
        assert fetched(f"{address}#{repository('rev-parse', 'HEAD~1')}", work)["file"] == "one"
        context, data, _ = open_context(BuildOptions(context=f"{address}#main:sub"), work)
        with context:
            assert data == b"FROM a"
            assert context.commit == repository("rev-parse", "HEAD")
        server.shutdown()


def test_errors_have_one_line_and_no_password(work) -> None:
    with pytest.raises(FastboxError) as caught:
        git.resolve(at("http://user:secret@127.0.0.1:1/x.git"), work)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "http://user:xxxxx@127.0.0.1:1/x.git: git ls-remote: " in str(caught.value)


def test_it_can_be_stopped(work) -> None:
    import socket

    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(FastboxError, match="canceled"),
    ):
        git.resolve(at(f"git://127.0.0.1:{silent.getsockname()[1]}/x"), work, lambda: True)


def test_a_host_without_git(work, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(git, "_PATH", str(tmp_path))
    with pytest.raises(Unsupported) as caught:
        git.resolve(at("git://127.0.0.1/x"), work)
    assert caught.value.hint == "install git"


def test_the_users_configuration_does_not_count(daemon, work, monkeypatch, tmp_path) -> None:
    fill(tmp_path, {".gitconfig": f'[url "git://127.0.0.1:1/"]\ninsteadOf = {daemon}/\n'})
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / ".gitconfig"))
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert fetched(f"{daemon}/repo", work) == TWO

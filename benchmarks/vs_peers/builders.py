"""The ways to build an image, each with a store of its own: fastbox, docker's daemon, buildah.

Nobody prints its progress (`-q`), nobody asks a registry, and no step has a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from typing import Protocol

from .clients import Measured, Worker
from .daemons import Docker, daemon
from .lab import Lab, Missing
from .peers import once

BASE_IMAGE = "bench:latest"
CONTAINER = ("--network", "none", "-q")


class Builder(Protocol):
    """One way to build."""

    def build(self, context: str, tag: str) -> Measured:
        """Build once."""

    def prune(self) -> None:
        """Forget all that was built, with the steps; the base image stays."""


class Fastbox:
    """`fastbox build`, in the lab's store."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._program = lab, lab.need("fastbox")
        assert lab.image == BASE_IMAGE

    def build(self, context: str, tag: str) -> Measured:
        words = [self._program, "build", *CONTAINER, "-t", tag, context]
        return self._lab.commands.measure(words, 1, 1)

    def prune(self) -> None:
        listed = self._lab.fastbox("images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        others = [line.split() for line in listed.splitlines()]
        built = [name for name, _ in others if name not in (BASE_IMAGE, "<none>:<none>")]
        built += [id for name, id in others if name == "<none>:<none>"]
        if built:
            self._lab.fastbox("rmi", "-f", *built)
        self._lab.fastbox("builder", "prune", "-a", "-f")


class InProcess(Fastbox):
    """`engine.builds.build` of one process that lives long, in the same store."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self._worker = lab.stack.enter_context(Worker("builds", lab.env))

    def build(self, context: str, tag: str) -> Measured:
        return self._worker.measure([context, tag], 1, 1)


class Classic:
    """`docker build` with the builder in the daemon, step by step."""

    def __init__(self, lab: Lab) -> None:
        found = daemon(lab, "docker")
        assert isinstance(found, Docker)
        self._words = found.words
        env = {**lab.env, "DOCKER_BUILDKIT": "0"}
        self._commands = lab.stack.enter_context(Worker("commands", env))

    def build(self, context: str, tag: str) -> Measured:
        words = [*self._words, "build", *CONTAINER, "-t", tag, context]
        return self._commands.measure(words, 1, 1)

    def prune(self) -> None:
        words = ["images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "dangling=false"]
        built = [name for name in _said([*self._words, *words]).split() if name != BASE_IMAGE]
        if built:
            once(self._commands, [*self._words, "image", "rm", "-f", *built])
        once(self._commands, [*self._words, "image", "prune", "-f"])


class Buildah:
    """`buildah bud --layers`; its steps run by runc, since chroot isolation can't do without the
    host's network. Stages are side by side where the builder is told to.
    """

    def __init__(self, lab: Lab) -> None:
        home = lab.sub("buildah")
        run = tempfile.mkdtemp(prefix="fbb-", dir="/run")  # no longer than it takes: 50
        lab.stack.callback(shutil.rmtree, run, ignore_errors=True)
        self._words = [lab.need("buildah"), "--root", home + "/root", "--runroot", run]
        self._words += ["--storage-driver", "overlay"]
        self._how = ["--layers", "--jobs", "0", "--pull-never", *CONTAINER]
        self._how += ["--isolation", "oci", "--runtime", lab.need("runc")]
        self._how += ["--cgroup-parent", f"/{lab.group}/buildah"]
        env = {**lab.env, "TMPDIR": lab.sub("buildah", "tmp")}
        self._commands = lab.stack.enter_context(Worker("commands", env))
        self._env = env
        try:
            once(self._commands, [*self._words, "pull", "-q", f"docker-archive:{lab.archive}"])
        except RuntimeError as error:
            raise Missing(str(error)) from error

    def build(self, context: str, tag: str) -> Measured:
        words = [*self._words, "bud", *self._how, "-t", tag, context]
        return self._commands.measure(words, 1, 1)

    def prune(self) -> None:
        listed = _said([*self._words, "images", "--format", "{{.Name}}:{{.Tag}}"]).split()
        kept = (f"localhost/{BASE_IMAGE}", "<none>:<none>")
        built = [name for name in listed if name not in kept]
        if built:
            once(self._commands, [*self._words, "rmi", "-f", *built])
        once(self._commands, [*self._words, "rmi", "--prune", "-f"])


BUILDERS: dict[str, Callable[[Lab], Builder]] = {
    "docker": Classic,
    "buildah": Buildah,
    "cli": Fastbox,
    "engine": InProcess,
}


def builder(lab: Lab, name: str) -> Builder:
    """The builder of this lab, made at the first call.

    Raises:
        Missing: It is not installed or does not start.
    """
    key = f"builder {name}"
    if key not in lab.daemons:
        lab.daemons[key] = BUILDERS[name](lab)
    found: Builder = lab.daemons[key]
    return found


def _said(words: Sequence[str]) -> str:
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=os.environ)
    return done.stdout

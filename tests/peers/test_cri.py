"""A pod with the runtime handler `fastbox`, made through containerd's CRI plugin as a kubelet does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..integration.archives import docker_archive, tar
from ..integration.conftest import busybox_tar
from .cri import Kubelet, Message, decode
from .place import IMAGE, Place
from .test_containerd import MEBIBYTE, PAUSE, Ctr, containerd, nothing_of_containerd_left, until

__all__ = ["containerd", "nothing_of_containerd_left"]  # fixtures
NODE, CONTAINER = 2, 1  # whose namespace it is


@pytest.fixture
def kubelet(containerd: Ctr, image: Path) -> Iterator[Kubelet]:
    settings = {"Cmd": ["sleep", "1000000"], "Env": ["PATH=/bin"]}
    pause = containerd.base / "pause.tar"
    pause.write_bytes(tar(docker_archive([busybox_tar()], [PAUSE], config=settings)))
    for archive in (pause, image):
        containerd("-n", "k8s.io", "image", "import", str(archive))
    kubelet = Kubelet(containerd.address)
    yield kubelet
    kubelet.close()


def pod_configuration(place: Place) -> Message:
    names = {1: "pod", 2: "one", 3: "default"}
    linux = {1: f"{place.parent}/cri", 2: {1: {1: NODE}}}
    return {1: names, 3: str(place.directory("logs")), 8: linux}


def container_configuration(script: str) -> Message:
    # Processes of its own, as a kubelet asks; the default seccomp profile.
    security: Message = {3: {1: NODE, 2: CONTAINER}, 15: {}}
    linux = {1: {4: 64 * MEBIBYTE}, 2: security}
    return {1: {1: "web"}, 2: {1: IMAGE}, 3: ["sh", "-c", script], 11: "web.log", 15: linux}


@pytest.fixture
def pod(kubelet: Kubelet, place: Place) -> Iterator[str]:
    """A sandbox; it is stopped and removed, and no longer listed."""
    pod = kubelet("RunPodSandbox", {1: pod_configuration(place), 2: "fastbox"})[1].decode()
    yield pod
    kubelet("StopPodSandbox", {1: pod})
    kubelet("RemovePodSandbox", {1: pod})
    assert kubelet("ListPodSandbox", {}) == {}


@pytest.fixture
def web(kubelet: Kubelet, place: Place, pod: str) -> str:
    script = "trap 'exit 7' TERM; echo begins; while :; do sleep 0.05; done"
    message = {1: pod, 2: container_configuration(script), 3: pod_configuration(place)}
    web = str(kubelet("CreateContainer", message)[1].decode())
    kubelet("StartContainer", {1: web})
    log = place.base / "logs" / "web.log"
    until(lambda: log.exists() and "begins" in log.read_text(), "no log")
    return web


def test_a_pod_is_created_executed_in_stopped_and_removed(
    containerd: Ctr, kubelet: Kubelet, pod: str, web: str
) -> None:
    ours = {path.name for path in (containerd.runtimes / "k8s.io").glob("[!@]*")}
    assert ours == {pod, web}
    assert kubelet.status(web) == (1, 0)
    assert kubelet.exec(web, "cat", "/proc/1/comm") == (0, "sh\n")
    assert kubelet.exec(web, "sh", "-c", "grep Seccomp: /proc/self/status; exit 3") == (
        3,
        "Seccomp:\t2\n",
    )
    kubelet("StopContainer", {1: web, 2: 20})
    assert kubelet.status(web) == (2, 7)
    kubelet("RemoveContainer", {1: web})


def test_the_namespaces_are_the_pod_s(kubelet: Kubelet, web: str) -> None:
    code, network = kubelet.exec(web, "readlink", "/proc/self/ns/net")
    assert (code, network.strip()) == (0, str(Path("/proc/self/ns/net").readlink()))
    code, processes = kubelet.exec(web, "readlink", "/proc/self/ns/pid")
    assert (code, processes.strip() == str(Path("/proc/self/ns/pid").readlink())) == (0, False)


def test_limits_and_numbers(containerd: Ctr, kubelet: Kubelet, web: str) -> None:
    memory = decode(decode(kubelet("ContainerStats", {1: web})[1])[3])
    assert 0 < decode(memory[2])[1] < 64 * MEBIBYTE
    kubelet("UpdateContainerResources", {1: web, 2: {4: 32 * MEBIBYTE}})
    found = containerd("-n", "k8s.io", "task", "metrics", "--format", "json", web).stdout
    assert str(32 * MEBIBYTE) in found


def test_a_command_that_is_missing_does_not_start(kubelet: Kubelet, place: Place, pod: str) -> None:
    content = container_configuration("") | {3: ["/no/such"]}
    web = kubelet("CreateContainer", {1: pod, 2: content, 3: pod_configuration(place)})[1].decode()
    with pytest.raises(Exception, match="/no/such"):
        kubelet("StartContainer", {1: web})
    kubelet("RemoveContainer", {1: web})

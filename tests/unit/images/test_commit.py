"""What a committed image's configuration and manifest are made of."""

from __future__ import annotations

import pytest

from fastbox.errors import InvalidArgument
from fastbox.images.commit import merged_run, oci_layer
from fastbox.store.content import Descriptor
from fastbox.support import clock


def test_a_containers_options_replace_the_images() -> None:
    image = {
        "Env": ["PATH=/bin", "A=1", "B=2"],
        "Cmd": ["sh"],
        "Entrypoint": ["/init"],
        "OnBuild": ["RUN x"],
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["NONE"]},
    }
    given = {"Env": ["A=3", "B", "C=4"], "Cmd": ["ls"], "Entrypoint": [], "Labels": {"a": "b"}}
    assert merged_run(image, given) == {
        "Env": ["A=3", "C=4", "PATH=/bin"],
        "Cmd": ["ls"],
        "Labels": {"a": "b"},
        "Volumes": {"/data": {}},
        "Healthcheck": {"Test": ["NONE"]},
    }


def test_nothing_given_is_the_image() -> None:
    image = {"Env": ["A=1"], "Cmd": ["sh"], "User": "me"}
    assert merged_run(image, {}) == image


@pytest.mark.parametrize(
    ("docker", "oci"),
    [
        ("application/vnd.docker.image.rootfs.diff.tar.gzip", "tar+gzip"),
        ("application/vnd.docker.image.rootfs.diff.tar", "tar"),
        ("application/vnd.docker.image.rootfs.diff.tar.zstd", "tar+zstd"),
        ("application/vnd.oci.image.layer.v1.tar+gzip", "tar+gzip"),
    ],
)
def test_layers_get_the_manifests_own_types(docker: str, oci: str) -> None:
    layer = Descriptor(media_type=docker, digest="sha256:" + "0" * 64, size=1)
    assert oci_layer(layer) == layer.replace(media_type="application/vnd.oci.image.layer.v1." + oci)


def test_the_time_of_reproducible_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert clock.source_date() is None
    for text, seconds in (("0", 0), ("1700000000", 1700000000), ("", None)):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        assert clock.source_date() == seconds
    for text in ("-1", "1.5", "now", "9" * 12, "٣"):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
        with pytest.raises(InvalidArgument, match="SOURCE_DATE_EPOCH"):
            clock.source_date()

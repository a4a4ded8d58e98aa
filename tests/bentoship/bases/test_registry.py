"""A base from a registry."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bentoship.bases import Base
from bentoship.bases.interpreter import host_platform
from bentoship.bases.registry import RegistrySource
from bentoship.errors import BaseImageError
from bentoship.image.descriptor import (
    CONFIG,
    DOCKER_MANIFEST,
    DOCKER_MANIFEST_LIST,
    INDEX,
    LAYER_GZIP,
    LAYER_TAR,
    MANIFEST,
    Descriptor,
)
from bentoship.image.layer import Entry, symlink, tar_stream, tree
from bentoship.image.reference import ImageReference
from bentoship.stores.layout import LayoutStore
from bentoship.stores.registry import RegistryStore
from bentoship.system.progress import SILENT, StepReporter
from tests.support.cache import needs_apt
from tests.support.reporting import Told

DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
ENV = ["PATH=/usr/local/bin:/usr/bin"]

SYSTEM = (
    Entry("usr/local/bin/python3.11", mode=0o755, content=b"python"),
    Entry("usr/bin/bash", mode=0o755, content=b"bash"),
    Entry("usr/lib/x86_64-linux-gnu/libc.so.6", content=b"GNU C Library (Debian) stable release version 2.36."),
    Entry("etc/old", content=b"old"),
    symlink("bin", "usr/bin"),
)


def put(repository: ImageReference, media_type: str, content: bytes) -> Descriptor:
    descriptor = Descriptor.of(media_type, content)
    RegistryStore(repository, push=True).write(descriptor, io.BytesIO(content), lambda count: None)
    return descriptor


def push(
    repository: ImageReference,
    *layers: tuple[Entry, ...],
    platform: str = "linux/amd64",
    layer_type: str = LAYER_GZIP,
    manifest_type: str = MANIFEST,
    tag: str = "",
    wrong_diff_id: bool = False,
    **config: Any,
) -> Descriptor:
    """Put an image into a registry, made of layers with these entries."""
    tars = [b"".join(tar_stream(layer, whiteouts=True)) for layer in layers]
    blobs = [tar if layer_type == LAYER_TAR else gzip.compress(tar, mtime=0) for tar in tars]
    system, architecture = platform.split("/")
    diff_ids = [f"sha256:{hashlib.sha256(tar + b'x' * wrong_diff_id).hexdigest()}" for tar in tars]
    document = {
        "os": system,
        "architecture": architecture,
        "config": {"Env": ENV, **config},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": manifest_type,
        "config": put(repository, CONFIG, json.dumps(document).encode()).to_dict(),
        "layers": [put(repository, layer_type, blob).to_dict() for blob in blobs],
    }
    return named(repository, put(repository, manifest_type, json.dumps(manifest).encode()), tag)


def push_index(repository: ImageReference, media_type: str, tag: str, **manifests: Descriptor) -> Descriptor:
    """Put an index into a registry: manifests by their architectures."""
    entries = [
        {**manifest.to_dict(), "platform": {"os": "linux", "architecture": name}}
        for name, manifest in manifests.items()
    ]
    document = {"schemaVersion": 2, "mediaType": media_type, "manifests": entries}
    return named(repository, put(repository, media_type, json.dumps(document).encode()), tag)


def named(repository: ImageReference, descriptor: Descriptor, tag: str) -> Descriptor:
    if tag:
        RegistryStore(repository, push=True).tag(descriptor, tag)
    return descriptor


def pull(
    image: ImageReference,
    cache: Path,
    *,
    python: str = "3.11",
    platform: str = "linux/amd64",
    reporter: StepReporter = SILENT,
) -> Base:
    layout = LayoutStore(cache / "layers")
    return RegistrySource(image, python, RegistryStore(image), cache, layout, reporter).make(platform)


def test_layers_and_settings_are_taken_over(repository: ImageReference, tmp_path: Path) -> None:
    """The base has the image's own layers, in the layout, and its settings."""
    upper = (Entry("etc/.wh.old"), Entry("etc/new", content=b"new"))
    push(repository, SYSTEM, upper, tag="1", User="app")
    base = pull(repository.with_tag("1"), tmp_path)
    assert base.config == {"Env": ENV, "User": "app"}
    assert all(LayoutStore(tmp_path / "layers").exists(layer.descriptor) for layer in base.layers)
    assert sorted(path.name for path in (base.rootfs / "etc").iterdir()) == ["new"]
    assert (base.rootfs / "bin" / "bash").read_bytes() == b"bash"


@pytest.mark.parametrize(("layer_type", "ours"), [(DOCKER_LAYER, LAYER_GZIP), (LAYER_TAR, LAYER_TAR)])
def test_layers_get_the_types_of_oci(repository: ImageReference, tmp_path: Path, layer_type: str, ours: str) -> None:
    """What Docker pushed is told in the words of the image that is put on it."""
    push(repository, SYSTEM, layer_type=layer_type, manifest_type=DOCKER_MANIFEST, tag="1")
    assert [layer.descriptor.media_type for layer in pull(repository.with_tag("1"), tmp_path).layers] == [ours]


@pytest.mark.parametrize("media_type", [INDEX, DOCKER_MANIFEST_LIST])
def test_platform_is_chosen_from_an_index(repository: ImageReference, tmp_path: Path, media_type: str) -> None:
    """Of several images the platform's is taken; the digest to pin is that of them all."""
    amd = push(repository, SYSTEM)
    arm = push(repository, (*SYSTEM, Entry("etc/arm")), platform="linux/arm64")
    index = push_index(repository, media_type, "1", amd64=amd, arm64=arm)
    base = pull(repository.with_tag("1"), tmp_path, platform="linux/arm64")
    assert (base.rootfs / "etc" / "arm").exists()
    assert base.origin == {"image": repository.repository, "digest": index.digest}
    told = Told()
    assert pull(repository.with_tag("1"), tmp_path, platform="linux/arm64", reporter=told) == base
    assert f"pin it: {repository.with_tag('1')}@{index.digest}" in told.said[-1]
    pinned = pull(repository.with_digest(index.digest), tmp_path, platform="linux/arm64")
    assert (pinned.layers, pinned.origin) == (base.layers, base.origin)


def test_a_base_has_the_name_that_it_was_pulled_by(repository: ImageReference, tmp_path: Path) -> None:
    """By its tag others find a newer one; of one named by its digest alone no tag is claimed."""
    digest = push(repository, SYSTEM, tag="latest").digest
    named = {repository: "latest", repository.with_tag("latest"): "latest"}
    named[replace(repository, tag="latest", digest=digest)] = "latest"
    for image, tag in named.items():
        assert pull(image, tmp_path).name == f"{repository.repository}:{tag}"
    assert pull(repository.with_digest(digest), tmp_path).name == f"{repository.repository}@{digest}"


@needs_apt
@pytest.mark.slow
def test_the_same_images_python_for_this_machine_compiles(
    repository: ImageReference, tmp_path: Path, base: Base, offered: str
) -> None:
    """Of an index, the image for this machine is pulled for its Python, when that is of the same version."""
    python = f"usr/bin/python{offered}"
    foreign = (*SYSTEM[1:], Entry(python, mode=0o755, content=(base.rootfs / python).read_bytes()))
    here = host_platform().partition("/")[2]
    index = push_index(
        repository,
        INDEX,
        "1",
        **{
            here: push(repository, tuple(tree(base.rootfs, "")), tag=""),
            "s390x": push(repository, foreign, platform="linux/s390x"),
        },
    )
    found = pull(repository.with_tag("1"), tmp_path, python=offered, platform="linux/s390x")
    assert [path.name for path in (tmp_path / "bases").glob("images-*") if path.is_dir()] == [found.rootfs.name]
    interpreter = found.compiler()
    assert found.origin["digest"] == index.digest
    assert all(str(tmp_path / "bases") in path for path in (interpreter.args[0], interpreter.args[3]))
    assert str(found.rootfs) not in interpreter.args[3]
    told = subprocess.run([*interpreter.args, "-c", "print('hello')"], env=dict(interpreter.env), capture_output=True)
    assert told.stdout == b"hello\n"


def test_without_such_an_image_the_host_needs_the_very_python(repository: ImageReference, tmp_path: Path) -> None:
    """An image for one platform alone has none that runs here."""
    foreign = (*SYSTEM[1:], Entry("usr/bin/python3.11", mode=0o755, content=b"\0003.11.99\0"))
    push(repository, foreign, platform="linux/s390x", tag="1")
    base = pull(repository.with_tag("1"), tmp_path, platform="linux/s390x")
    with pytest.raises(BaseImageError, match=r"uv python install 3\.11\.99"):
        base.compiler()


def test_missing_platform_names_those_there_are(repository: ImageReference, tmp_path: Path) -> None:
    """The error says which platforms the image has."""
    push_index(repository, INDEX, "1", amd64=push(repository, SYSTEM), unknown=push(repository, SYSTEM[:1]))
    with pytest.raises(BaseImageError, match="exists only for linux/amd64"):
        pull(repository.with_tag("1"), tmp_path, platform="linux/arm64")
    push(repository, SYSTEM, tag="2")
    with pytest.raises(BaseImageError, match="it is for linux/amd64"):
        pull(repository.with_tag("2"), tmp_path, platform="linux/arm64")


def test_pinned_base_is_asked_for_once(repository: ImageReference, tmp_path: Path) -> None:
    """A digest never means anything else, so no registry is needed for it again."""
    amd = push(repository, SYSTEM)
    image = repository.with_digest(push_index(repository, INDEX, "", amd64=amd).digest)
    told = Told()
    first = pull(image, tmp_path, reporter=told)
    assert told.said == [f"on the base {image} for linux/amd64"]
    assert told.titles == [f"looking up {image}", f"pulling {image}", f"unpacking {image} for linux/amd64"]
    pulled = told.tasks[1]
    assert pulled.done == pulled.total
    assert pulled.done > sum(layer.size for layer in first.layers)
    gone = replace(image, host="127.0.0.1:9")
    nameless: dict[str, Any] = {"origin": {}, "layers": (), "name": ""}
    assert replace(pull(gone, tmp_path), **nameless) == replace(first, **nameless)


def test_moved_tag_is_noticed(repository: ImageReference, tmp_path: Path) -> None:
    """A tag is looked up each time."""
    push(repository, SYSTEM, tag="1")
    first = pull(repository.with_tag("1"), tmp_path)
    push(repository, (*SYSTEM, Entry("etc/new")), tag="1")
    second = pull(repository.with_tag("1"), tmp_path)
    assert not (first.rootfs / "etc" / "new").exists()
    assert (second.rootfs / "etc" / "new").exists()


def test_a_tag_is_looked_up_once_by_a_source(repository: ImageReference, tmp_path: Path) -> None:
    """What was planned is what is made, and no question is asked twice."""
    push(repository, SYSTEM, tag="1")
    image = repository.with_tag("1")
    source = RegistrySource(image, "3.11", RegistryStore(image), tmp_path, LayoutStore(tmp_path / "layers"))
    outline = source.outline("linux/amd64")
    push(repository, (*SYSTEM, Entry("etc/new")), tag="1")
    base = source.make("linux/amd64")
    assert [layer.descriptor for layer in base.layers] == [layer.descriptor for layer in outline.layers]


def test_unreachable_registry_names_another_base(repository: ImageReference, tmp_path: Path) -> None:
    """As the machine that has one says."""
    image = replace(repository, host="127.0.0.1:9", tag="1")
    layout = LayoutStore(tmp_path / "layers")
    source = RegistrySource(image, "3.11", RegistryStore(image), tmp_path, layout, otherwise="Set BASE_IMAGE=debian.")
    with pytest.raises(BaseImageError, match=r"(?s)refused.*BASE_IMAGE=debian"):
        source.outline("linux/amd64")


def test_unknown_image_is_told(repository: ImageReference, tmp_path: Path) -> None:
    """A name that the registry doesn't know is told with its words."""
    with pytest.raises(BaseImageError, match=f"Get the base {repository}:none"):
        pull(repository.with_tag("none"), tmp_path)


def test_zstd_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """A compression that isn't supported is named."""
    push(repository, SYSTEM, layer_type=ZSTD, tag="1")
    with pytest.raises(BaseImageError, match=r"(?s)zstd.*gzip"):
        pull(repository.with_tag("1"), tmp_path)


def test_musl_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """Alpine's C library isn't the one that wheels are made for."""
    push(repository, (*SYSTEM, Entry("lib/ld-musl-x86_64.so.1")), tag="1")
    with pytest.raises(BaseImageError, match=r"(?s)musl.*python:3\.11-slim"):
        pull(repository.with_tag("1"), tmp_path)


def test_base_without_bash_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """The entrypoint is a script for bash."""
    push(repository, SYSTEM[:1], tag="1")
    with pytest.raises(BaseImageError, match="no bash"):
        pull(repository.with_tag("1"), tmp_path)


def test_base_with_another_python_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """Which Python it has is told."""
    push(repository, SYSTEM, tag="1")
    with pytest.raises(BaseImageError, match=r"python3\.11"):
        pull(repository.with_tag("1"), tmp_path, python="3.12")


def test_layer_with_another_content_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """An image whose configuration doesn't fit its layers would not run anywhere."""
    push(repository, SYSTEM, tag="1", wrong_diff_id=True)
    with pytest.raises(BaseImageError, match="its content is sha256:"):
        pull(repository.with_tag("1"), tmp_path)
    assert list((tmp_path / "bases").glob("images-*")) == []


@pytest.mark.parametrize("layer_type", [LAYER_GZIP, LAYER_TAR])
def test_what_was_damaged_is_pulled_again(repository: ImageReference, tmp_path: Path, layer_type: str) -> None:
    """Documents and layers that have their size and another content, which unpacking or their digests tell."""
    amd = push(repository, SYSTEM, layer_type=layer_type)
    push_index(repository, INDEX, "1", amd64=amd)
    first = pull(repository.with_tag("1"), tmp_path)
    shutil.rmtree(first.rootfs)
    blobs = list((tmp_path / "layers" / "blobs" / "sha256").iterdir())
    assert len(blobs) == 4
    for blob in blobs:
        content = bytearray(blob.read_bytes())
        content[len(content) // 2] ^= 1
        blob.write_bytes(content)
    again = pull(repository.with_tag("1"), tmp_path)
    assert again.layers == first.layers
    assert (again.rootfs / "bin" / "bash").read_bytes() == b"bash"
    assert all(hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name for blob in blobs)


def test_image_that_is_none_is_refused(repository: ImageReference, tmp_path: Path) -> None:
    """A manifest of something else is damaged as an image."""
    empty = put(repository, CONFIG, b"{}")
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": empty.to_dict(), "layers": []}
    named(repository, put(repository, MANIFEST, json.dumps(manifest).encode()), "1")
    with pytest.raises(BaseImageError, match="damaged"):
        pull(repository.with_tag("1"), tmp_path)

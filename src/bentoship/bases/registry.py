"""A base system from a registry: pulled once, its layers taken over as they are, its files unpacked to look at."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bentoship.bases import Base
from bentoship.bases.interpreter import find_python
from bentoship.errors import BaseImageError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.layer import Layer
from bentoship.reference import ImageReference
from bentoship.retry import persist
from bentoship.rootfs import make_once, resolve
from bentoship.stores import Store
from bentoship.stores.graph import children, read_manifest
from bentoship.transfer import copy
from bentoship.unpacking import LAYER_TYPES, unpack

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where a container looks for programs when its image doesn't say."""

_ATTEMPTS = 3

_OTHERWISE = "Set BASE_IMAGE=debian to put the base together from Debian's packages, without a registry."


def registry_base(
    image: ImageReference, *, python: str, platform: str, store: Store, cache: Path, layout: Store
) -> Base:
    """The base that an image is, for one platform.

    An image named by its digest is asked for once, ever; one named by a tag is looked up each time, and pulled only
    when the tag has moved.

    Args:
        image: its name.
        python: the minor version of Python that it has to have, such as "3.11".
        platform: such as "linux/amd64".
        store: the image's repository.
        cache: keeps the system's files in `bases`.
        layout: gets what is pulled.

    Raises:
        BaseImageError: the image can't be had, isn't for the platform, or lacks what a Bento needs.
    """
    doing = f"Get the base {image} for {platform}"
    with _explained(doing):
        root = _root(image, store, layout)
        manifest = _manifest(doing, root, platform, store, layout)
        if not _is_pulled(manifest, layout):
            copy(store, layout, manifest)
        document = json.loads(read_manifest(layout, manifest))
        with layout.open(Descriptor.from_dict(document["config"])) as content:
            config = json.loads(content.read())
        _check_platform(doing, config, platform)
        layers = _layers(doing, document, config, image.path)
        rootfs = cache / "bases" / f"image-{manifest.hex[:16]}"
        make_once(rootfs, lambda folder: unpack(layers, layout, folder))
    settings = config.get("config") or {}
    _check_system(doing, rootfs, python, settings)
    pinned = image.digest is not None
    # Not by which tag it was asked for, if by any: the same base makes the same image.
    origin = {"image": image.repository, "digest": root.digest, "pinned": pinned}
    return Base(layers=layers, config=settings, platform=platform, rootfs=rootfs, origin=origin)


def registry_outline(image: ImageReference, *, platform: str, store: Store, layout: Store) -> tuple[Descriptor, ...]:
    """The layers of a base that need not be pulled yet. Takes and raises as `registry_base`."""
    doing = f"Get the base {image} for {platform}"
    with _explained(doing):
        manifest = _manifest(doing, _root(image, store, layout), platform, store, layout)
        document = json.loads(read_manifest(layout if layout.exists(manifest) else store, manifest))
        return tuple(Descriptor.from_dict(entry) for entry in document["layers"])


@contextmanager
def _explained(doing: str) -> Iterator[None]:
    """Let what a store, a damaged document or the disk complains about be told as the base's failure."""
    try:
        yield
    except StoreError as error:
        raise BaseImageError(doing, error.why, f"{error.hint} {_OTHERWISE}".strip()) from error
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise BaseImageError(doing, str(error), _OTHERWISE) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseImageError(doing, f"the image is damaged ({error!r})", _OTHERWISE) from error


def _root(image: ImageReference, store: Store, layout: Store) -> Descriptor:
    """What the name stands for: an image, or an index of images for several platforms."""
    if image.digest is not None:
        with suppress(StoreError):
            return layout.resolve(image.digest)
    name = image.digest or image.tag or "latest"
    return persist(lambda: store.resolve(name), attempts=_ATTEMPTS)


def _is_pulled(manifest: Descriptor, layout: Store) -> bool:
    return layout.exists(manifest) and all(map(layout.exists, children(read_manifest(layout, manifest))))


def _manifest(doing: str, root: Descriptor, platform: str, store: Store, layout: Store) -> Descriptor:
    """The manifest for the platform: the root itself, or one that it lists."""
    if root.media_type not in INDEX_TYPES:
        return root
    if not layout.exists(root):
        with store.open(root) as content:
            layout.write(root, content, lambda count: None)
    listed = [entry for entry in json.loads(read_manifest(layout, root))["manifests"] if entry.get("platform")]
    by_platform = {_platform(entry["platform"]): entry for entry in reversed(listed)}
    for name, entry in by_platform.items():
        if _is_for(name, platform):
            return Descriptor.from_dict(entry)
    offered = ", ".join(sorted(name for name in by_platform if not name.startswith("unknown/")))
    raise BaseImageError(doing, f"it is only for {offered or 'no platform at all'}", _OTHERWISE)


def _platform(described: Mapping[str, Any]) -> str:
    """How people write a platform (OCI image spec, image-index.md)."""
    parts = (described["os"], described["architecture"], described.get("variant", ""))
    return "/".join(part for part in parts if part)


def _is_for(offered: str, wanted: str) -> bool:
    """Whether an image runs on a platform; on arm64 there is only v8 to name or leave out."""
    return offered.removesuffix("/v8") == wanted.removesuffix("/v8")


def _check_platform(doing: str, config: Mapping[str, Any], platform: str) -> None:
    if not _is_for(_platform(config), platform):
        raise BaseImageError(doing, f"it is for {_platform(config)}", _OTHERWISE)


def _layers(doing: str, manifest: Mapping[str, Any], config: Mapping[str, Any], name: str) -> tuple[Layer, ...]:
    layers = []
    for entry, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        descriptor = Descriptor.from_dict(entry)
        media_type = LAYER_TYPES.get(descriptor.media_type)
        if media_type is None:
            hint = "Choose a base whose layers are compressed with gzip." if "zstd" in descriptor.media_type else ""
            raise BaseImageError(doing, f"it has a layer of the type {descriptor.media_type}", hint or _OTHERWISE)
        layers.append(Layer(replace(descriptor, media_type=media_type), str(diff_id), f"base {name}"))
    return tuple(layers)


def _check_system(doing: str, rootfs: Path, python: str, config: Mapping[str, Any]) -> None:
    """Refuse what a Bento couldn't be served from."""
    if any(resolve(rootfs, "lib").glob("ld-musl-*")):
        hint = f"Choose one with the GNU C library, such as python:{python}-slim."
        raise BaseImageError(doing, "its C library is musl, which most Python packages aren't made for", hint)
    env = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    path = env.get("PATH") or PATH
    if not any(resolve(rootfs, f"{folder}/bash").is_file() for folder in path.split(":")):
        raise BaseImageError(doing, "it has no bash, which starts a Bento", f"Choose one such as python:{python}-slim.")
    find_python(rootfs, python, path)

"""A base system from a registry: pulled once, its layers taken over as they are, its files unpacked to look at."""

from __future__ import annotations

import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from bentoship.bases import Base
from bentoship.bases.facts import Facts
from bentoship.bases.interpreter import compiler, find_python, host_platform
from bentoship.errors import BaseImageError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.layer import Layer
from bentoship.image.platforms import DEFAULT_PATH, images_of, written
from bentoship.image.reference import ImageReference
from bentoship.layers.bytecode import Interpreter
from bentoship.stores import Store
from bentoship.stores.graph import children, read_manifest
from bentoship.stores.retry import persist
from bentoship.stores.transfer import copy
from bentoship.stores.unpacking import LAYER_TYPES, unpack
from bentoship.system.folders import make_once
from bentoship.system.rootfs import resolve

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
    source = _Source(image, store, layout, cache)
    doing = f"Get the base {image} for {platform}"
    with _explained(doing):
        root = source.root()
        layers, config, rootfs = source.pull(doing, source.manifest(doing, root, platform), platform)
    settings = config.get("config") or {}
    executable = _check_system(doing, rootfs, python, settings)

    def native_compiler() -> Interpreter:
        twin = source.twin(root, platform)
        return compiler(rootfs, executable, version=python, platform=platform, twin=twin)

    # Not by which tag it was asked for, if by any: the same base makes the same image.
    origin = {"image": image.repository, "digest": root.digest, "pinned": image.digest is not None}
    with _explained(doing):
        facts = Facts.of(rootfs, executable)
    return Base(layers, settings, platform, facts, rootfs, origin, native_compiler)


def registry_outline(image: ImageReference, *, platform: str, store: Store, layout: Store) -> tuple[Descriptor, ...]:
    """The layers of a base that need not be pulled yet. Takes and raises as `registry_base`."""
    source = _Source(image, store, layout)
    doing = f"Get the base {image} for {platform}"
    with _explained(doing):
        manifest = source.manifest(doing, source.root(), platform)
        document = json.loads(read_manifest(layout if layout.exists(manifest) else store, manifest))
        return tuple(Descriptor.from_dict(entry) for entry in document["layers"])


@dataclass(frozen=True)
class _Source:
    """An image in a registry, and where what is pulled of it is kept."""

    image: ImageReference
    store: Store
    layout: Store
    cache: Path = Path()

    def root(self) -> Descriptor:
        """What the name stands for: an image, or an index of images for several platforms."""
        if self.image.digest is not None:
            with suppress(StoreError):
                return self.layout.resolve(self.image.digest)
        name = self.image.digest or self.image.tag or "latest"
        return persist(lambda: self.store.resolve(name), attempts=_ATTEMPTS)

    def manifest(self, doing: str, root: Descriptor, platform: str) -> Descriptor:
        """The manifest for a platform: the root itself, or one that it lists."""
        if root.media_type not in INDEX_TYPES:
            return root
        offered = self._images(root)
        if platform not in offered:
            raise BaseImageError(doing, f"it is only for {', '.join(offered) or 'no platform at all'}", _OTHERWISE)
        return offered[platform]

    def pull(self, doing: str, manifest: Descriptor, platform: str) -> tuple[tuple[Layer, ...], dict[str, Any], Path]:
        """Have an image here. Returns: its layers, its configuration, and the folder with its files."""
        if not _is_pulled(manifest, self.layout):
            copy(self.store, self.layout, manifest)
        document = json.loads(read_manifest(self.layout, manifest))
        with self.layout.open(Descriptor.from_dict(document["config"])) as content:
            config = dict(json.loads(content.read()))
        if written(config) != platform:
            raise BaseImageError(doing, f"it is for {written(config)}", _OTHERWISE)
        layers = _layers(doing, document, config, self.image.path)
        rootfs = self.cache / "bases" / f"images-{manifest.hex[:16]}"
        make_once(rootfs, lambda folder: unpack(layers, self.layout, folder))
        return layers, config, rootfs

    def twin(self, root: Descriptor, platform: str) -> Path | None:
        """The files of the same image for this machine, if it is for another one; None where the index has none."""
        here = host_platform()
        doing = f"Get the base {self.image} for {here}, whose Python compiles for {platform}"
        if platform == here or root.media_type not in INDEX_TYPES:
            return None
        with _explained(doing):
            native = self._images(root).get(here)
            return self.pull(doing, native, here)[2] if native else None

    def _images(self, index: Descriptor) -> dict[str, Descriptor]:
        if not self.layout.exists(index):
            with self.store.open(index) as content:
                self.layout.write(index, content, lambda count: None)
        return images_of(read_manifest(self.layout, index))


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


def _is_pulled(manifest: Descriptor, layout: Store) -> bool:
    return layout.exists(manifest) and all(map(layout.exists, children(read_manifest(layout, manifest))))


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


def _check_system(doing: str, rootfs: Path, python: str, config: Mapping[str, Any]) -> PurePosixPath:
    """Refuse what a Bento couldn't be served from. Returns: where its Python is."""
    if any(resolve(rootfs, "lib").glob("ld-musl-*")):
        hint = f"Choose one with the GNU C library, such as python:{python}-slim."
        raise BaseImageError(doing, "its C library is musl, which most Python packages aren't made for", hint)
    env = dict(entry.partition("=")[::2] for entry in config.get("Env") or [])
    path = env.get("PATH") or DEFAULT_PATH
    if not any(resolve(rootfs, f"{folder}/bash").is_file() for folder in path.split(":")):
        raise BaseImageError(doing, "it has no bash, which starts a Bento", f"Choose one such as python:{python}-slim.")
    return find_python(rootfs, python, path)

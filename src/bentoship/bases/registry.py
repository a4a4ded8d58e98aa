"""A base system from a registry: pulled once, its layers used as they are, its files unpacked to look at them."""

import functools
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from bentoship.bases import Base, Outline
from bentoship.bases.facts import Facts
from bentoship.bases.interpreter import compiler, find_python, host_platform
from bentoship.errors import BaseImageError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.document import parse_json
from bentoship.image.layer import Estimate, Layer
from bentoship.image.manifest import Image, variables
from bentoship.image.platforms import DEFAULT_PATH, manifests_by_platform
from bentoship.image.reference import ImageReference
from bentoship.layers.bytecode import Interpreter
from bentoship.stores import Layout, Store
from bentoship.stores.graph import children, read_image, read_manifest
from bentoship.stores.transfer import copy
from bentoship.stores.unpacking import LAYER_TYPES, unpack
from bentoship.system.folders import make_once
from bentoship.system.progress import SILENT, StepReporter, Task
from bentoship.system.rootfs import resolve
from bentoship.system.text import flaw
from bentoship.system.values import dataclass

_DAMAGES = (OSError, EOFError, tarfile.TarError, zlib.error)
"""What layers raise that cannot be unpacked, beside StoreError."""


@dataclass(frozen=True)
class RegistrySource:
    """Uses an image of a registry as the base, pulled once.

    An image named by its digest is looked up only once; one named by a tag is looked up once by each source, for all
    platforms, and pulled only when the tag has moved.

    Args:
        image: its name.
        python: the minor version of Python that it has to have, such as "3.11".
        store: the image's repository.
        cache: keeps the system's files in `bases`.
        layout: gets what is pulled.
        reporter: receives the progress, and advice to pin a tag.
        otherwise: what else the user can do, for errors.
        option: where the user sets the Bento's Python, for errors.
    """

    image: ImageReference
    python: str
    store: Store
    cache: Path
    layout: Layout
    reporter: StepReporter = SILENT
    otherwise: str = ""
    option: str = "docker.python_version"

    def outline(self, platform: str) -> Outline:
        """Return the base if it was pulled, else the layers that it has in the registry.

        Raises:
            BaseImageError: the image can't be pulled, or isn't for the platform.
        """
        doing = self._doing(platform)
        with _failing(doing, self.otherwise):
            manifest = self._manifest(doing, platform)
            document = parse_json(self._document(manifest))
            layers = [Descriptor.from_dict(entry) for entry in document["layers"]]
        if all(map(self.layout.exists, layers)):
            return self.make(platform).outline
        return Outline(platform, tuple(Estimate("base", "base", layer.size, layer) for layer in layers))

    def make(self, platform: str) -> Base:
        """Return the base, pulled unless it was pulled before.

        Raises:
            BaseImageError: the image can't be pulled, isn't for the platform, or lacks what a Bento needs.
        """
        self.reporter.say(f"on the base {self.image} for {platform}")
        doing = self._doing(platform)
        with _failing(doing, self.otherwise):
            image, rootfs = self._pull(doing, self._manifest(doing, platform), platform)
            settings = image.settings
        executable = _check_system(doing, rootfs, self.python, settings, self.option)

        def native_compiler() -> Interpreter:
            return compiler(rootfs, executable, version=self.python, platform=platform, twin=self._twin(platform))

        with _failing(doing, self.otherwise):
            facts = Facts.of(rootfs, executable)
        if self.image.digest is None:
            self.reporter.say(f"the base {self.image} may change; pin it: {self.image}@{self._root.digest}")
        # Without the tag that BASE_IMAGE may name: the same base makes the same image.
        origin = {"image": self.image.repository, "digest": self._root.digest}
        return Base(image.layers, settings, platform, facts, rootfs, origin, native_compiler, self._name)

    @property
    def _name(self) -> str:
        """Return the name by which others find a newer base: with its tag, or with its digest where it has none."""
        tag = self.image.tag or ("" if self.image.digest else "latest")
        return str(self.image.with_tag(tag) if tag else self.image)

    def _doing(self, platform: str) -> str:
        return f"Get the base {self.image} for {platform}"

    @cached_property
    def _root(self) -> Descriptor:
        """Return what the name stands for: an image, or an index of images for several platforms."""
        if self.image.digest is not None:
            with suppress(StoreError):
                return self.layout.resolve(self.image.digest)
        name = self.image.digest or self.image.tag or "latest"
        with self.reporter.task(f"looking up {self.image}"):
            return self.store.resolve(name)

    def _manifest(self, doing: str, platform: str) -> Descriptor:
        """Return the manifest for a platform: the root itself, or one that it lists."""
        if self._root.media_type not in INDEX_TYPES:
            return self._root
        offered = self._images()
        if platform not in offered:
            why = f"it exists only for {', '.join(offered)}" if offered else "its index lists no platform"
            raise BaseImageError(doing, why, self.otherwise)
        return offered[platform]

    def _pull(self, doing: str, manifest: Descriptor, platform: str) -> tuple[Image, Path]:
        """Pull an image unless it is here already; pull damaged parts of it again.

        Returns: the image, its layers as OCI calls them, and the folder with its files.
        """
        self._copy(manifest)
        try:
            return self._unpacked(doing, manifest, platform)
        except (StoreError, *_DAMAGES):
            if not self.layout.drop_damaged(manifest):
                raise
        self._copy(manifest)
        return self._unpacked(doing, manifest, platform)

    def _copy(self, manifest: Descriptor) -> None:
        """Pull the parts of an image that are missing or truncated."""
        if not all(map(self.layout.exists, children(self._document(manifest)))):
            with self.reporter.task(f"pulling {self.image}") as task:
                copy(self.store, self.layout, manifest, progress=_Pulled(task))

    def _unpacked(self, doing: str, manifest: Descriptor, platform: str) -> tuple[Image, Path]:
        image = read_image(self.layout, manifest)
        if image.platform != platform:
            raise BaseImageError(doing, f"it is for {image.platform}", self.otherwise)
        image = replace(image, layers=_layers(doing, image.layers, self.image.path))
        rootfs = self.cache / "bases" / f"images-{manifest.hex[:16]}"
        make_once(rootfs, functools.partial(self._unpack, image))
        return image, rootfs

    def _unpack(self, image: Image, folder: Path) -> None:
        with self.reporter.task(f"unpacking {self.image} for {image.platform}"):
            unpack(image.layers, self.layout, folder)

    def _twin(self, platform: str) -> Path | None:
        """Return the files of the same image for this machine; None where this is it, or the index has none."""
        host = host_platform()
        doing = f"Get the base {self.image} for {host}, whose Python compiles for {platform}"
        if platform == host or self._root.media_type not in INDEX_TYPES:
            return None
        with _failing(doing, self.otherwise):
            native = self._images().get(host)
            return self._pull(doing, native, host)[1] if native else None

    def _images(self) -> dict[str, Descriptor]:
        """Return the images that the root, an index, lists for platforms."""
        return manifests_by_platform(self._document(self._root))

    def _document(self, manifest: Descriptor) -> bytes:
        """Return a manifest or index, which is kept here."""
        with suppress(StoreError):  # it is not here yet, or damaged
            return read_manifest(self.layout, manifest)
        content = read_manifest(self.store, manifest)
        self.layout.write(manifest, io.BytesIO(content), lambda _: None)
        return content


@dataclass(frozen=True)
class _Pulled:
    """The progress of a copy, as a task."""

    task: Task

    def begin(self, missing: Sequence[Descriptor]) -> None:
        self.task.expect(sum(descriptor.size for descriptor in missing))

    def advance(self, descriptor: Descriptor, count: int) -> None:
        self.task.advance(count)


@contextmanager
def _failing(doing: str, otherwise: str) -> Iterator[None]:
    """Turn errors of a store, of a damaged document and of the disk into BaseImageError, which says what else to do."""
    try:
        yield
    except StoreError as error:
        raise BaseImageError(doing, error.why, f"{error.hint} {otherwise}".strip()) from error
    except _DAMAGES as error:
        raise BaseImageError(doing, str(error), otherwise) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseImageError(doing, f"the image is damaged ({flaw(error)})", otherwise) from error


def _layers(doing: str, layers: Sequence[Layer], name: str) -> tuple[Layer, ...]:
    """Return layers as OCI calls their types. Raises BaseImageError for one that cannot be unpacked here."""
    found = []
    for layer in layers:
        given = layer.descriptor.media_type
        if given not in LAYER_TYPES:
            hint = "Choose a base whose layers are compressed with gzip."
            raise BaseImageError(doing, f"it has a layer of the type {given}", hint)
        descriptor = replace(layer.descriptor, media_type=LAYER_TYPES[given])
        found.append(replace(layer, descriptor=descriptor, title=f"base {name}", kind="base"))
    return tuple(found)


def _check_system(doing: str, rootfs: Path, python: str, config: Mapping[str, Any], option: str) -> PurePosixPath:
    """Return where the base's Python is. Raises BaseImageError for a base that cannot serve a Bento."""
    if any(resolve(rootfs, "lib").glob("ld-musl-*")):
        hint = f"Choose one with the GNU C library, such as python:{python}-slim."
        raise BaseImageError(doing, "its C library is musl, for which many Python packages have no wheels", hint)
    path = variables(config).get("PATH") or DEFAULT_PATH
    if not any(resolve(rootfs, f"{folder}/bash").is_file() for folder in path.split(":")):
        raise BaseImageError(doing, "it has no bash, which starts a Bento", f"Choose one such as python:{python}-slim.")
    return find_python(rootfs, python, path, option)

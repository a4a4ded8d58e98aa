"""The parts of an image, index, manifests and blobs, and how they refer to each other."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bentoship.errors import StoreError
from bentoship.image.descriptor import INDEX, INDEX_TYPES, MANIFEST, MANIFEST_TYPES, Descriptor
from bentoship.image.document import parse_json
from bentoship.image.manifest import Image
from bentoship.image.platforms import manifests_by_platform
from bentoship.stores import Source
from bentoship.system.text import flaw

MAX_MANIFEST = 4 << 20
"""Bytes; registries refuse larger manifests (OCI distribution spec, "Pushing manifests")."""

_PIECE = 1 << 16


def is_manifest(descriptor: Descriptor) -> bool:
    """Return whether a descriptor is of a manifest or index, not of a blob."""
    return descriptor.media_type in MANIFEST_TYPES or descriptor.media_type in INDEX_TYPES


def read_manifest(store: Source, descriptor: Descriptor) -> bytes:
    """Return the bytes of a manifest or index. Raises StoreError when it is missing, damaged or too large."""
    return read_blob(store, descriptor, f"Read the manifest {descriptor.digest}")


def read_blob(store: Source, blob: Descriptor, doing: str, most: int = MAX_MANIFEST) -> bytes:
    """Return the content of a blob that is small enough to be in memory.

    Args:
        store: the store that has it.
        blob: the blob.
        doing: what needs it, for errors.
        most: the largest size, in bytes.

    Raises: StoreError when it is missing, damaged or larger.
    """
    if blob.size > most:
        raise StoreError(doing, f"{blob.size} bytes is too large")
    with store.open(blob) as content:
        # In pieces, each of which is checked, so that nothing larger than announced is read into memory.
        return b"".join(iter(lambda: content.read(_PIECE), b""))


def children(content: bytes) -> tuple[Descriptor, ...]:
    """Return what a manifest (config and layers) or an index (manifests) refers to, each once, in order.

    Raises: StoreError when it is neither.
    """
    try:
        document = parse_json(content)
        parts = [document["config"], *document["layers"]] if "layers" in document else document["manifests"]
        return tuple(dict.fromkeys(Descriptor.from_dict(part) for part in parts))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError("Read an image's manifest", f"it is not a manifest ({flaw(error)})") from error


def read_image(store: Source, descriptor: Descriptor) -> Image:
    """Return the image of a manifest in a store. Raises StoreError when it is missing or damaged."""
    with _understood(descriptor):
        manifest = read_manifest(store, descriptor)
        config = Descriptor.from_dict(parse_json(manifest)["config"])
        return Image.parse(manifest, read_manifest(store, config))


def manifests_of(store: Source, root: Descriptor) -> dict[str, Descriptor]:
    """Return the manifests of a manifest or index in a store, by platform. Raises StoreError as `read_image` does."""
    if root.media_type not in INDEX_TYPES:
        return {read_image(store, root).platform: root}
    with _understood(root):
        return manifests_by_platform(read_manifest(store, root))


def read_images(store: Source, root: Descriptor) -> dict[str, Image]:
    """Return the images of a manifest or index in a store, by platform. Raises StoreError as `read_image` does."""
    if root.media_type not in INDEX_TYPES:
        image = read_image(store, root)
        return {image.platform: image}
    return {platform: read_image(store, manifest) for platform, manifest in manifests_of(store, root).items()}


@contextmanager
def _understood(descriptor: Descriptor) -> Iterator[None]:
    """Raise a StoreError for what a document lacks."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"Read the image {descriptor.digest}", f"the image is damaged ({flaw(error)})") from error


def below(
    store: Source, root: Descriptor, read: Callable[[Source, Descriptor], bytes] = read_manifest
) -> Iterator[Descriptor]:
    """Yield everything that a manifest or index consists of, at any depth, each part after its own parts.

    Args:
        store: the store that has it.
        root: the manifest or index; a blob consists of nothing.
        read: reads a manifest or index from the store.

    Raises: StoreError when one of them cannot be read.
    """
    if is_manifest(root):
        for child in children(read(store, root)):
            yield from below(store, child, read)
            yield child


def media_type(content: bytes) -> str | None:
    """Return the media type of a manifest or index, inferred where it is not stated; None when it is neither."""
    try:
        document = parse_json(content)
    except ValueError:
        return None
    config = document.get("config") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(_type_of(config), str):
        return None
    said = document.get("mediaType")
    if isinstance(said, str):
        return said
    if "layers" in document:
        return MANIFEST
    return INDEX if "manifests" in document else None


def _type_of(config: object) -> object:
    """Return the media type that a descriptor of a configuration has, which may be of any kind in others' documents."""
    return config.get("mediaType", "") if isinstance(config, dict) else ""

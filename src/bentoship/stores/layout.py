"""An OCI image layout: a folder that stores images as a registry does (OCI image spec, image-layout.md)."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bentoship.errors import StoreError
from bentoship.image.descriptor import INDEX, Descriptor
from bentoship.image.document import parse_json
from bentoship.image.layer import CHUNK, Stream
from bentoship.stores import Advance, Reader
from bentoship.stores.graph import MAX_MANIFEST, below, children, is_manifest, media_type, read_manifest
from bentoship.stores.verified import Verified
from bentoship.system.files import file_lock, is_present, linked_file, private_folder, unfinished_file, write_whole

_NAME = "org.opencontainers.image.ref.name"
_MARKER = b'{"imageLayoutVersion": "1.0.0"}\n'
_ABANDONED = 3600.0
"""Seconds; an unfinished file that has not been written to for this long is abandoned."""


class LayoutStore:
    """The images in a folder; safe to use from several threads and processes at once.

    Args:
        folder: created, with its parents, when something is first stored.
        elsewhere: generates, by digest, content that is not in the folder (image-layout.md: an "external blob store").
    """

    def __init__(self, folder: Path, elsewhere: Mapping[str, Stream] | None = None) -> None:
        self.folder = folder
        self._elsewhere = elsewhere or {}

    def path(self, descriptor: Descriptor) -> Path:
        """Return the path of a content, whether or not it exists."""
        return self._blobs / descriptor.hex

    def exists(self, descriptor: Descriptor) -> bool:
        """Return whether the store has the content, judged by its size."""
        return descriptor.digest in self._elsewhere or is_present(self.path(descriptor), descriptor.size)

    @contextmanager
    def open(self, descriptor: Descriptor) -> Iterator[Reader]:
        """Open the content as a stream that checks digest and size at its end. Raises StoreError."""
        doing = f"Read {descriptor.digest} from {self.folder}"
        if make := self._elsewhere.get(descriptor.digest):
            yield Verified(_Pieces(make()), descriptor, doing)
            return
        try:
            stream = self.path(descriptor).open("rb")
        except OSError as error:
            raise StoreError(doing, error.strerror or str(error)) from error
        with stream:
            yield Verified(stream, descriptor, doing)

    def write(self, descriptor: Descriptor, content: Reader, advance: Advance) -> None:
        """Store the content, completely or not at all. Raises StoreError, also when digest or size differ."""
        doing = f"Write {descriptor.digest} to {self.folder}"
        verified = Verified(content, descriptor, doing)

        def pieces() -> Iterator[bytes]:
            while piece := verified.read(CHUNK):
                yield piece
                advance(len(piece))

        with _of_store(doing), unfinished_file(self._blobs, pieces()) as path:
            path.replace(self.path(descriptor))

    def put(self, descriptor: Descriptor, content: bytes) -> None:
        """Store a small content, unless it is there unchanged; the caller vouches for the digest. Raises StoreError."""
        with _of_store(f"Write {descriptor.digest} to {self.folder}"):
            write_whole(self.path(descriptor), content, synced=False)  # it is compared each time

    def adopt(self, path: Path, descriptor: Descriptor) -> None:
        """Add a local file to the store, as a hard link where possible, else as a copy.

        Args:
            path: the file, which must not change afterwards.
            descriptor: its content; the caller vouches for the digest.

        Raises: StoreError when it cannot be read or written, or its size differs.
        """
        doing = f"Add {path} to {self.folder}"
        with _of_store(doing):
            if path.stat().st_size != descriptor.size:
                raise StoreError(doing, f"{path.stat().st_size} bytes instead of {descriptor.size}")
            private_folder(self._blobs)
            with ExitStack() as stack:
                try:
                    name = stack.enter_context(linked_file(self._blobs, path))
                except OSError:  # another device, or a file system without hard links
                    content = stack.enter_context(path.open("rb"))
                    pieces = iter(lambda: content.read(CHUNK), b"")
                    name = stack.enter_context(unfinished_file(self._blobs, pieces))
                # When both are already the same file this does nothing, and the new name is removed: rename(2).
                name.replace(self.path(descriptor))

    def resolve(self, name: str) -> Descriptor:
        """Return the descriptor of a tag or digest. Raises StoreError when there is none."""
        if not name.startswith("sha256:"):
            found = self.tags().get(name)
            if found is None:
                raise StoreError(f'Find the tag "{name}" in {self.folder}', "there is no such tag")
            return found
        path = self._blobs / name.removeprefix("sha256:")
        try:
            content = path.read_bytes() if path.stat().st_size <= MAX_MANIFEST else b""
        except OSError as error:
            raise StoreError(f"Find {name} in {self.folder}", error.strerror or str(error)) from error
        kind = media_type(content)
        if kind is None:
            raise StoreError(f"Find {name} in {self.folder}", "it is neither a manifest nor an index")
        return Descriptor(kind, name, len(content))

    def tag(self, descriptor: Descriptor, tag: str) -> None:
        """Point a tag at a manifest or index. Raises StoreError unless the store has every part of it."""
        with self._locked():
            for part in (descriptor, *below(self, descriptor)):
                if not self.exists(part):
                    raise StoreError(
                        f'Tag {descriptor.digest} as "{tag}" in {self.folder}', f"{part.digest} is missing"
                    )
            try:
                kept = [entry for entry in self._entries() if _name(entry) != tag]
            except StoreError:  # what it was damaged by is unknown; the image that matters gets its tag again
                kept = []
            self._write_index([*kept, {**descriptor.to_dict(), "annotations": {_NAME: tag}}])

    def tags(self) -> dict[str, Descriptor]:
        """Return the descriptor of each tag, sorted by name. Raises StoreError when the folder's index is damaged."""
        return {name: Descriptor.from_dict(entry) for entry in self._entries() if (name := _name(entry))}

    def drop_damaged(self, root: Descriptor) -> list[Descriptor]:
        """Remove the parts of a manifest or index, itself included, that do not match their digests; return them."""
        try:
            with self.open(root) as content:
                while content.read(CHUNK):
                    pass
        except StoreError:
            self.path(root).unlink(missing_ok=True)
            return [root]
        parts = children(read_manifest(self, root)) if is_manifest(root) else ()
        return [damaged for part in parts for damaged in self.drop_damaged(part)]

    def prune(self, keep: Collection[str] | None = None, *, older_than: float = 0.0) -> int:
        """Remove what no tag reaches, and what killed runs left behind.

        Args:
            keep: digests of images and indexes; the tags of all others are removed first. None keeps all tags.
            older_than: the minimum age to remove, in seconds since the content was stored; content that another run has
                yet to tag is younger.

        Returns: the number of bytes freed.
        """
        with self._locked():
            entries = self._entries()
            tagged = [entry for entry in entries if keep is None or entry["digest"] in keep]
            if len(tagged) < len(entries):
                self._write_index(tagged)
            roots = map(Descriptor.from_dict, tagged)
            kept = {part.hex for root in roots for part in (root, *below(self, root))}
            return sum(_remove(path, older_than) for path in self._blobs.iterdir() if path.name not in kept)

    @property
    def _blobs(self) -> Path:
        return self.folder / "blobs" / "sha256"

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock on the index, which is created if necessary. Raises StoreError for an OSError in the block."""
        try:
            with file_lock(self.folder / ".lock"):
                private_folder(self._blobs)
                marker = self.folder / "oci-layout"
                if not marker.is_file() or marker.read_bytes() != _MARKER:
                    write_whole(marker, _MARKER)
                if not self._index.exists():
                    self._write_index([])
                yield
        except OSError as error:
            raise StoreError(f"Write to {self.folder}", error.strerror or str(error)) from error

    def _entries(self) -> list[dict[str, Any]]:
        try:
            entries: list[dict[str, Any]] = parse_json(self._index.read_bytes())["manifests"]
            for entry in entries:
                Descriptor.from_dict(entry)
                _name(entry)
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"Read {self._index}", str(error), "Remove the folder; it will be rebuilt.") from error
        return entries

    def _write_index(self, entries: list[dict[str, Any]]) -> None:
        ordered = sorted(entries, key=lambda entry: (_name(entry), entry["digest"]))
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": ordered}
        content = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        write_whole(self._index, content)


@contextmanager
def _of_store(doing: str) -> Iterator[None]:
    """Raise a StoreError for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise StoreError(doing, error.strerror or str(error)) from error


class _Pieces:
    """A stream made of pieces."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, or all that are left; as from a pipe, there may be fewer before the end."""
        if size < 0:
            left, self._left = self._left, memoryview(b"")
            return b"".join([left, *self._pieces])
        if not self._left:
            self._left = memoryview(next(filter(None, self._pieces), b""))
        piece, self._left = bytes(self._left[:size]), self._left[size:]
        return piece


def _name(entry: dict[str, Any]) -> str:
    return str((entry.get("annotations") or {}).get(_NAME, ""))


def _remove(path: Path, older_than: float) -> int:
    """Remove a file if it is old enough (an unfinished one: abandoned). Returns: the number of bytes freed."""
    if path.name.startswith("."):
        older_than = max(older_than, _ABANDONED)
    try:
        info = path.stat()
    except FileNotFoundError:
        return 0
    # ctime is also when `adopt` linked it here; the content may be much older.
    if time.time() - max(info.st_ctime, info.st_mtime) < older_than:
        return 0
    path.unlink(missing_ok=True)
    return info.st_size

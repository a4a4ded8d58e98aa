"""Copying an image from one store to another: the missing parts, in parallel, and the tags last."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field
from typing import Literal, Protocol, runtime_checkable

from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.image.progress import Progress, SilentProgress
from bentoship.stores import Reader, Store
from bentoship.stores.graph import below, is_manifest
from bentoship.system.parallel import in_parallel
from bentoship.system.retry import CancelledError, Clock, persist
from bentoship.system.values import dataclass

Outcome = Literal["sent", "present", "mounted"]


@runtime_checkable
class Remote(Protocol):
    """A store that is reached over a network, and may fail for a while; it retries by itself what it can."""

    @property
    def patience(self) -> float:
        """Return the seconds in which nothing may move before a failure is final."""

    def interrupt(self) -> None:
        """Abort the requests of other threads with an error. The store can be used again."""


@dataclass(frozen=True)
class Survey:
    """The parts of an image that a store has and lacks: blobs first, then manifests, each after its own parts."""

    present: tuple[Descriptor, ...]
    missing: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Options:
    """How an image is surveyed and copied.

    Args:
        whole: whether the target accepts a manifest only when it has all its parts, as registries do (OCI distribution
            spec, MANIFEST_BLOB_UNKNOWN): when it has the manifests, no blobs are checked.
        jobs: how many requests or blobs at once.
        turn: called with each blob that is sent or mounted, which is done in its block.
    """

    whole: bool = False
    jobs: int = 4
    turn: Callable[[Descriptor], AbstractContextManager[object]] = nullcontext


_DEFAULT = Options()


def survey(source: Store, target: Store, root: Descriptor, options: Options = _DEFAULT) -> Survey:
    """Return the parts of an image that a store has, and those that a copy would send.

    Args:
        source: the store that has the image.
        target: the store to check.
        root: the image's manifest or index.
        options: how to check it.

    Raises: StoreError when either store cannot be read.
    """
    parts = {part.digest: part for part in (*below(source, root), root)}
    ordered = sorted(parts.values(), key=is_manifest)
    cancelled = threading.Event()

    def asked(parts: Sequence[Descriptor]) -> dict[Descriptor, bool]:
        interrupt = _interrupting(target)
        there = in_parallel(target.exists, parts, jobs=options.jobs, cancelled=cancelled, interrupt=interrupt)
        return dict(zip(parts, there, strict=True))

    there = asked([part for part in ordered if is_manifest(part)]) if options.whole else {}
    if options.whole and all(there.values()):
        return Survey(tuple(ordered), ())
    there |= asked([part for part in ordered if part not in there])
    return Survey(tuple(part for part in ordered if there[part]), tuple(part for part in ordered if not there[part]))


def copy(
    source: Store,
    target: Store,
    root: Descriptor,
    *,
    tags: Sequence[str] = (),
    options: Options = _DEFAULT,
    progress: Progress | None = None,
    mount: Callable[[Descriptor], bool] | None = None,
) -> dict[Descriptor, Outcome]:
    """Copy the parts of an image that the target lacks; tags move only after all parts have arrived.

    Args:
        source: the store that has the image.
        target: the store to copy to.
        root: the image's manifest or index.
        tags: the tags to set for the root in the target.
        options: how to copy it.
        progress: receives the number of bytes sent.
        mount: makes the target take a blob from another repository, and returns whether it did.

    Returns: the outcome for each part, and for the root, which comes last when it was sent.

    Raises: StoreError when a part cannot be read or written, or a tag does not point at the root in the end.
    """
    found = survey(source, target, root, options)
    outcomes: dict[Descriptor, Outcome] = dict.fromkeys(found.present, "present")
    progress = progress or SilentProgress()
    progress.begin(found.missing)
    sender = _Sender(source, target, progress, mount, options.turn)
    # The largest first, so that no large blob is left to finish alone.
    blobs = sorted((part for part in found.missing if not is_manifest(part)), key=lambda part: -part.size)
    interrupt = _interrupting(source, target)
    sent = in_parallel(sender.send, blobs, jobs=options.jobs, cancelled=sender.cancelled, interrupt=interrupt)
    outcomes |= zip(blobs, sent, strict=True)
    for part in found.missing:
        if is_manifest(part):
            outcomes[part] = sender.send(part)
    if root in found.present:
        tags = [tag for tag in tags if not _stands_for(target, tag, root)]
    _move_tags(target, root, tags)
    return outcomes


def _move_tags(target: Store, root: Descriptor, tags: Sequence[str]) -> None:
    """Point tags at an image, and check that each does."""
    for tag in tags:
        target.tag(root, tag)
    for tag in tags:
        named = target.resolve(tag)
        if named.digest != root.digest:
            hint = "Another push may have moved it at the same time: publish again."
            raise StoreError(f'Tag {root.digest} as "{tag}"', f"the tag points at {named.digest}", hint)


def _stands_for(target: Store, tag: str, root: Descriptor) -> bool:
    """Return whether a tag already points at an image; False when the target cannot resolve it."""
    try:
        return target.resolve(tag).digest == root.digest
    except StoreError:
        return False


@dataclass(frozen=True)
class _Sender:
    """The means to send parts of an image, each with retries."""

    source: Store
    target: Store
    progress: Progress
    mount: Callable[[Descriptor], bool] | None
    turn: Callable[[Descriptor], AbstractContextManager[object]]
    cancelled: threading.Event = field(default_factory=threading.Event)

    def send(self, descriptor: Descriptor) -> Outcome:
        first = True
        clock = Clock()

        def attempt() -> Outcome:
            nonlocal first
            again, first = not first, False
            # The connection may have been interrupted after the part had arrived.
            if again and self.target.exists(descriptor):
                self.progress.advance(descriptor, descriptor.size)
                return "sent"
            if is_manifest(descriptor):
                self._write(descriptor, clock)
                return "sent"
            with self.turn(descriptor):
                if self.mount and self.mount(descriptor):
                    self.progress.advance(descriptor, descriptor.size)
                    return "mounted"
                self._write(descriptor, clock)
            return "sent"

        patience = max((store.patience for store in (self.source, self.target) if isinstance(store, Remote)), default=0)
        return persist(attempt, patience=patience, wait=self.cancelled.wait, clock=clock)

    def _write(self, descriptor: Descriptor, clock: Clock) -> None:
        moved = 0

        def advance(count: int) -> None:
            nonlocal moved
            moved += count
            clock.move(to=moved)
            self.progress.advance(descriptor, count)

        try:
            with self.source.open(descriptor) as content:
                self.target.write(descriptor, _Cancellable(content, self.cancelled), advance)
        except BaseException:
            self.progress.advance(descriptor, -moved)
            raise


@dataclass(frozen=True)
class _Cancellable:
    """A stream that raises CancelledError once the copy is cancelled."""

    content: Reader
    cancelled: threading.Event

    def read(self, size: int = -1, /) -> bytes:
        if self.cancelled.is_set():
            raise CancelledError
        return self.content.read(size)


def _interrupting(*stores: Store) -> Callable[[], None]:
    def interrupt() -> None:
        for store in stores:
            if isinstance(store, Remote):
                store.interrupt()

    return interrupt

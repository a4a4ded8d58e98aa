"""Copying an image from one store to another: what is missing, in parallel, and the tags last."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, runtime_checkable

from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor
from bentoship.stores import Reader, Source, Store
from bentoship.stores.graph import below, is_manifest, read_manifest
from bentoship.stores.retry import CancelledError, persist
from bentoship.system.parallel import in_parallel

Outcome = Literal["sent", "present", "mounted"]


class Progress(Protocol):
    """Told how a copy goes on, from several threads at once."""

    def begin(self, missing: Sequence[Descriptor]) -> None:
        """What will be sent, once this is known."""

    def advance(self, descriptor: Descriptor, count: int) -> None:
        """So many bytes of it went over; negative when they have to be sent again."""


@runtime_checkable
class Interruptible(Protocol):
    """A store whose work in other threads can be ended from outside."""

    def interrupt(self) -> None:
        """End it now, with an error there. The store can be used again."""


@dataclass(frozen=True)
class Survey:
    """What of an image a store has: blobs first, then manifests, each after what it points at."""

    present: tuple[Descriptor, ...]
    missing: tuple[Descriptor, ...]


class _Silent:
    """Progress that nobody looks at."""

    def begin(self, missing: Sequence[Descriptor]) -> None: ...

    def advance(self, descriptor: Descriptor, count: int) -> None: ...


@dataclass(frozen=True)
class Options:
    """How an image is surveyed and copied.

    Args:
        whole: whether the target takes a manifest only with all its parts, as registries do (OCI distribution spec,
            MANIFEST_BLOB_UNKNOWN): of an image of which it has the manifests, no blob is asked for.
        jobs: how many questions or blobs at once.
        attempts: how often each is tried after temporary errors.
    """

    whole: bool = False
    jobs: int = 4
    attempts: int = 5


_DEFAULT = Options()


def survey(source: Store, target: Store, root: Descriptor, options: Options = _DEFAULT) -> Survey:
    """Tell what of an image a store has, and what a copy would send there.

    Args:
        source: holds the image.
        target: is asked what it has.
        root: the image's manifest or index.
        options: how.

    Raises: StoreError when either store cannot tell.
    """

    def read(store: Source, descriptor: Descriptor) -> bytes:
        return persist(lambda: read_manifest(store, descriptor), attempts=options.attempts)

    parts = {part.digest: part for part in (*below(source, root, read), root)}
    ordered = sorted(parts.values(), key=is_manifest)
    cancelled = threading.Event()

    def ask(part: Descriptor) -> bool:
        return persist(lambda: target.exists(part), attempts=options.attempts, cancelled=cancelled)

    def asked(parts: Sequence[Descriptor]) -> dict[Descriptor, bool]:
        interrupt = _interrupting(target)
        there = in_parallel(ask, parts, jobs=options.jobs, cancelled=cancelled, interrupt=interrupt)
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
    """Copy an image, of which the target may have parts already; tags move only after all of it is there.

    Args:
        source: holds the image.
        target: gets it.
        root: the image's manifest or index.
        tags: what the root is to be called there.
        options: how.
        progress: told of the bytes that went over.
        mount: has the target take a blob from elsewhere without sending it, and tells whether it did.

    Returns: what became of the root and of all it consists of; the root comes last when it was sent.

    Raises: StoreError when a part cannot be read or written, or a tag does not stand for the root at the end.
    """
    found = survey(source, target, root, options)
    outcomes: dict[Descriptor, Outcome] = dict.fromkeys(found.present, "present")
    progress = progress or _Silent()
    progress.begin(found.missing)
    sender = _Sender(source, target, options.attempts, progress, mount)
    # The largest first: a small one at the end leaves nobody waiting.
    blobs = sorted((part for part in found.missing if not is_manifest(part)), key=lambda part: -part.size)
    interrupt = _interrupting(source, target)
    sent = in_parallel(sender.send, blobs, jobs=options.jobs, cancelled=sender.cancelled, interrupt=interrupt)
    outcomes |= zip(blobs, sent, strict=True)
    for part in found.missing:
        if is_manifest(part):
            outcomes[part] = sender.send(part)
    if root in found.present:
        tags = [tag for tag in tags if not _stands_for(target, tag, root, options.attempts)]
    _move_tags(target, root, tags, options.attempts)
    return outcomes


def _move_tags(target: Store, root: Descriptor, tags: Sequence[str], attempts: int) -> None:
    """Have tags stand for an image, and see that each does."""
    for tag in tags:
        persist(partial(target.tag, root, tag), attempts=attempts)
    for tag in tags:
        named = persist(partial(target.resolve, tag), attempts=attempts)
        if named.digest != root.digest:
            hint = "Somebody else may have moved it at the same time: publish again."
            raise StoreError(f'Tag {root.digest} as "{tag}"', f"the tag stands for {named.digest}", hint)


def _stands_for(target: Store, tag: str, root: Descriptor, attempts: int) -> bool:
    """Whether a tag is where it is to be already; one that nothing is known of is not."""
    try:
        return persist(lambda: target.resolve(tag), attempts=attempts).digest == root.digest
    except StoreError:
        return False


@dataclass(frozen=True)
class _Sender:
    """Sends one piece after the other, each as often as it takes."""

    source: Store
    target: Store
    attempts: int
    progress: Progress
    mount: Callable[[Descriptor], bool] | None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def send(self, descriptor: Descriptor) -> Outcome:
        first = True

        def attempt() -> Outcome:
            nonlocal first
            again, first = not first, False
            # A cut may have swallowed no more than the answer.
            if again and self.target.exists(descriptor):
                self.progress.advance(descriptor, descriptor.size)
                return "sent"
            if self.mount and not is_manifest(descriptor) and self.mount(descriptor):
                self.progress.advance(descriptor, descriptor.size)
                return "mounted"
            self._write(descriptor)
            return "sent"

        return persist(attempt, attempts=self.attempts, cancelled=self.cancelled)

    def _write(self, descriptor: Descriptor) -> None:
        moved = 0

        def advance(count: int) -> None:
            nonlocal moved
            moved += count
            self.progress.advance(descriptor, count)

        try:
            with self.source.open(descriptor) as content:
                self.target.write(descriptor, _Cancellable(content, self.cancelled), advance)
        except BaseException:
            self.progress.advance(descriptor, -moved)
            raise


@dataclass(frozen=True)
class _Cancellable:
    """A stream that ends with an error once the whole copy is to end."""

    content: Reader
    cancelled: threading.Event

    def read(self, size: int = -1, /) -> bytes:
        if self.cancelled.is_set():
            raise CancelledError
        return self.content.read(size)


def _interrupting(*stores: Store) -> Callable[[], None]:
    def interrupt() -> None:
        for store in stores:
            if isinstance(store, Interruptible):
                store.interrupt()

    return interrupt

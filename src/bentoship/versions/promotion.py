"""Moving a name such as production to another image of its repository, without pulling or pushing a layer.

A registry has no request that compares and swaps. So what is written is read back, and the later of two promotions
notices the other. The tag is moved first, and recorded once it is seen to have stayed: a registry that refuses to
move it leaves no entry behind, and after a kill the same command records what it finds. See docs/registry.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from bentoship.errors import BentoshipError, InvalidReferenceError, RegistryError, StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference, version_in
from bentoship.stores.artifacts import push
from bentoship.stores.registry import RegistryStore
from bentoship.system.values import dataclass
from bentoship.versions.contents import Named
from bentoship.versions.history import SUFFIX, History, Promotion, history_tag, line, read_history
from bentoship.versions.reading import image_of
from bentoship.versions.times import rfc3339

_PATIENCE = 3.0
"""Seconds in which another promotion at the same time has to come to its end."""

_PAUSE = 0.15
"""Seconds between two looks."""

_LOOKS = 2
"""How often a promotion has to be found as it was written: another may just be about to write."""

_REFUSED = re.compile(r"immutab|overwrit|protected|locked|disallow", re.IGNORECASE)
"""What registries say of a tag that they do not let move: Google, ECR, Harbor, GitLab, Docker Hub; ACR's locks."""

_MAX_NAME = 128 - len(SUFFIX)


@dataclass(frozen=True)
class Candidate:
    """An image that can be promoted.

    Args:
        descriptor: of its manifest or index.
        tags: its tags, as far as they are known.
    """

    descriptor: Descriptor
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """Where a name points, and what its history says of it. Args: digest: None where there is no such tag."""

    name: str
    digest: str | None
    history: History

    @property
    def is_recorded(self) -> bool:
        """Return whether the name points to where its history says."""
        return self.digest == self.history.digest

    @property
    def found(self) -> tuple[Promotion, ...]:
        """Return the entry that the history lacks when the name was moved by other means, such as `docker push`."""
        if self.is_recorded or self.digest is None:
            return ()
        return (Promotion(self.digest, (), self.history.digest, "", now(), "found: moved by other means"),)

    @property
    def line(self) -> tuple[Promotion, ...]:
        """Return the promotions that still hold, oldest first, with how the name came to where it is."""
        return line((*self.history.promotions, *self.found))

    @property
    def former(self) -> Promotion | None:
        """Return the promotion that a rollback returns to; None where there is none."""
        return next((one for one in reversed(self.line) if one.digest != self.digest), None)


def now() -> str:
    """Return the current time by RFC 3339."""
    return rfc3339(datetime.now(UTC))


def check_name(name: str, moving: Sequence[str]) -> None:
    """Check that a name can be promoted to. Raises BentoshipError when it cannot.

    Args:
        name: such as production.
        moving: the tags that every publish moves.
    """
    doing = f'Read the promoted name "{name}"'
    try:
        ImageReference("localhost", "image", name)
    except InvalidReferenceError as error:
        raise BentoshipError(doing, error.why, error.hint) from error
    if name.endswith(SUFFIX) or len(name) > _MAX_NAME or re.match(r"sha256[-.:]", name):
        raise BentoshipError(doing, "such tags are kept for other purposes", "Use a name such as production.")
    if name in moving:
        hint = "Use a name such as production, or leave it out of IMAGE_TAGS."
        raise BentoshipError(doing, f"each publish moves {name}, as IMAGE_TAGS names it", hint)


def find(store: RegistryStore, version: str) -> Candidate:
    """Return the image of a tag or digest, or of a reference that names the repository too.

    Raises: StoreError when there is none, or it is no image; InvalidReferenceError.
    """
    name = version_in(store.repository, version)
    is_digest = name.startswith("sha256:")
    named = image_of(store, name)
    given = () if is_digest else (name,)
    assert named.descriptor
    return Candidate(named.descriptor, (*given, *_version_tag(store, named, given)))


def _version_tag(store: RegistryStore, image: Named, given: Sequence[str]) -> tuple[str, ...]:
    """Return the tag of an image's version if it is one of its tags, and not given already."""
    version = image.annotations.get(keys.VERSION)
    if not isinstance(version, str) or version in given:
        return ()
    try:
        ImageReference("localhost", "image", version)
    except InvalidReferenceError:
        return ()
    return (version,) if store.digest_of(version) == image.digest else ()


def standing(store: RegistryStore, name: str) -> Standing:
    """Return where a name points, and its history. Raises StoreError."""
    return Standing(name, store.digest_of(name), read_history(store, name))


def settled(store: RegistryStore, name: str) -> Standing:
    """Return where a name points, and its history, once a promotion that is just being made has ended.

    Raises: StoreError.
    """
    found = standing(store, name)
    if found.is_recorded or found.digest is None:
        return found
    time.sleep(_LOOKS * _PAUSE)
    return standing(store, name)


def move(store: RegistryStore, seen: Standing, target: Descriptor, promotion: Promotion) -> bool:
    """Point a name at an image, and record it.

    Args:
        store: the repository, in which nothing but a tag and the history is written.
        seen: where the name was when it was decided to move it.
        target: the image's manifest or index, which the repository has.
        promotion: what to record.

    Returns: whether this promotion was recorded, and not another one to the same image at the same time.

    Raises: StoreError when the name was moved in the meantime; RegistryError when the registry refuses.
    """
    found = seen.found if seen.digest != target.digest else ()
    after = seen.history.followed_by(*found, promotion)
    push(store, after)  # without a tag, so that there is little time between looking and writing
    current = standing(store, seen.name)
    if _is_there(current, target):
        return False
    if _place(current) != _place(seen):
        raise _lost(store, current)
    if seen.digest != target.digest:
        _set_tag(store, target, seen)
        try:
            current = standing(store, seen.name)
        except StoreError as error:
            error.hint = f"{_unrecorded(seen, target)} {error.hint}".strip()
            raise
        if current.digest != target.digest or _place(current)[1] != _place(seen)[1]:
            return _give_way(store, current, target)
    try:
        store.tag(after.descriptor, history_tag(seen.name))
    except StoreError as error:
        if became := _put_back(store, seen, target, after.descriptor):
            hint = _exempt(seen.name) if _keeps_tags(error) else error.hint
            error.hint = f"{became} {hint}".strip()
            raise
    return _settle(store, seen, target, after)


def _settle(store: RegistryStore, seen: Standing, target: Descriptor, after: Artifact) -> bool:
    """Wait until the tag and the history are both of one promotion, and return whether that is this one.

    Of two promotions, the one whose image the tag points to wins: it writes its history again if the other one has
    overwritten it.

    Raises: StoreError when this one has lost.
    """
    deadline, looks = time.monotonic() + _PATIENCE, 0
    while True:
        current = standing(store, seen.name)
        own_tag, own_history = current.digest == target.digest, _place(current)[1] == after.descriptor.digest
        is_late = time.monotonic() > deadline
        if own_tag and own_history:
            looks += 1
            if looks == _LOOKS:
                return True
        elif _is_there(current, target):
            return False
        elif not own_history and (not own_tag or is_late):
            raise _lost(store, current)
        elif own_tag:
            store.tag(after.descriptor, history_tag(seen.name))
            continue
        elif is_late:
            _record_other(store, seen, current)
            raise _lost(store, current)
        time.sleep(_PAUSE)


def _give_way(store: RegistryStore, current: Standing, target: Descriptor) -> bool:
    """Give way to another promotion, which has written the tag or the history since; as of `_settle`."""
    if _is_there(current, target):
        return False
    if current.digest == target.digest and current.history.digest:
        store.tag(store.resolve(current.history.digest), current.name)
    raise _lost(store, current)


def _set_tag(store: RegistryStore, target: Descriptor, seen: Standing) -> None:
    """Move the tag. Raises RegistryError, in clear words when the registry does not let it move."""
    try:
        store.tag(target, seen.name)
    except RegistryError as error:
        if _keeps_tags(error):
            name = seen.name
            error.doing = f"Move {name} in {store.repository}"
            error.hint = f"The registry keeps the tag {name} where it is, and nothing was changed. {_exempt(name)}"
        raise


def _keeps_tags(error: StoreError) -> bool:
    """Return whether an error says that the registry does not let a tag move."""
    return isinstance(error, RegistryError) and not error.temporary and bool(_REFUSED.search(error.why))


def _exempt(name: str) -> str:
    tags = f"{name} and {history_tag(name)}"
    return f"Exempt {tags} from its immutable tags, or promote to a name that is new."


def _put_back(store: RegistryStore, seen: Standing, target: Descriptor, after: Descriptor) -> str:
    """Move the tag back, as it cannot be recorded that it was moved.

    Args:
        store, seen, target: as of `move`.
        after: the manifest of the history that could not be tagged.

    Returns: what came of that, in words; empty where it is recorded, and only the registry's answer was lost.
    """
    with suppress(StoreError):
        if _place(standing(store, seen.name))[1] == after.digest:
            return ""
        if seen.digest and seen.digest != target.digest:
            store.tag(store.resolve(seen.digest), seen.name)
            return f"{seen.name} stays where it was, as the promotion cannot be recorded."
    return _unrecorded(seen, target)


def _unrecorded(seen: Standing, target: Descriptor) -> str:
    return f"{seen.name} points to {target.digest}, which is not recorded: run the same command again."


def _record_other(store: RegistryStore, seen: Standing, current: Standing) -> None:
    """Write the history as it was, with an entry for where the name points: the other promotion's was overwritten."""
    other = replace(current, history=seen.history)
    store.tag(push(store, seen.history.followed_by(*other.found)), history_tag(seen.name))


def _is_there(current: Standing, target: Descriptor) -> bool:
    return current.is_recorded and current.digest == target.digest


def _place(current: Standing) -> tuple[str | None, str | None]:
    """Return what distinguishes a standing from another: the digests of the image and of the history."""
    manifest = current.history.manifest
    return current.digest, manifest.digest if manifest else None


def _lost(store: RegistryStore, current: Standing) -> StoreError:
    last = current.history.promotions[-1] if current.history.promotions else None
    by = f", by {last.by} at {last.when}" if last and last.by and current.is_recorded else ""
    where = f"now points to {current.digest}{by}" if current.digest else "does not exist any more"
    hint = f"Look at `invoke versions --history {current.name}`, then run the command again if it is still wanted."
    return StoreError(f"Move {current.name} in {store.repository}", f"it was moved in the meantime: it {where}", hint)


def rolled_back(seen: Standing, by: str, why: str) -> Promotion:
    """Return the entry of a rollback. Raises BentoshipError when there is nothing to return to.

    Args:
        seen: where the name is.
        by: who rolls back.
        why: in words; may be empty.
    """
    doing = f"Roll {seen.name} back"
    if seen.digest is None:
        last = seen.history.digest
        hint = (
            f"Its history ends with {last}: `invoke promote {last} {seen.name}` returns to it."
            if last
            else f"Nothing was promoted to it yet; `invoke promote VERSION {seen.name}` does that."
        )
        raise BentoshipError(doing, f"there is no tag {seen.name}", hint)
    if seen.former is None:
        hint = f"`invoke versions --history {seen.name}` shows it; `invoke promote` takes any version."
        raise BentoshipError(doing, "its history has no earlier image", hint)
    return replace(
        seen.former,
        origin=seen.digest,
        by=by,
        when=now(),
        why=f"rollback: {why}" if why else "rollback",
        conditions=(),
        is_rollback=True,
    )

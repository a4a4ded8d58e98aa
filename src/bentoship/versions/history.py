"""The history of a promoted name such as production: where it has pointed, kept in the registry itself.

It is an artifact under the tag NAME.history. Its only blob is JSON, {"promotions": […]}, the oldest first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bentoship.errors import StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.image.document import parse_json, to_json
from bentoship.stores.graph import MAX_MANIFEST, read_blob
from bentoship.stores.registry import RegistryStore
from bentoship.system.text import flaw
from bentoship.system.values import dataclass

SUFFIX = ".history"

_MOST = 1000
"""The number of promotions that a history keeps; the oldest go first."""

_MAX_TEXT = 1000
_MAX_TEXTS = 50
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Promotion:
    """An entry of a history: a name was pointed at an image.

    Args:
        digest: of the image's manifest or index.
        tags: the image's tags that were known then.
        origin: the digest that the name pointed at before; None where it did not exist.
        by: who did it; empty when that is not known.
        when: by RFC 3339.
        why: in words.
        conditions: those that held, in words.
        is_rollback: whether it took back the promotion before, rather than adding one.
    """

    digest: str
    tags: Sequence[str] = ()
    origin: str | None = None
    by: str = ""
    when: str = ""
    why: str = ""
    conditions: Sequence[str] = ()
    is_rollback: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return its JSON; only a rollback has the key `rollback`."""
        return {
            "digest": self.digest,
            "tags": list(self.tags),
            "from": self.origin,
            "by": self.by[:_MAX_TEXT],
            "when": self.when,
            "why": self.why[:_MAX_TEXT],
            "conditions": [text[:_MAX_TEXT] for text in self.conditions[:_MAX_TEXTS]],
            **({"rollback": True} if self.is_rollback else {}),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Promotion:
        """Read an entry's JSON; long texts are cut. Raises KeyError, ValueError."""
        origin = data.get("from")
        return cls(
            _digest(data["digest"]),
            _texts(data.get("tags")),
            _digest(origin) if origin is not None else None,
            _text(data.get("by")),
            _text(data.get("when")),
            _text(data.get("why")),
            _texts(data.get("conditions")),
            data.get("rollback") is True,
        )


@dataclass(frozen=True)
class History:
    """The promotions of a name. Args: promotions: oldest first; manifest: what holds them; None without a history."""

    promotions: tuple[Promotion, ...] = ()
    manifest: Descriptor | None = None

    @property
    def digest(self) -> str | None:
        """Return the digest that the name points to by its history; None without one."""
        return self.promotions[-1].digest if self.promotions else None

    @property
    def line(self) -> tuple[Promotion, ...]:
        """Return the promotions that still hold, oldest first: each rollback takes back those after its target."""
        return line(self.promotions)

    def followed_by(self, *promotions: Promotion) -> Artifact:
        """Return the artifact of this history with more promotions at its end, as many of the newest as can be read."""
        every = [one.to_dict() for one in (*self.promotions, *promotions)][-_MOST:]
        content = to_json({"promotions": every})
        while len(content) > MAX_MANIFEST:
            every = every[len(every) // 10 + 1 :]
            content = to_json({"promotions": every})
        previous = {keys.PREVIOUS: self.manifest.digest} if self.manifest else {}
        return Artifact(keys.HISTORY_TYPE, [Blob("application/json", content, {keys.TITLE: "history.json"})], previous)


def line(promotions: Sequence[Promotion]) -> tuple[Promotion, ...]:
    """Return the promotions that still hold, as of `History.line`."""
    held: list[Promotion] = []
    for one in promotions:
        if not one.is_rollback:
            held.append(one)
            continue
        kept = held[:-1]
        while kept and kept[-1].digest != one.digest:
            kept.pop()
        held = kept or [one]  # the promotion that it returned to is older than the history
    return tuple(held)


def history_tag(name: str) -> str:
    """Return the tag of the history of a name."""
    return f"{name}{SUFFIX}"


def promoted_names(tags: Sequence[str]) -> list[str]:
    """Return the promoted names: those whose history is among the tags."""
    return sorted(name for tag in tags if (name := tag.removesuffix(SUFFIX)) != tag and name)


def read_history(store: RegistryStore, name: str) -> History:
    """Return the history of a name; an empty one where there is none.

    Raises: StoreError when it cannot be read, or the tag is of something else.
    """
    tag = history_tag(name)
    doing = f"Read {tag} in {store.repository}"
    found = store.find(tag)
    if found is None:
        return History()
    manifest, content = found
    hint = f"Remove that tag from the registry, or use another name than {name}."
    try:
        document = parse_json(content)
        if document.get("artifactType") != keys.HISTORY_TYPE:
            raise StoreError(doing, "it is not a history of promotions", hint)
        [layer] = document["layers"]
        entries = parse_json(read_blob(store, Descriptor.from_dict(layer), doing))["promotions"]
        return History(tuple(Promotion.from_dict(entry) for entry in entries[-_MOST:]), manifest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(doing, f"the history is damaged ({flaw(error)})"[:_MAX_TEXT], hint) from error


def _digest(value: Any) -> str:
    if not isinstance(value, str) or not _DIGEST.fullmatch(value):
        raise ValueError(f"{str(value)[:80]!r} is not a digest")
    return value


def _text(value: Any) -> str:
    return value[:_MAX_TEXT] if isinstance(value, str) else ""


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(_text(one) for one in value[:_MAX_TEXTS]) if isinstance(value, list) else ()

"""A version from its manifests and referrers, which anyone may have written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from bentoship.image import keys
from bentoship.image.descriptor import CONFIG_TYPES, INDEX_TYPES, Descriptor
from bentoship.image.document import parse_json
from bentoship.image.manifest import KIND
from bentoship.image.platforms import manifests_by_platform
from bentoship.stores.artifacts import Referrer, subject_of
from bentoship.system.text import flaw
from bentoship.system.values import dataclass
from bentoship.versions.metadata import parts, text
from bentoship.versions.times import parse_time
from bentoship.versions.verified import verified
from bentoship.versions.version import Part, Version

_MOST_IMAGES = 100
"""Images of an index that are read."""

NO_PLATFORM = "its index has no image for any platform"
"""What is wrong with an index that lists nothing to run."""


@dataclass(frozen=True)
class Named:
    """The manifest or index under some tags.

    Args:
        descriptor: of the manifest or index; None where it could not be read.
        content: its bytes.
        tags: sorted.
        problem: why it could not be read, in words.
    """

    descriptor: Descriptor | None
    content: bytes
    tags: Sequence[str]
    problem: str = ""

    @property
    def digest(self) -> str:
        """Return the digest; empty where it could not be read."""
        return self.descriptor.digest if self.descriptor else ""

    @cached_property
    def document(self) -> dict[str, Any]:
        """Return the manifest; an empty one where it could not be read."""
        found = parse_json(self.content) if self.descriptor else {}
        return found if isinstance(found, dict) else {}

    @property
    def is_image(self) -> bool:
        """Return whether it is an image or an index, as far as that is known.

        It is not where it is an artifact such as a signature, or belongs to another image, as a volume of its models or
        the index of its attestations.
        """
        document = self.document
        if self._beside:
            return False
        if not self.descriptor or self.descriptor.media_type in INDEX_TYPES:
            return not document.get("artifactType") and not document.get("subject") and not _lists_artifacts(document)
        config = document.get("config")
        is_config = not isinstance(config, dict) or config.get("mediaType") in CONFIG_TYPES
        return is_config and not document.get("subject")

    @property
    def _beside(self) -> str:
        """Return the digest of the image that its tags are beside; empty for tags of its own."""
        return next(filter(None, map(subject_of, self.tags)), "")

    @property
    def artifact_type(self) -> str:
        """Return what an artifact says that it is."""
        return text(self.document.get("artifactType"))

    @property
    def nature(self) -> str:
        """Return what it is where it is no image, in words."""
        config, subject = self.document.get("config"), self.document.get("subject")
        said = self.artifact_type or (text(config.get("mediaType")) if isinstance(config, dict) else "")
        of = text(subject.get("digest")) if isinstance(subject, dict) else self._beside
        if of and said in ("", *CONFIG_TYPES):
            return f"a part of {of}"
        if not said and _lists_artifacts(self.document):
            return "a list of artifacts"
        return said or "an artifact of an unknown kind"

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Return the annotations; none if they are no object."""
        found = self.document.get("annotations")
        return found if isinstance(found, dict) else {}

    @property
    def has_parts(self) -> bool:
        """Return whether there is more to read than its manifest."""
        return bool(self.descriptor and self.descriptor.media_type in INDEX_TYPES) or keys.METADATA in self.annotations

    @property
    def images(self) -> dict[str, Descriptor]:
        """Return the images of an index, by platform; none for a manifest. Raises ValueError for a damaged one."""
        if not self.descriptor or self.descriptor.media_type not in INDEX_TYPES:
            return {}
        try:
            found = manifests_by_platform(self.content)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the index is damaged ({flaw(error)})") from error
        if len(found) > _MOST_IMAGES:
            raise ValueError(f"the index lists {len(found)} images")
        return found


def _lists_artifacts(index: Mapping[str, Any]) -> bool:
    """Return whether an index lists artifacts alone, as that of an image's referrers does."""
    entries = index.get("manifests")
    return (
        bool(entries)
        and isinstance(entries, list)
        and all(isinstance(e, dict) and e.get("artifactType") for e in entries)
    )


def version_of(
    named: Named,
    images: Mapping[str, bytes],
    referrers: Iterable[Referrer],
    promoted: Iterable[str],
    document: bytes = b"",
) -> Version:
    """Return a version.

    Args:
        named: its manifest or index.
        images: the manifests of an index, by platform.
        referrers: what refers to it.
        promoted: the names that it is promoted to.
        document: the values that are too large for its annotations; empty for none.
    """
    known = Version(named.digest, named.tags, promoted=tuple(sorted(promoted)), problem=named.problem)
    if named.problem:
        return known
    if named.descriptor and named.descriptor.media_type in INDEX_TYPES and not images:
        return replace(known, problem=NO_PLATFORM)
    try:
        manifests = {name: parse_json(content) for name, content in images.items()}
        layers = _layers(manifests or {"": named.document})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return replace(known, problem=f"it is damaged ({flaw(error)})")
    made, commit = _made(referrers)
    return Version(
        **parts(_said(named, images), document),
        digest=named.digest,
        tags=named.tags,
        size=sum(part.descriptor.size for part in layers),
        platforms=tuple(images) or _platforms(referrers),
        layers=layers,
        created=made,
        commit=commit,
        promoted=known.promoted,
        verified=verified(referrers),
    )


def _said(named: Named, images: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the annotations of a manifest or an index, with those that all images of the index have.

    An index that others have put together of our images, as `docker buildx imagetools create` does, has none itself.
    """
    each = [found for content in images.values() if isinstance(found := parse_json(content).get("annotations"), dict)]
    first, *others = each if len(each) == len(images) and each else [{}]
    common = {key: value for key, value in first.items() if all(one.get(key) == value for one in others)}
    return {**common, **named.annotations}


def _layers(manifests: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the layers of some manifests, each once. Raises KeyError, TypeError, AttributeError or ValueError.

    Args: manifests: by platform; an image alone has the platform "".
    """
    found: dict[str, Part] = {}
    for platform, manifest in manifests.items():
        for entry in manifest["layers"]:
            part = Part(Descriptor.from_dict(entry), text((entry.get("annotations") or {}).get(KIND)))
            known = found.setdefault(part.descriptor.digest, part)
            if platform and platform not in known.platforms:
                found[part.descriptor.digest] = replace(known, platforms=(*known.platforms, platform))
    return tuple(found.values())


def _platforms(referrers: Iterable[Referrer]) -> tuple[str, ...]:
    """Return what a single image is for, by its provenance; none when that does not say it."""
    said = next((one.annotations[keys.PLATFORMS] for one in referrers if keys.PLATFORMS in one.annotations), "")
    return tuple(filter(None, text(said).split(",")))


def _made(referrers: Iterable[Referrer]) -> tuple[datetime | None, str]:
    """Return when an image was first made, and from which commit, as it may have been published again since.

    A commit whose work tree was not clean counts only if there is no other.
    """
    found = [
        (created, one.annotations)
        for one in referrers
        if (created := parse_time(one.annotations.get(keys.CREATED))) and keys.VERIFIED not in one.annotations
    ]
    made = min((created for created, _ in found), default=None)
    commits = [(said.get(keys.CLEAN) == "false", created, text(said.get(keys.COMMIT))) for created, said in found]
    return made, min(filter(lambda one: one[-1], commits), default=("",))[-1]

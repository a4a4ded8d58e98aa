"""Why a planned image differs from the one published last: which files, packages and settings changed."""

import filecmp
import hashlib
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal, cast

from bentoship.assembly.config import BENTO_PATH, base_of, experiment_of, models_of, own_settings, packages_of
from bentoship.assembly.plan import PlannedImage
from bentoship.bento import Model
from bentoship.errors import StoreError
from bentoship.image.descriptor import Descriptor, short
from bentoship.image.layer import Estimate, Kind, Layer
from bentoship.image.manifest import Image
from bentoship.image.platforms import with_owners
from bentoship.packages.requirements import canonical_name
from bentoship.stores import Source
from bentoship.stores.graph import read_images
from bentoship.stores.unpacking import Plain
from bentoship.system.values import dataclass


@dataclass(frozen=True)
class Thing:
    """A file, package or setting of an image.

    Args:
        size: the size of a file, in bytes.
        version: the version of a package.
        identity: a text that differs whenever the content or value does.
    """

    size: int | None = None
    version: str | None = None
    identity: str = ""


@dataclass(frozen=True)
class Change:
    """The change of one file, package or setting.

    Args:
        name: its name, or a file's path.
        before: the published one; None when it is new.
        now: the planned one; None when it was removed.
    """

    name: str
    before: Thing | None
    now: Thing | None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        """Return the kind of change in one word."""
        if self.before is None:
            return "added"
        return "removed" if self.now is None else "changed"

    @property
    def size(self) -> int:
        """Return the planned size in bytes, else the published one; 0 for anything but files."""
        thing = self.now or self.before
        return (thing and thing.size) or 0


@dataclass(frozen=True)
class Difference:
    """The reasons why a part of an image differs.

    Args:
        title: the title of the part's layer.
        changes: the changes, the largest first.
        note: a remark, in addition to the changes or instead of them.
    """

    title: str
    changes: tuple[Change, ...]
    note: str = ""


def published_images(store: Source, root: Descriptor) -> dict[str, Image]:
    """Return the images of a manifest or index, by platform.

    Raises: StoreError when one cannot be read, or was not assembled by bentoship.
    """
    images = read_images(store, root)
    try:
        for image in images.values():
            for told in (base_of, packages_of, models_of):
                told(image)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StoreError(f"Read the image {root.digest}", "it was not assembled by bentoship") from None
    return images


def differences(
    planned: Mapping[str, PlannedImage], published: Mapping[str, Image], blobs: Source
) -> list[tuple[Difference, tuple[str, ...]]]:
    """Return why planned images differ from the published ones, each reason with the platforms that it applies to.

    Args:
        planned: the planned images, by platform.
        published: the published images, by platform.
        blobs: a source for the layers of both, as far as available.
    """
    dropped = [Difference("image", (), "is no longer built for this platform")]
    added = [Difference("image", (), "nothing was published for this platform")]
    by_platform = {
        platform: list(_differences(image, published[platform], blobs)) if platform in published else added
        for platform, image in planned.items()
    }
    return with_owners({**by_platform, **{name: dropped for name in published if name not in planned}}, repr)


def recorded_differences(before: Image, now: Image) -> tuple[Difference, Difference]:
    """Return how the base and the packages of two published images differ, by their configurations alone.

    Raises: KeyError, TypeError, AttributeError or ValueError when one of them does not say it.
    """
    packages = changes(_versions(packages_of(before)), _versions(packages_of(now)))
    same = base_of(before) == base_of(now)
    base = Difference("base", ()) if same else _base("base", base_of(before), base_of(now))
    return base, Difference("packages", packages)


def changes(before: Mapping[str, Thing], now: Mapping[str, Thing]) -> tuple[Change, ...]:
    """Return the changes between two sets of things, the largest first."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    found = (Change(name, before.get(name), now.get(name)) for name in names)
    return tuple(sorted(found, key=lambda change: (-change.size, change.name)))


def _differences(planned: PlannedImage, published: Image, blobs: Source) -> Iterator[Difference]:
    """Yield the differences of an image's parts, each of which may have several layers."""
    bento = planned.recipe.bento
    models = {model.name: model for model in bento.models}
    former = {tag.partition(":")[0]: tag for tag in models_of(published)}
    now = _by_part(planned.layers, [model.tag for model in bento.models])
    before = _by_part(published.layers, models_of(published))
    for kind, name in dict.fromkeys([*now, *before]):
        old, new = before.get((kind, name), []), now.get((kind, name), [])
        if {_digest(layer) for layer in old} == {_digest(layer) for layer in new}:
            continue
        title = (new or old)[0].title
        if not new:
            yield Difference(title, (), "is no longer packed")
        elif kind == "base":
            yield _base(title, base_of(published), planned.recipe.outline.origin)
        elif kind == "packages":
            yield _packages(packages_of(published), planned.recipe.lock.lines)
        elif kind == "model":
            yield _model(title, models[name], former.get(name, ""))
        else:
            yield _files(title, [layer.descriptor for layer in old], [layer.descriptor for layer in new], blobs)
    # Packages and base, which the configuration also lists, are reported by their own parts.
    for part, told in (("settings", lambda image: own_settings(image.settings)), ("metadata", experiment_of)):
        if planned.image and (found := changes(_texts(told(published)), _texts(told(planned.image)))):
            yield Difference(part, found)


def _digest(layer: Layer | Estimate) -> str | None:
    return layer.descriptor.digest if layer.descriptor else None


def _by_part(
    layers: Iterable[Layer | Estimate], models: Sequence[str]
) -> dict[tuple[Kind, str], list[Layer | Estimate]]:
    """Return layers by the part that they belong to: their kind, and for models the model's name.

    Args:
        layers: the layers of an image.
        models: the tags of its models, in the order of their layers.
    """
    names = (tag.partition(":")[0] for tag in models)
    found: dict[tuple[Kind, str], list[Layer | Estimate]] = {}
    for layer in layers:
        found.setdefault((layer.kind, next(names, "") if layer.kind == "model" else ""), []).append(layer)
    return found


def _base(title: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Difference:
    if "debian" in before and "debian" in now:
        found = changes(_debian(before), _debian(now))
        return Difference(title, found, "" if found else "the same packages, rebuilt")
    if not now:
        return Difference(title, (), f"was {_named(before)}; its layers changed")
    return Difference(title, (), f"was {_named(before)}, is {_named(now)}")


def _debian(origin: Mapping[str, Any]) -> dict[str, Thing]:
    return {one["name"]: Thing(version=one["version"]) for one in origin["debian"]["packages"]}


def _named(origin: Mapping[str, Any]) -> str:
    return f"{origin['image']}@{short(origin['digest'])}…" if "image" in origin else "assembled from Debian's packages"


def _packages(before: Sequence[str], now: Sequence[str]) -> Difference:
    found = changes(_versions(before), _versions(now))
    return Difference("packages", found, "" if found else "the same versions, reinstalled for the changed base")


def _versions(lines: Iterable[str]) -> dict[str, Thing]:
    """Return the packages that requirement lines pin to a version."""
    exact = (line.partition("==") for line in lines if canonical_name(line))
    return {canonical_name(name): Thing(version=re.split(r"[\s;]", rest)[0]) for name, sign, rest in exact if sign}


def _model(title: str, model: Model, former: str) -> Difference:
    """Compare the files of two versions of a model, if the model store still has the former."""
    version = former.rpartition(":")[2]
    folder = model.path.parent / version
    if former and not folder.is_dir():
        return Difference(title, (), f"was {version}, which is no longer in the model store")
    before, now = _paths(folder) if former else {}, _paths(model.path)
    same = {name for name in before.keys() & now.keys() if filecmp.cmp(before[name], now[name], shallow=False)}
    found = changes(
        {name: Thing(path.stat().st_size, None, "" if name in same else "before") for name, path in before.items()},
        {name: Thing(path.stat().st_size, None, "" if name in same else "now") for name, path in now.items()},
    )
    return Difference(title, found, "" if found else "the same files, rebuilt")


def _paths(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}


def _files(
    title: str, before: Iterable[Descriptor | None], now: Iterable[Descriptor | None], blobs: Source
) -> Difference:
    """Compare the files in the layers of both images."""
    if None in now:
        return Difference(title, (), "is not built yet")
    try:
        return Difference(title, changes(_content(before, blobs), _content(now, blobs)))
    except StoreError as error:
        return Difference(title, (), f"its files cannot be compared: {error.why}")


def _content(layers: Iterable[Descriptor | None], blobs: Source) -> dict[str, Thing]:
    return {name: thing for blob in layers if blob for name, thing in _listed(blob, blobs)}


def _listed(layer: Descriptor, blobs: Source) -> Iterator[tuple[str, Thing]]:
    """Yield the files and links of a layer. Raises StoreError when it is missing or damaged."""
    try:
        with blobs.open(layer) as content:
            plain = Plain(layer, content)
            with plain.tar() as tar:
                for member in plain.members(tar):
                    if not member.isdir():
                        file = tar.extractfile(member) if member.isreg() else None
                        digest = (
                            hashlib.file_digest(cast("BufferedReader", file), "sha256").hexdigest()
                            if file
                            else member.linkname
                        )
                        name = member.name.removeprefix(f"{BENTO_PATH}/")
                        yield name, Thing(member.size, None, f"{member.mode:o} {digest}")
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise StoreError(f"Read {layer.digest}", str(error)) from error


def _texts(named: Mapping[str, str]) -> dict[str, Thing]:
    return {name: Thing(identity=text) for name, text in named.items()}

"""What the image of a recipe is made of, as an SBOM lists it: from what is known of its parts, not from its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bentoship.assembly.config import BENTO_PATH
from bentoship.assembly.image import model_entries
from bentoship.assembly.recipe import Recipe
from bentoship.bases import Base
from bentoship.bento import Model
from bentoship.image.component import Component, Contents
from bentoship.image.manifest import Image
from bentoship.layers.cache import LayerCache
from bentoship.packages.licenses import stated_in
from bentoship.packages.package import stated
from bentoship.packages.requirements import bare, canonical_name, hashes, subject
from bentoship.system import records
from bentoship.system.files import digest_of
from bentoship.system.records import key_of
from bentoship.system.rootfs import resolve
from bentoship.system.urls import without_secrets

# Increase it when the same parts give other components.
_RECIPE = "2"

_STATUS = "var/lib/dpkg/status"
"""Where Debian lists what is installed (man dpkg-query); an image without a package manager has files in its .d."""

_METADATA = ("*.dist-info/METADATA", "*.egg-info/PKG-INFO")
"""Where an installed package describes itself, in the form of wheels and in the one before."""

_MAX = 1 << 20


def contents_of(recipe: Recipe, base: Base, cache: LayerCache, image: Image) -> Contents:
    """Return what the image of a recipe is made of.

    Args:
        recipe: the recipe.
        base: the base that it names.
        cache: knows the packages' licences.
        image: what was assembled.
    """
    layers = [layer.descriptor.digest for layer in image.layers if layer.kind == "model"]
    models = list(zip(recipe.bento.models, layers, strict=True))
    named = [f"{model.tag} {layer}" for model, layer in models]
    key = key_of(
        "contents", _RECIPE, base.platform, json.dumps(base.origin, sort_keys=True), *recipe.lock.lines, repr(named)
    )
    return Contents(
        key,
        lambda: [
            *_system(base),
            *_all_packages(recipe, base, cache),
            *(_model(model, layer, cache) for model, layer in models),
        ],
    )


def _all_packages(recipe: Recipe, base: Base, cache: LayerCache) -> Iterator[Component]:
    """Yield the Python packages of an image, and those that a base from a registry has itself, such as pip."""
    own = list(_packages(recipe, base, cache))
    others = {(one.name, one.version): one for one in (_packages_of(base) if "image" in base.origin else ())}
    yield from own
    yield from (others[key] for key in sorted(others.keys() - {(one.name, one.version) for one in own}))


def _packages_of(base: Base) -> Iterator[Component]:
    """Yield the Python packages that are installed in a base for any of its Pythons, as by pip.

    Those that Debian has packaged are in a folder of their own (Debian's Python policy, "Module Path"), and known by
    their Debian packages.
    """
    for prefix in dict.fromkeys((base.facts.python.parent.parent, PurePosixPath("/usr/local"))):
        for place in _METADATA:
            for file in sorted(resolve(base.rootfs, prefix / "lib").glob(f"python3.*/*-packages/{place}")):
                try:
                    name, version, licensed = stated_in(resolve(base.rootfs, file.relative_to(base.rootfs).as_posix()))
                except OSError:  # a link that leads nowhere
                    continue
                if name and version:
                    yield Component("python", canonical_name(name) or name, version, license=licensed)


def _packages(recipe: Recipe, base: Base, cache: LayerCache) -> Iterator[Component]:
    job = recipe.job(base, cache)
    for line, installed in zip(recipe.lock.lines, recipe.lock.installed, strict=True):
        found = stated(job, installed)
        if found and not found.name:  # it installs nothing here
            continue
        requirement, _, origin = (part.strip() for part in bare(line).partition(" @ "))
        exact = re.search(r"===?\s*([^,;\s]+)", requirement)
        name = (found.name if found else "") or subject(line) or requirement
        yield Component(
            "python",
            canonical_name(name) or name,
            found.version if found else exact[1] if exact else "",
            sha256=[digest.removeprefix("sha256:") for digest in hashes(line) if digest.startswith("sha256:")],
            license=found.license if found else "",
            origin=_public(origin.partition(" ;")[0]),
        )


def _public(address: str) -> str:
    """Return an address without its secrets; empty for a path of this machine, of no use elsewhere."""
    return without_secrets(address) if "://" in address and "file:" not in address else ""


def _system(base: Base) -> Iterator[Component]:
    release = _release(base.rootfs)
    if release:
        yield Component("system", *release)
    distribution, version = release or ("debian", "")
    distro = {"distro": f"{distribution}-{version}"} if version else {}
    if "image" in base.origin:
        yield Component("image", base.origin["image"], base.origin["digest"])
        packages = _installed(base.rootfs)
    else:
        packages = base.origin.get("debian", {}).get("packages", [])
    for one in packages:
        yield Component(
            "debian",
            one["name"],
            one["version"],
            sha256=[one["sha256"]] if "sha256" in one else [],
            license=_license(resolve(base.rootfs, f"usr/share/doc/{one['name']}/copyright")),
            details={"arch": one["architecture"], **distro},
            origin=distribution,
        )


def _release(rootfs: Path) -> tuple[str, str] | None:
    """Return which distribution a base is of, and in which version: ("debian", "12"); None when it does not say."""
    try:
        text = resolve(rootfs, "usr/lib/os-release").read_text("utf-8", "replace")
    except OSError:
        return None
    fields = dict(re.findall(r'(?m)^(ID|VERSION_ID)="?([\w.-]+)"?$', text))
    return (fields["ID"], fields.get("VERSION_ID", "")) if "ID" in fields else None


def _installed(rootfs: Path) -> list[Mapping[str, str]]:
    """Return the Debian packages of a base from a registry, by name."""
    several = sorted(resolve(rootfs, f"{_STATUS}.d").glob("*"))
    names = [_STATUS, *(f"{_STATUS}.d/{file.name}" for file in several if file.suffix != ".md5sums")]
    found = {}
    for file in filter(Path.is_file, (resolve(rootfs, name) for name in names)):
        for paragraph in file.read_text("utf-8", "replace").split("\n\n"):
            fields = dict(re.findall(r"(?m)^(Package|Version|Architecture|Status): (\S.*)$", paragraph))
            if {"Package", "Version", "Architecture"} <= fields.keys() and _is_installed(fields):
                one = {key.lower(): fields[key] for key in ("Version", "Architecture")}
                found[fields["Package"], fields["Architecture"]] = {"name": fields["Package"], **one}
    return [found[name] for name in sorted(found)]


def _is_installed(fields: Mapping[str, str]) -> bool:
    return fields.get("Status", "install ok installed").endswith(" installed")


def _license(copyright_file: Path) -> str:
    """Return the licences of a Debian package, if it states them in the form that programs read (DEP 5); else ""."""
    try:
        with copyright_file.open("rb") as stream:
            text = stream.read(_MAX).decode("utf-8", "replace")
    except OSError:  # it links to that of another package, which may be left out
        return ""
    if "copyright-format" not in text.partition("\n")[0]:
        return ""
    names: Sequence[str] = re.findall(r"(?m)^License:[ \t]*(\S.*?)\s*$", text)
    return ", ".join(sorted(set(names)))


def _model(model: Model, layer: str, cache: LayerCache) -> Component:
    digests = sorted(_digests(model, layer, cache).items())
    files = tuple(Component("file", path, sha256=(digest,)) for path, digest in digests)
    return Component("model", model.name, model.version, layer=layer, parts=files)


def _digests(model: Model, layer: str, cache: LayerCache) -> Mapping[str, str]:
    """Return the SHA-256 of each file of a model, by its path there; what no archive tells is read, once for a layer.

    Args:
        model: the model.
        layer: the digest of its layer.
        cache: keeps them.
    """
    record = cache.folder / "keys" / f"{key_of('files', layer)}.json"
    known = records.read_as(record, lambda data: {str(path): str(digest) for path, digest in data.items()})
    if known is not None:
        return known
    at = f"{BENTO_PATH}/models/{model.name}/{model.version}/"
    found = {
        entry.path.removeprefix(at): entry.sha256 or digest_of(entry.content)
        for entry in model_entries(model)
        if isinstance(entry.content, Path)
    }
    records.keep(record, found)
    return found

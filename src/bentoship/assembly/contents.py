"""What the image of a recipe is made of, as an SBOM lists it: from what is known of its parts, not from its files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from bentoship.assembly.recipe import Recipe
from bentoship.bases import Base
from bentoship.bento import Model
from bentoship.image.component import Component, Contents
from bentoship.image.manifest import Image
from bentoship.layers.cache import LayerCache
from bentoship.packages.package import find
from bentoship.packages.requirements import bare, canonical_name, hashes
from bentoship.system.records import key_of
from bentoship.system.rootfs import resolve
from bentoship.system.urls import without_secrets

# Increase it when the same parts give other components.
_RECIPE = "1"

_STATUS = "var/lib/dpkg/status"
"""Where Debian lists what is installed (man dpkg-query); an image without a package manager has files in its .d."""

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
    models = [_model(*pair) for pair in zip(recipe.bento.models, layers, strict=True)]
    key = key_of(
        "contents", _RECIPE, base.platform, json.dumps(base.origin, sort_keys=True), *recipe.lock.lines, repr(models)
    )
    return Contents(key, lambda: [*_system(base), *_packages(recipe, base, cache), *models])


def _packages(recipe: Recipe, base: Base, cache: LayerCache) -> Iterator[Component]:
    job = recipe.job(base, cache)
    for line, installed in zip(recipe.lock.lines, recipe.lock.installed, strict=True):
        found = find(job, installed)
        if found and not found.name:  # it installs nothing here
            continue
        requirement, _, origin = (part.strip() for part in bare(line).partition(" @ "))
        exact = re.search(r"===?\s*([^,;\s]+)", requirement)
        name = (found.name if found else "") or canonical_name(requirement) or requirement
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
                found[fields["Package"]] = {"name": fields["Package"], **one}
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


def _model(model: Model, layer: str) -> Component:
    files = tuple(Component("file", path, sha256=(digest,)) for path, digest in sorted(model.digests.items()))
    return Component("model", model.name, model.version, layer=layer, parts=files)

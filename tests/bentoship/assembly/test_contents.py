"""What an image is made of, as an SBOM lists it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship.assembly.contents import contents_of
from bentoship.assembly.image import assemble
from bentoship.bases import Base
from bentoship.bento import Bento
from bentoship.image.component import Component
from bentoship.layers.cache import LayerCache
from tests.support.synthetic import laid_out, recipe_of
from tests.support.wheels import make_wheel

DIGESTS = {"weights.bin": "03ac674216f3e15c761ee1a5e255f067953623c8b388b4459e13f978d7c846f4"}

DEP_5 = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
License: GPL-2+

Files: debian/*
License: MIT
"""


@pytest.fixture
def bento(tmp_path: Path) -> Bento:
    """A Bento with one package and one model, whose files have known digests."""
    bento = laid_out(tmp_path)
    make_wheel(tmp_path / "wheels", "tool", script="run-tool", license="Apache-2.0")
    return replace(bento, models=tuple(replace(model, digests=DIGESTS) for model in bento.models))


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    """The files of a base, as far as they say what it is made of."""
    files = {
        "usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "usr/share/doc/libc6/copyright": DEP_5,
        "usr/share/doc/free/copyright": "This is free.\nLicense: none that a program reads\n",
    }
    return laid(tmp_path / "rootfs", files)


def laid(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below a folder, and return it."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def components(bento: Bento, base: Base, cache: Path, scratch: Path) -> dict[str, Component]:
    """The components of the image of a Bento, by kind and name."""
    layers = LayerCache(cache / "layers")
    recipe = recipe_of(bento, base.outline, layers)
    image = assemble(recipe, base, layers, scratch)
    return {f"{one.kind} {one.name}": one for one in contents_of(recipe, base, layers, image).components()}


def test_an_image_is_made_of_packages_and_models(
    bento: Bento, base: Base, cache: Path, tmp_path: Path, rootfs: Path
) -> None:
    """Debian's and Python's with their licences, and each file of a model."""
    found = components(bento, replace(base, rootfs=rootfs), cache, tmp_path)
    assert found.keys() == {"system debian", "debian libc6", "python tool", "model stars"}
    assert found["system debian"].version == "12"
    package = found["debian libc6"]
    assert (package.version, package.sha256, package.license) == ("2.36-9", ["0" * 64], "GPL-2+, MIT")
    assert package.details == {"arch": "amd64", "distro": "debian-12"}
    assert (found["python tool"].version, found["python tool"].license) == ("1.0", "Apache-2.0")
    assert found["model stars"].parts[0] == Component("file", "weights.bin", sha256=tuple(DIGESTS.values()))
    assert found["model stars"].layer.startswith("sha256:")


def test_packages_are_known_that_are_no_longer_in_the_cache(
    bento: Bento, base: Base, cache: Path, tmp_path: Path
) -> None:
    """A limit may have removed them, while the image has them still."""
    layers = LayerCache(cache / "layers")
    recipe = recipe_of(bento, base.outline, layers)
    image = assemble(recipe, base, layers, tmp_path)
    layers.trim(0, [layer.descriptor.digest for layer in image.layers])
    (found,) = (one for one in contents_of(recipe, base, layers, image).components() if one.kind == "python")
    assert (found.name, found.version, found.license) == ("tool", "1.0", "Apache-2.0")


def test_each_file_of_a_model_is_listed_that_is_in_no_archive(
    bento: Bento, base: Base, cache: Path, tmp_path: Path
) -> None:
    """As of one that was saved in the store; its files are read once for a layer."""
    stored = replace(bento, models=tuple(replace(model, digests={}) for model in bento.models))
    (model,) = stored.models
    (model.path / "sub").mkdir()
    (model.path / "sub" / "empty").touch()
    (model.path / "link").symlink_to("weights.bin")
    expected = [
        Component("file", "sub/empty", sha256=(hashlib.sha256(b"").hexdigest(),)),
        Component("file", "weights.bin", sha256=tuple(DIGESTS.values())),
    ]
    assert list(components(stored, base, cache, tmp_path)["model stars"].parts) == expected
    info = (model.path / "weights.bin").stat()
    (model.path / "weights.bin").write_bytes(b"4321")
    os.utime(model.path / "weights.bin", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert list(components(stored, base, cache, tmp_path)["model stars"].parts) == expected


def test_a_base_from_a_registry_is_named_with_its_packages(
    bento: Bento, base: Base, cache: Path, tmp_path: Path, rootfs: Path
) -> None:
    """Those that its package manager says are installed; one without it has a file for each (distroless)."""
    status = (
        "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\nDescription: C\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    )
    laid(
        rootfs,
        {
            "var/lib/dpkg/status": status,
            "var/lib/dpkg/status.d/free": "Package: free\nVersion: 2\nArchitecture: all\n",
            "var/lib/dpkg/status.d/free.md5sums": "Package: nothing\nVersion: 2\nArchitecture: all\n",
        },
    )
    origin = {"image": "docker.io/library/python", "digest": f"sha256:{'1' * 64}"}
    found = components(bento, replace(base, rootfs=rootfs, origin=origin), cache, tmp_path)
    assert found.keys() == {
        "system debian",
        "image docker.io/library/python",
        "debian free",
        "debian libc6",
        "python tool",
        "model stars",
    }
    assert found["image docker.io/library/python"].version == origin["digest"]
    assert (found["debian free"].version, found["debian free"].license, found["debian free"].sha256) == ("2", "", [])


def test_the_python_packages_of_a_base_are_listed(
    bento: Bento, base: Base, cache: Path, tmp_path: Path, rootfs: Path
) -> None:
    """As pip puts them beside the base's Python; each version once, and not what Debian has packaged."""
    python = base.facts.python.parent.parent
    sites = f"{python}/lib/python3.11/site-packages".lstrip("/"), "usr/local/lib/python3.11/dist-packages"
    metadata = "Metadata-Version: 2.4\nName: {}\nVersion: {}\nLicense-Expression: MIT\n\nName: of the description\n"
    packages = {
        f"{sites[0]}/Big_Tool-2.0.dist-info/METADATA": metadata.format("Big_Tool", "2.0"),
        f"{sites[1]}/Big_Tool-2.0.dist-info/METADATA": metadata.format("Big_Tool", "2.0"),
        f"{sites[1]}/old-1.egg-info/PKG-INFO": metadata.format("old", "1"),
        f"{sites[0]}/tool-1.0.dist-info/METADATA": metadata.format("tool", "1.0"),
        f"{sites[0]}/nameless-1.0.dist-info/METADATA": "Author: Ada\n",
        "usr/lib/python3/dist-packages/six-1.0.dist-info/METADATA": metadata.format("six", "1.0"),
    }
    laid(rootfs, packages)
    gone = rootfs / sites[0] / "gone-1.0.dist-info"
    gone.mkdir()
    (gone / "METADATA").symlink_to(tmp_path / "nowhere")
    origin = {"image": "docker.io/library/python", "digest": f"sha256:{'1' * 64}"}
    found = components(bento, replace(base, rootfs=rootfs, origin=origin), cache, tmp_path)
    assert {name for name in found if name.startswith("python ")} == {"python big-tool", "python old", "python tool"}
    assert (found["python big-tool"].version, found["python big-tool"].license) == ("2.0", "MIT")
    assert found["python tool"].license == "Apache-2.0"
    found = components(bento, replace(base, rootfs=rootfs), cache, tmp_path)
    assert "python big-tool" not in found


def test_a_package_of_a_base_is_listed_for_each_architecture(
    bento: Bento, base: Base, cache: Path, tmp_path: Path, rootfs: Path
) -> None:
    """As where programs of another one run, too (dpkg --add-architecture)."""
    field = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: "
    laid(rootfs, {"var/lib/dpkg/status": f"{field}i386\n\n{field}amd64\n"})
    origin = {"image": "docker.io/library/python", "digest": f"sha256:{'1' * 64}"}
    layers = LayerCache(cache / "layers")
    recipe = recipe_of(bento, (base := replace(base, rootfs=rootfs, origin=origin)).outline, layers)
    found = contents_of(recipe, base, layers, assemble(recipe, base, layers, tmp_path)).components()
    assert [one.details["arch"] for one in found if one.name == "libc6"] == ["amd64", "i386"]


def test_a_link_in_a_base_leads_to_no_file_of_this_machine(
    bento: Bento, base: Base, cache: Path, tmp_path: Path, rootfs: Path
) -> None:
    """It is a stranger's."""
    outside = laid(tmp_path / "outside", {"copyright": DEP_5})
    file = rootfs / "usr/share/doc/libc6/copyright"
    file.unlink()
    file.symlink_to(outside / "copyright")
    assert components(bento, replace(base, rootfs=rootfs), cache, tmp_path)["debian libc6"].license == ""


def test_a_base_that_says_nothing_of_itself_has_no_system(
    bento: Bento, base: Base, cache: Path, tmp_path: Path
) -> None:
    """Its packages are those of its origin all the same."""
    found = components(bento, replace(base, rootfs=tmp_path / "nothing"), cache, tmp_path)
    assert found.keys() == {"debian libc6", "python tool", "model stars"}


def test_contents_have_a_key(bento: Bento, base: Base, cache: Path, tmp_path: Path) -> None:
    """The same for the same contents, another for another model."""
    layers = LayerCache(cache / "layers")

    def key(bento: Bento) -> str:
        recipe = recipe_of(bento, base.outline, layers)
        return contents_of(recipe, base, layers, assemble(recipe, base, layers, tmp_path)).key

    changed = replace(bento, models=tuple(replace(model, version="v2") for model in bento.models))
    assert key(bento) == key(bento) != key(changed)

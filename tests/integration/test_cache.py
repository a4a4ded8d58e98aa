"""Caches that are damaged, full, not to be written to, or used by two at once: nothing wrong is ever published."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bentoship.stores.layout import LayoutStore
from tests.support import registry as registries
from tests.support.cache import needs_apt, of_run, with_packages
from tests.support.site import Site, echo_site

pytestmark = needs_apt


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[registries.Registry]:
    """A registry that asks for no account."""
    with registries.running(tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture(scope="module")
def site(registry: registries.Registry, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Site:
    """The echoing service, with layers of its own."""
    cache = tmp_path_factory.mktemp("caches")
    prepare(cache, of_run(tmp_path_factory, worker_id))
    return echo_site(tmp_path_factory.mktemp("site"), cache, REGISTRY=f"{registry.host}/cache")


@pytest.fixture(scope="module")
def digest(site: Site) -> str:
    """What the service is published as."""
    return published(site.invoke("publish", IMAGE_NAME="first"))


def prepare(cache: Path, shared: Path) -> None:
    """Let a cache have the base that all tests share, and nothing else."""
    own = cache / "bentoship"
    own.mkdir(parents=True)
    with_packages(own)
    (shared / "bases").mkdir(exist_ok=True, parents=True)
    (own / "bases").symlink_to(shared / "bases")


def published(done: subprocess.CompletedProcess[str]) -> str:
    """The digest that a publish has told."""
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().partition("@")[2]


def test_what_is_damaged_is_made_anew(site: Site, digest: str, tmp_path: Path) -> None:
    """By the same command that meets it, however much there is; the image is the same as before."""
    cache = tmp_path / "cache"
    shutil.copytree(site.cache, cache, symlinks=True)
    shutil.copytree(site.folder, tmp_path / "project", ignore=shutil.ignore_patterns(".bentoship"))
    here = replace(site, cache=cache, folder=tmp_path / "project")
    layers = cache / "bentoship" / "layers"
    for file in [*layers.glob("blobs/sha256/*"), *layers.glob("packages/*.gz")]:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    assert published(here.invoke("publish", IMAGE_NAME="damaged")) == digest


@pytest.mark.slow  # test_tasks has two at once with one cache, too
@pytest.mark.parametrize("limit", ["off", pytest.param("1 B", marks=pytest.mark.slow)])
def test_two_at_once_do_not_disturb_each_other(
    site: Site, digest: str, tmp_path: Path, shared: Path, limit: str
) -> None:
    """Both begin with nothing, and end with the same image under the same tags."""
    cache = tmp_path / "cache"
    prepare(cache, shared)
    here = replace(site, cache=cache)
    running = [here.start("publish", IMAGE_NAME="twice", CACHE_LIMIT=limit) for _ in range(2)]
    for one in running:
        out, err = one.communicate(timeout=600)
        assert one.returncode == 0, err
        assert out.strip().endswith(digest)
    assert not list(cache.rglob(".partial-*"))


def unshared(site: Site) -> list[Path]:
    """The blobs and segments that only the cache has."""
    layers = site.cache / "bentoship" / "layers"
    return [
        file for file in (*layers.glob("blobs/sha256/*"), *layers.glob("packages/*.gz")) if file.stat().st_nlink == 1
    ]


def test_a_cache_keeps_to_its_limit(site: Site, digest: str, tmp_path: Path) -> None:
    """What the image does not need goes, and the image stays the same, also when it is made again later."""
    shutil.copytree(site.cache, tmp_path / "cache", symlinks=True)
    shutil.copytree(site.folder, tmp_path / "project", ignore=shutil.ignore_patterns(".bentoship"))
    here = replace(site, cache=tmp_path / "cache", folder=tmp_path / "project")
    assert published(here.invoke("publish", IMAGE_NAME="limited")) == digest
    assert unshared(here)
    assert "at most 20.0 GB" in here.invoke("doctor").stdout
    assert published(here.invoke("publish", IMAGE_NAME="limited", CACHE_LIMIT="1 B")) == digest
    assert not unshared(here)
    again = here.invoke("publish", IMAGE_NAME="limited", CACHE_LIMIT="1 B")
    assert published(again) == digest
    assert "installing" not in again.stderr
    (here.folder / "data" / "words.txt").write_text("other words\n", "utf-8")
    assert published(here.invoke("publish", IMAGE_NAME="limited", CACHE_LIMIT="1 B")) != digest
    shutil.copy(site.folder / "data" / "words.txt", here.folder / "data")
    assert published(here.invoke("publish", IMAGE_NAME="limited", CACHE_LIMIT="1 B")) == digest


def test_images_that_were_replaced_leave_the_project(site: Site, tmp_path: Path) -> None:
    """Its folder names the image that was made last, and the one that was published last."""
    shutil.copytree(site.folder, tmp_path / "project", ignore=shutil.ignore_patterns(".bentoship"))
    here = replace(site, folder=tmp_path / "project")
    layout = LayoutStore(here.folder / ".bentoship" / "image")
    (here.folder / "data" / "words.txt").write_text("published nowhere else", "utf-8")
    first = published(here.invoke("publish", IMAGE_NAME="replaced"))
    for words in ("second", "third"):
        (here.folder / "data" / "words.txt").write_text(words, "utf-8")
        assert here.invoke("containerize", IMAGE_NAME="replaced").returncode == 0
    made = {image.digest for image in layout.tags().values()}
    assert (len(made), first in made) == (2, True)
    third = published(here.invoke("publish", IMAGE_NAME="replaced"))
    assert published(here.invoke("publish", IMAGE_NAME="replaced")) == third
    assert {image.digest for image in layout.tags().values()} == {third}


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes root to be mounted")
def test_a_full_disk_leaves_a_cache_that_can_be_used(site: Site, digest: str, tmp_path: Path, shared: Path) -> None:
    """It is told in two lines; with more room the same command goes on. So is a disk that is not to be written to."""
    with disk(tmp_path / "disk", "40m") as folder:
        prepare(folder, shared)
        here = replace(site, cache=folder)
        done = here.invoke("publish", IMAGE_NAME="full")
        assert (done.returncode, done.stdout) == (1, "")
        assert "o space left on device" in done.stderr
        assert "`invoke clean`" in done.stderr.splitlines()[-1]
        assert not list((folder / "bentoship" / "scratch").glob("*/"))
        remount(folder, "size=2g")
        assert published(here.invoke("publish", IMAGE_NAME="full")) == digest
        remount(folder, "ro")
        done = here.invoke("publish", IMAGE_NAME="full")
        assert done.returncode == 1
        assert "Read-only file system\nMake it writable, or set XDG_CACHE_HOME" in done.stderr


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """What is made once for all tests."""
    return of_run(tmp_path_factory, worker_id)


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own size."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder: Path, option: str) -> None:
    """Change how it is mounted."""
    subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True)

"""A disk of Docker's engine that is full: on engines of the tests' own, with small disks."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import dockerd
from tests.support.bento import BENTOFILE
from tests.support.cache import needs_apt, of_run
from tests.support.site import Site, echo_site, shared_cache
from tests.support.slow import cases

pytestmark = needs_apt

BUILDERS = cases({"BuildKit": "1", "the classic builder": "0"}, "BuildKit")
"""Values of DOCKER_BUILDKIT."""

MIB = 1 << 20


@pytest.fixture
def site(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Site:
    """The echoing service."""
    return echo_site(tmp_path, shared_cache(tmp_path / "caches", of_run(tmp_path_factory, worker_id)))


def used(daemon: dockerd.Daemon) -> int:
    """How many bytes of an engine's disk are taken."""
    return shutil.disk_usage(daemon.folder / "data").used


def assert_told(done: subprocess.CompletedProcess[str]) -> None:
    """One error, of two lines, with the system's words and what to do."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr[-2000:]
    _, _, error = done.stderr.partition("Error: ")
    first, second = error.splitlines()
    assert "no space left on device" in first.lower()
    assert "docker system prune" in second


def assert_nothing_is_left(daemon: dockerd.Daemon, site: Site, *images: str) -> None:
    """No container, no further image, with or without a name, and no copy of anything."""
    assert daemon.leftovers(*images) == []
    assert not list((site.cache / "bentoship" / "scratch").glob("*/*"))


@pytest.mark.parametrize("space", [30 * MIB, 100 * MIB], ids=["for what is sent", "for what is unpacked"])
def test_loading_is_told(site: Site, space: int) -> None:
    """Too little for the first layer, or for one of the next; the engine is as it was before."""
    with dockerd.running(space=space) as daemon:
        before = used(daemon)
        assert_told(site.invoke("containerize", "--load", DOCKER_HOST=daemon.host))
        assert_nothing_is_left(daemon, site)
        assert used(daemon) - before < MIB


@pytest.mark.slow  # test_loading_is_told fills the disk sooner
@pytest.mark.parametrize("builder", BUILDERS)
def test_building_is_told(site: Site, builder: str) -> None:
    """Room for the base, but not for what the build adds to it; only the base is there afterwards."""
    # Debian's engine never ends a build on a full disk about once in thirty times, with either builder, and docker
    # build waits for it; what is tried here is what is said of a build that failed.
    for _ in range(3):
        with dockerd.running(space=300 * MIB) as daemon:
            base = dockerd.bentoml_base(daemon.engine)
            text = BENTOFILE.replace("docker:\n", f"docker:\n  base_image: {base}\n")
            (site.folder / "bentofile.yaml").write_text(text, "utf-8")
            before = used(daemon)
            settings = {"BACKEND": "docker", "DOCKER_BUILDKIT": builder, "DOCKER_HOST": daemon.host}
            try:
                done = replace(site, patience=180.0).invoke("containerize", **settings)
            except subprocess.TimeoutExpired:
                continue
            assert_told(done)
            assert_nothing_is_left(daemon, site, base)
            assert used(daemon) - before < 3 * MIB  # BuildKit keeps the steps that went well
            return
    pytest.fail("the engine has not ended a build on a full disk, three times")

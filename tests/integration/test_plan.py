"""`invoke plan`, before and after publishing, against a real local registry."""

from __future__ import annotations

import json
import os
import re
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.cache import needs_apt
from tests.support.site import ROOT, Site, echo_site

pytestmark = needs_apt


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project of a user, with a repository of its own."""
    return echo_site(tmp_path, cache, IMAGE_NAME=f"echo/{re.sub('[^a-z0-9]', '', tmp_path.name.lower())}")


def planned(site: Site, *args: str, **settings: str) -> dict[str, Any]:
    """The plan as a document, which is all of stdout."""
    done = site.invoke("plan", "--json", *args, **settings)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def change(site: Site) -> None:
    """Change, add and remove a file of the source."""
    with (site.folder / "service.py").open("a") as stream:
        stream.write("\n# changed\n")
    (site.folder / "data" / "new.txt").write_text("new" * 1000, "utf-8")
    (site.folder / "data" / "other.txt").unlink()


def source_changes(told: dict[str, Any]) -> dict[str, str]:
    """What happened to the files of the source, apart from those that hold the version."""
    assert not told["why"]["note"]
    (difference,) = told["why"]["differences"]
    assert difference["title"] == next(one["title"] for one in told["layers"] if one["title"].startswith("source "))
    return {one["name"]: one["change"] for one in difference["changes"] if one["name"].startswith("src/")}


CHANGED = {"src/service.py": "changed", "src/data/new.txt": "added", "src/data/other.txt": "removed"}


def test_the_plan_is_what_the_push_does(site: Site) -> None:
    """After a change the bytes and the digest are those of the publish that follows."""
    assert site.invoke("publish").returncode == 0
    change(site)
    told = planned(site)
    assert [one["state"] for one in told["layers"]].count("new") == 1
    published = site.invoke("publish")
    assert published.stdout.strip() == f"{told['reference']}@{told['digest']}"
    sent = re.search(r"sent ([\d.]+) kB, ", published.stderr)
    assert sent, published.stderr
    assert f"{told['bytes_to_send'] / 1000:.1f}" == sent[1]
    after = planned(site)
    assert (after["bytes_to_send"], after["digest"]) == (0, told["digest"])
    assert {one["state"] for one in after["layers"]} == {"present"}


@pytest.mark.slow  # a line of what the others plan
def test_the_time_is_that_of_the_last_push(site: Site) -> None:
    """Nothing is said of it before; what a push has measured holds for all of the registry's repositories."""
    shutil.rmtree(site.cache / "bentoship" / "history", ignore_errors=True)
    (site.folder / "data" / "large.bin").write_bytes(os.urandom(2_000_000))
    assert planned(site)["seconds_estimated"] is None
    assert " of the last push" not in site.invoke("plan").stdout
    assert site.invoke("publish").returncode == 0
    change(site)
    other = planned(site, IMAGE_NAME="echo/other")
    assert other["bytes_to_send"] > 2_000_000
    assert other["seconds_estimated"] > 0
    assert re.search(r"about \d+ s at the .*/s of the last push", site.invoke("plan").stdout)


def test_why_names_the_files(site: Site) -> None:
    """Against what the registry has by the tag; in words, too; and nothing is left behind that a publish would miss."""
    assert "no image published to" in planned(site, "--why")["why"]["note"]
    first = site.invoke("publish").stdout.strip()
    assert "nothing differs" in site.invoke("plan", "--why").stdout
    change(site)
    told = planned(site, "--why")
    assert told["why"]["published"] == first.partition("@")[2]
    assert source_changes(told) == CHANGED
    words = site.invoke("plan", "--why").stdout
    assert re.search(r"^why +source echo:\w+\n +added +src/data/new\.txt +3\.0 kB$", words, re.MULTILINE), words
    assert re.search(r"^ +changed +src/service\.py +\d+ B +\+11 B$", words, re.MULTILINE), words


def test_why_names_packages_before_they_are_installed(site: Site) -> None:
    """With both versions."""
    (site.folder / "more.txt").write_text("attrs==25.3.0\n", "utf-8")
    assert site.invoke("publish").returncode == 0
    (site.folder / "more.txt").write_text("attrs==25.4.0\n", "utf-8")
    told = planned(site, "--why")
    assert told["digest"] is None
    (packages,) = (one for one in told["why"]["differences"] if one["title"] == "packages")
    (attrs,) = packages["changes"]
    assert (attrs["name"], attrs["version_before"], attrs["version"]) == ("attrs", "25.3.0", "25.4.0")


def test_why_needs_no_memory_where_the_registry_can_be_asked(site: Site) -> None:
    """Without its history, as on another machine, what was published is read from there."""
    assert site.invoke("publish").returncode == 0
    change(site)
    for memory in (site.folder / ".bentoship", site.cache / "bentoship" / "history"):
        shutil.rmtree(memory)
    assert source_changes(planned(site, "--why")) == CHANGED


@pytest.mark.slow  # the others have both
def test_why_needs_no_registry_where_it_was_published_from(tmp_path: Path, cache: Path) -> None:
    """The local registry is not started for it."""
    site = echo_site(tmp_path, cache, IMAGE_NAME="echo/stopped")
    assert site.invoke("publish").returncode == 0
    change(site)
    assert site.invoke("stop-registry").returncode == 0
    assert source_changes(planned(site, "--why")) == CHANGED
    assert "is not running" in site.invoke("stop-registry").stderr
    assert site.invoke("--dry", "plan").stdout == site.invoke("--dry", "publish").stdout


@pytest.mark.parametrize("task", ["plan", pytest.param("verify", marks=pytest.mark.slow)])
def test_a_model_that_is_imported_is_reported(site: Site, task: str) -> None:
    """The service needs its exported model in the Bento store, so these tasks import it, too."""
    exported = ROOT / "model" / "celestial_bodies_classifier_model.bentomodel"
    with tarfile.open(exported) as archive:
        stream = archive.extractfile("./model.yaml")
        assert stream
        version = yaml.safe_load(stream)["version"]
    tag = f"celestial_bodies_classifier_model:{version}"
    (site.folder / "model").mkdir()
    shutil.copy(exported, site.folder / "model")
    service = site.folder / "service.py"
    code = service.read_text("utf-8")
    service.write_text(
        re.sub(r"^class .*:$", rf'\g<0>\n    model = bentoml.models.BentoModel("{tag}")', code, flags=re.M)
    )
    line = f"^{task} +imported the model {tag} into the Bento store$"
    assert re.search(line, site.invoke(task).stderr, re.MULTILINE)
    assert not re.search(line, site.invoke(task).stderr, re.MULTILINE)

"""Several projects of one repository, published at once against a real local registry."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.bento import edit
from tests.support.cache import needs_apt
from tests.support.site import ROOT, Site, echo_site

pytestmark = needs_apt

NAMES = ("one", "three")


@pytest.fixture
def repository(tmp_path: Path, cache: Path) -> Site:
    """Services in the folders one, two and three; two does not import."""
    site = echo_site(tmp_path, cache)
    for name in ("one", "two", "three"):
        shutil.copytree(site.folder, tmp_path / "repository" / "services" / name)
        service = tmp_path / "repository" / "services" / name / "service.py"
        edit(service, "bentoml.service", f'bentoml.service(name="{name}")')
    (tmp_path / "repository" / "services" / "two" / "service.py").write_text("import nothing_like_this\n", "utf-8")
    shutil.copy(ROOT / "tasks.py", tmp_path / "repository")
    return Site(tmp_path / "repository", site.home, cache)


def test_all_are_published_side_by_side(repository: Site) -> None:
    """What works is published though one fails, stdout has its references in order, and the summary has all.

    What they share is made by one of them, and the second time there is nothing to do.
    """
    done = repository.invoke("publish", "--all")
    assert done.returncode == 1, done.stderr
    digest = "@sha256:[0-9a-f]{64}\n"
    assert re.fullmatch("".join(rf"localhost:\d+/bentoship/{name}{digest}" for name in sorted(NAMES)), done.stdout)
    for made in (r"compressing \d+ packages", r"compiling \d+ packages", "joining packages"):
        assert len(re.findall(rf"{made}.* took", done.stderr)) <= 1, done.stderr
    one, three, two = done.stderr.partition("summary ")[2].splitlines()[1:]
    assert re.fullmatch(r" +services/one +published +[\d.]+ s +localhost\S+", one)
    assert re.fullmatch(r" +services/two +failed .* Build the Bento: ModuleNotFoundError: No module .*", two)
    assert re.fullmatch(r" +services/three +published +[\d.]+ s +localhost\S+", three)
    again = repository.invoke(
        "publish", *(word for name in ("three", "one") for word in ("--project", f"services/{name}"))
    )
    assert (again.returncode, again.stdout) == (0, "".join(reversed(done.stdout.splitlines(keepends=True))))
    assert again.stderr.count("unchanged") == 2
    assert not (repository.folder / ".bentoship").exists()
    assert all((repository.folder / "services" / name / ".bentoship").is_dir() for name in NAMES)

"""Projects whose packages have no wheel, published as people publish them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.bento import append
from tests.support.cache import needs_apt
from tests.support.repositories import commit, publish, serving
from tests.support.site import Site, echo_site
from tests.support.wheels import make_folder, make_source, source_files

pytestmark = [needs_apt, pytest.mark.slow]

NAMES = ("beside", "editable", "packed", "repository", "listed")
"""A folder, an editable one, an archive, a Git repository, and one of which an index has the source alone."""


@pytest.fixture
def site(tmp_path: Path, cache: Path) -> Site:
    """A project that requires a package of each kind; how often each is built is in the folder logs."""
    site = echo_site(tmp_path, cache)
    (tmp_path / "logs").mkdir()
    for name in NAMES:
        files = source_files(name, tmp_path / "logs" / name)
        if name in {"packed", "listed"}:
            files |= {"PKG-INFO": f"Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\n"}
            (tmp_path / name).mkdir()
            make_source(tmp_path / name, name, files=files)
        else:
            make_folder((site.folder if name == "editable" else tmp_path) / name, files)
    commit(tmp_path / "repository")
    publish(tmp_path / "repository", tmp_path / "served" / "repository.git")
    return site


def modules_of(layout: Path, digest: str, into: Path) -> Path:
    """Unpack the packages and the sources of an image in a layout, and return the folder of modules."""

    def blob(name: str) -> bytes:
        return (layout / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes()

    for layer in json.loads(blob(digest))["layers"]:
        if layer["annotations"]["org.bentoship.layer.kind"] in {"packages", "source"}:
            with tarfile.open(fileobj=io.BytesIO(blob(layer["digest"]))) as archive:
                archive.extractall(into, filter="tar")
    return next(into.glob("app/.venv/lib/python*/site-packages"))


def test_packages_without_wheels_are_in_the_image(site: Site, tmp_path: Path) -> None:
    """They are imported from there, the plan knows of them, and a second run builds none again."""
    with serving(tmp_path / "served") as host:
        lines = ["../beside", "-e ./editable", "../packed/packed-1.0.tar.gz", f"--find-links {tmp_path / 'listed'}"]
        lines += ["listed==1.0", f"repository @ git+http://a:secret@{host}/repository.git@main"]
        for line in lines:
            append(site.folder / "requirements.txt", line)
        planned = site.invoke("plan")
        assert planned.returncode == 0, planned.stderr
        done = site.invoke("containerize")
        assert done.returncode == 0, done.stderr
        append(site.folder / "service.py", "# changed")
        again = site.invoke("containerize")
    logs = {name: (tmp_path / "logs" / name).read_text("utf-8") for name in NAMES}
    assert [log.count("\n") for log in logs.values()] == [1, 1, 1, 1, 1]
    digest = re.findall(r"sha256:[0-9a-f]{64}", again.stderr)[-1]
    modules = modules_of(site.folder / ".bentoship" / "image", digest, tmp_path / "image")
    code = f"import sys, {', '.join(NAMES)}; print(*({'.X, '.join(NAMES)}.X,))"
    python = [sys.executable, "-S", "-c", code]
    run = subprocess.run(python, env={"PYTHONPATH": str(modules)}, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("1 1 1 1 1\n", "")
    assert not list(modules.glob("*.pth"))
    for file in (path for folder in (site.folder / ".bentoship", tmp_path / "image") for path in folder.rglob("*")):
        assert not file.is_file() or b"a:secret@" not in file.read_bytes(), file

"""What `verify` says before it runs anything; tests/integration/test_verify.py is about the rest."""

from __future__ import annotations

from pathlib import Path

from bentoship.image.reference import ImageReference
from tests.support.site import echo_site


def test_an_image_that_was_never_published(tmp_path: Path, repository: ImageReference) -> None:
    """What to do first is said."""
    (tmp_path / "cache").mkdir()
    place, _, name = str(repository).rpartition("/")
    site = echo_site(tmp_path / "site", tmp_path / "cache", DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    done = site.invoke("verify", REGISTRY=f"http://{place}", IMAGE_NAME=name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(
        "\n`invoke publish` publishes the image as latest; `invoke versions` lists what there is.\n"
    )

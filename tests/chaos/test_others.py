"""Pushes of other programs, as `python -m tests.chaos others` counts them."""

from __future__ import annotations

from pathlib import Path

from bentoship.stores.layout import LayoutStore
from tests.chaos import others
from tests.support import registry as registries
from tests.support.engines import require
from tests.support.images import put_image


def test_what_arrives_undisturbed_is_counted(tmp_path: Path) -> None:
    """Each push with as many bytes as the first one."""
    require("skopeo")
    layout = LayoutStore(tmp_path / "image")
    image = put_image(layout)
    layout.tag(image, "latest")
    with registries.running(tmp_path / "registry") as registry, others.pushing("skopeo", layout) as command:
        outcome = others.pushes(command, registry.host, image, share=0.0, seed=0, count=1, of="skopeo")
    assert (outcome.tried, outcome.succeeded, list(outcome.failures)) == (1, 1, [])
    assert 0.9 < outcome.ratio < 1.1

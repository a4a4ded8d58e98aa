"""Podman as a way to run an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.verify.podman import PodmanRunner
from tests.support.engines import require


@pytest.mark.parametrize(
    ("limits", "obstacle"), [("", None), ('"nofile=2000000000:2000000000"', "podman cannot start containers: ")]
)
def test_podman_is_tried_before_it_pulls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limits: str, obstacle: str | None
) -> None:
    """Where it starts no container, which its own information does not tell, that is an obstacle."""
    require("podman")
    (tmp_path / "containers.conf").write_text(f"[containers]\ndefault_ulimits = [{limits}]\n")
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver="vfs"\ngraphroot="{tmp_path}/root"\nrunroot="{tmp_path}/run"\n'
    )
    monkeypatch.setenv("CONTAINERS_CONF", str(tmp_path / "containers.conf"))
    monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(tmp_path / "storage.conf"))
    found = PodmanRunner().obstacle()
    assert (found is None) if obstacle is None else (found or "").startswith(obstacle)

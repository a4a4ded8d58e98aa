"""What a rebuild has of this machine."""

from __future__ import annotations

from pathlib import Path

from bentoship.publishing.rebuilding import lend
from bentoship.system.files import write_whole


def test_a_store_is_not_changed_by_what_its_models_are_lent_to(tmp_path: Path) -> None:
    """A model that is imported there, and which one is the latest then, is none of its business."""
    store, own = tmp_path / "models", tmp_path / "place" / "home" / "models"
    (store / "stars" / "v2").mkdir(parents=True)
    (store / "stars" / "v2" / "weights.bin").touch()
    (store / "stars" / "latest").write_text("v2", "utf-8")
    lend(store, own)
    assert (own / "stars" / "v2" / "weights.bin").is_file()
    assert (own / "stars" / "latest").read_text("utf-8") == "v2"
    (own / "stars" / "v1").mkdir()
    write_whole(own / "stars" / "latest", b"v1")
    assert sorted(path.name for path in (store / "stars").iterdir()) == ["latest", "v2"]
    assert (store / "stars" / "latest").read_text("utf-8") == "v2"


def test_there_need_be_no_store(tmp_path: Path) -> None:
    """Then the new one is empty."""
    lend(tmp_path / "nothing", tmp_path / "own")
    assert list((tmp_path / "own").iterdir()) == []

"""Small files of caches that are believed only as they were kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.system import records


def test_what_was_kept_is_read(tmp_path: Path) -> None:
    """In a folder that was not there before."""
    value = {"name": "é", "sizes": [1, 2.5, None]}
    records.keep(tmp_path / "new" / "record.json", value)
    assert records.read(tmp_path / "new" / "record.json") == value


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b"null", b"\xff", b"\n{}", b"0" * 64 + b"\n{}"])
def test_what_was_not_kept_is_none(tmp_path: Path, content: bytes | None) -> None:
    """No file, or one that somebody else has written."""
    if content is not None:
        (tmp_path / "record.json").write_bytes(content)
    assert records.read(tmp_path / "record.json") is None


def test_no_byte_may_differ(tmp_path: Path) -> None:
    """Whichever of them is another one, or missing from the end on."""
    file = tmp_path / "record.json"
    records.keep(file, {"digest": "sha256:1f", "size": 12})
    kept = file.read_bytes()
    for place in range(len(kept)):
        file.write_bytes(kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :])
        assert records.read(file) is None
        file.write_bytes(kept[:place])
        assert records.read(file) is None

"""What is kept of repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.image.descriptor import Descriptor
from bentoship.versions import cache
from bentoship.versions.cache import Known


def digest(content: bytes) -> str:
    """Its digest."""
    return Descriptor.of("", content).digest


def test_what_was_kept_is_known_again(tmp_path: Path) -> None:
    """Of each repository for itself; what it has no more is dropped, and what is not text is not kept."""
    first, second = b'{"a": 1}', b"\xff"
    Known.load(tmp_path, "a").keep({"v1": digest(first)}, {digest(first): first, digest(second): second})
    known = Known.load(tmp_path, "a")
    assert (known.tags, known.get(digest(first)), known.get(digest(second))) == ({"v1": digest(first)}, first, None)
    assert Known.load(tmp_path, "b").tags == {}
    known.keep({}, {})
    assert Known.load(tmp_path, "a").get(digest(first)) is None


def test_a_document_is_checked_by_its_digest(tmp_path: Path) -> None:
    """One that was changed is not known."""
    Known.load(tmp_path, "a").keep({}, {digest(b"abc"): b"abc"})
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text().replace("abc", "abd"))
    assert Known.load(tmp_path, "a").get(digest(b"abc")) is None


def test_it_does_not_grow_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository has more than its share, and those that were read the longest ago go first."""
    monkeypatch.setattr(cache, "_LARGEST", 1000)
    monkeypatch.setattr(cache, "_MOST", 2500)
    contents = [str(number).encode() * 400 for number in range(5)]
    Known.load(tmp_path, "big").keep({}, {digest(content): content for content in contents})
    known = Known.load(tmp_path, "big")
    assert [known.get(digest(content)) is not None for content in contents] == [True, True, False, False, False]
    for name in "abcd":
        Known.load(tmp_path, name).keep({}, {digest(contents[0]): contents[0]})
    there = [name for name in ("big", *"abcd") if Known.load(tmp_path, name).documents]
    assert "big" not in there
    assert "d" in there
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2500

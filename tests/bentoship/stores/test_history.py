"""What earlier pushes have shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.history import History
from bentoship.system import records
from tests.support.shapes import SHAPES

ONE = ImageReference("localhost:5000", "team/one")
OTHER = ImageReference("localhost:5000", "team/" + "other/" * 30 + "x")
DIGEST = f"sha256:{1:064x}"
BLOB = f"sha256:{3:064x}"


@pytest.fixture
def history(tmp_path: Path) -> History:
    """One that has seen nothing."""
    return History(tmp_path / "history")


def test_before_any_push_nothing_is_known(history: History) -> None:
    """Neither a speed nor an image; asking leaves no trace."""
    assert (history.speed(ONE.host), history.last_push(ONE)) == (None, None)
    assert not history.folder.exists()


def test_the_last_push_counts(history: History) -> None:
    """A speed for each registry, an image for each repository, whatever its name."""
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    history.keep_push(OTHER, f"sha256:{2:064x}", [BLOB], 9_000_000, 2.0)
    assert history.speed(ONE.host) == 4_500_000
    assert history.speed("ghcr.io") is None
    assert history.last_push(ONE.with_tag("latest")) == ONE.with_digest(DIGEST)
    assert history.last_push(OTHER) == OTHER.with_digest(f"sha256:{2:064x}")


def test_what_was_published_anywhere_is_known(history: History) -> None:
    """The last of each repository; a damaged file hides no other."""
    assert history.all_published() == frozenset()
    for repository, number in ((ONE, 1), (ONE, 2), (OTHER, 3)):
        history.keep_push(repository, f"sha256:{number:064x}", [BLOB], 1, 1.0)
    (history.folder / "published" / "damaged.json").write_bytes(b"\xff")
    assert history.all_published() == {f"sha256:{number:064x}" for number in (2, 3)}


def test_who_has_a_blob_is_known(history: History) -> None:
    """The other repositories of the same registry, by what they got last; never the one that is asked for."""
    elsewhere = ImageReference("ghcr.io", ONE.path)
    history.keep_push(ONE, DIGEST, ["sha256:0", BLOB], 1, 1.0)
    history.keep_push(ONE, DIGEST, [BLOB], 1, 1.0)
    assert history.paths_by_blob(OTHER) == {BLOB: ONE.path}
    assert history.paths_by_blob(ONE) == history.paths_by_blob(elsewhere) == {}


@pytest.mark.parametrize("value", [value for value in SHAPES if value != 1])
def test_records_of_another_shape_are_ignored(history: History, value: object) -> None:
    """They are written again by the next push."""
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    for file in history.folder.rglob("*.json"):
        records.keep(file, value)
    assert (history.speed(ONE.host), history.last_push(ONE), history.paths_by_blob(OTHER)) == (None, None, {})
    assert not {one for one in history.all_published() if one.startswith("sha256:")}
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    assert (history.speed(ONE.host), history.paths_by_blob(OTHER)) == (2_000_000, {BLOB: ONE.path})


def test_what_was_attached_can_be_forgotten(history: History) -> None:
    """Of one repository; of one that was never seen, too."""
    for one in (ONE, OTHER):
        history.keep_attested(one.with_digest(DIGEST), "mark")
    for _ in range(2):
        history.forget_attested(ONE.with_tag("latest"))
    assert [history.attested(one.with_digest(DIGEST)) for one in (ONE, OTHER)] == ["", "mark"]


@pytest.mark.parametrize(("sent", "seconds"), [(999_999, 0.1), (5_000_000, 0.0)])
def test_too_little_tells_no_speed(history: History, sent: int, seconds: float) -> None:
    """The one that was measured before stays; the image is remembered all the same."""
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    history.keep_push(ONE, f"sha256:{2:064x}", [BLOB], sent, seconds)
    assert history.speed(ONE.host) == 2_000_000
    assert history.last_push(ONE) == ONE.with_digest(f"sha256:{2:064x}")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'"sha256:12"', b"-1", b"NaN", b"null"])
def test_a_damaged_file_is_none(history: History, content: bytes) -> None:
    """It is rewritten by the next push."""
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    for file in history.folder.rglob("*.json"):
        file.write_bytes(content)
    assert (history.speed(ONE.host), history.last_push(ONE)) == (None, None)
    history.keep_push(ONE, DIGEST, [BLOB], 4_000_000, 2.0)
    assert (history.speed(ONE.host), history.last_push(ONE)) == (2_000_000, ONE.with_digest(DIGEST))

"""The labelled pictures and how they are divided."""

from pathlib import Path

import pytest

from celestial_bodies.dataset import DataError, Example, digest, find_examples, split
from celestial_bodies.sample import draw


def make(folder: Path, counts: dict[str, int]) -> Path:
    """Fill a folder with drawn pictures."""
    for body, count in counts.items():
        (folder / body).mkdir(parents=True)
        picture = draw(body).resize((16, 16))
        for number in range(count):
            picture.save(folder / body / f"{body}_{number}.jpg", quality=50 + number)
    return folder


def test_a_fifth_of_each_body_is_held_out(tmp_path: Path) -> None:
    """Each body has the same share of held-out pictures, and no picture is on both sides."""
    training, held_out = split(find_examples(make(tmp_path, {"Mars": 10, "Venus": 20})))
    assert [example.label for example in held_out] == ["Mars"] * 2 + ["Venus"] * 4
    assert len(training) == 24
    assert not set(training) & set(held_out)


def test_the_division_depends_on_names_alone(tmp_path: Path) -> None:
    """The same names in another folder are divided alike."""
    names = []
    for place in ("here", "there"):
        _, held_out = split(find_examples(make(tmp_path / place, {"Mars": 10, "Venus": 10})))
        names.append([example.path.name for example in held_out])
    assert names[0] == names[1]


def test_the_digest_names_the_content(tmp_path: Path) -> None:
    """The digest is the same wherever the pictures lie, and another when one of them changes."""
    here = make(tmp_path / "here", {"Mars": 5, "Venus": 5})
    there = make(tmp_path / "there", {"Mars": 5, "Venus": 5})
    before = digest(find_examples(here))
    assert before == digest(find_examples(there))
    assert before.startswith("sha256:")
    draw("Neptune").save(there / "Mars" / "Mars_0.jpg")
    assert digest(find_examples(there)) != before


@pytest.mark.parametrize("counts", [{}, {"Mars": 10}, {"Mars": 10, "Venus": 4}])
def test_too_few_pictures_are_an_error(tmp_path: Path, counts: dict[str, int]) -> None:
    """Nothing can be learned from one body, and nothing held out of four pictures."""
    with pytest.raises(DataError, match="holds"):
        find_examples(make(tmp_path, counts))


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    """The error tells which file cannot be decoded."""
    path = tmp_path / "Mars_0.jpg"
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"Mars_0\.jpg: This is not"):
        Example(path, "Mars").picture()

"""Requirements files."""

from pathlib import Path

import pytest

from bentoship.packages import requirements

TEXT = """\
# a comment
--index-url https://user:secret@host/simple
--find-links=./wheels
numpy==2.0  # another
uv==0.5
Pillow[webp]>=10 ; \\
    python_version > "3.8"
-r more.txt
"""


def test_lines_are_joined_and_bare() -> None:
    """Comments go, continued lines become one."""
    assert 'Pillow[webp]>=10 ;      python_version > "3.8"' in requirements.lines(TEXT)
    assert not any("#" in line for line in requirements.lines(TEXT))


def test_portable_lines_say_nothing_of_addresses() -> None:
    """What goes into an image holds no index, which may hold a password, and no uv."""
    kept = requirements.portable_lines(TEXT)
    assert not any("secret" in line or "wheels" in line or line.startswith("uv") for line in kept)
    assert "numpy==2.0" in kept
    assert kept == sorted(kept)


def test_address_lines_are_the_others() -> None:
    """Where packages are downloaded is kept apart."""
    assert requirements.address_lines(TEXT) == [
        "--index-url https://user:secret@host/simple",
        "--find-links=./wheels",
    ]


@pytest.mark.parametrize(
    ("line", "exact"),
    [
        ("a==1", True),
        ("a[b]==1.0+cpu ; sys_platform == 'linux'", True),
        ("a==1.*", False),
        ("a>=1", False),
        ("a", False),
        ("a==1,<2", False),
    ],
)
def test_exact_leaves_no_choice(line: str, exact: bool) -> None:
    """Only one version may satisfy an exact requirement."""
    assert requirements.is_exact(line) is exact


def test_included_files_are_found_once(tmp_path: Path) -> None:
    """Files that include each other are followed, a missing one is listed, and a circle ends."""
    (tmp_path / "a.txt").write_text("-r sub/b.txt\n-c gone.txt\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.txt").write_text("--requirement=../a.txt\n")
    names = {path.resolve().name for path in requirements.with_includes(tmp_path / "a.txt")}
    assert names == {"a.txt", "b.txt", "gone.txt"}


@pytest.mark.parametrize(
    ("asked", "locked", "closed"),
    [
        ("a==1\nB_b==2.0\n", "a==1\nb-b==2.0\nuv==0.9\n", True),
        ("a==1\n", "a==1\nb==2\n", False),
        ("a>=1\n", "a==1\n", False),
        ("a==1.*\n", "a==1.5\n", False),
        ("a==1 ; python_version > '3'\n", "a==1\n", True),
    ],
)
def test_a_lock_that_can_be_no_other_is_known(asked: str, locked: str, closed: bool) -> None:
    """Every package in it was asked for by its exact version; uv, which no image gets, aside."""
    assert requirements.is_closed(asked, locked) is closed

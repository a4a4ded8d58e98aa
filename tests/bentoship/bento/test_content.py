"""What of a Bento goes into an image."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from bentoship.bento.content import content_version, image_files, retitle, store_by_content, wrong_links
from tests.support.synthetic import laid_out


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A Bento's folder."""
    return laid_out(tmp_path, "3.11").path


def test_serving_needs_the_source_the_entrypoint_and_the_readme(folder: Path) -> None:
    """What serving does not read is left out."""
    needed = {"README.md", "bento.yaml", "env/docker/entrypoint.sh", "src/service.py", "src/run.sh"}
    assert set(image_files(folder)) == needed


def test_links_that_lead_out_of_a_bento_or_nowhere_are_wrong(folder: Path, tmp_path: Path) -> None:
    """One that stays inside is not, nor one among what is not packed."""
    (folder / "apis").mkdir(exist_ok=True)
    links = {"inside.py": "service.py", "../apis/out": "/etc/hosts", "out": "/etc/hosts", "gone": "no", "own": "own"}
    for name, target in {**links, "folder": str(tmp_path), "up": ".."}.items():
        (folder / "src" / name).symlink_to(target)
    assert list(wrong_links(folder)) == [
        f"src/folder is a link that leads out of the Bento ({tmp_path})",
        "src/gone is a link that leads to no file (no)",
        "src/out is a link that leads out of the Bento (/etc/hosts)",
        "src/own is a link that leads to no file (own)",
    ]


@pytest.mark.parametrize(
    ("readme", "packed"),
    [
        ("# Echo:building-1\n\nmade\n", "# Echo:one\n\nmade\n"),
        ("# Echo:2\n", "# Echo:2\n"),
        ("# Echo\n\n# Echo:building-1\n", "# Echo\n\n# Echo:building-1\n"),
    ],
)
def test_the_readme_has_the_version(readme: str, packed: str) -> None:
    """In the title that BentoML gives it; one that the user wrote stays as it is."""
    assert retitle(readme.encode(), "building-1", "one") == packed.encode()


def test_a_bento_is_stored_under_the_version_of_its_content(folder: Path, tmp_path: Path) -> None:
    """Wherever BentoML writes it, as a text to YAML even if it has no letter, and as the latest one."""
    version = content_version(folder)
    building = tmp_path / "echo" / "building"
    building.parent.mkdir()
    folder.rename(building)
    (tmp_path / "store" / "echo" / version / "damaged").mkdir(parents=True)
    stored = store_by_content(building, tmp_path / "store")
    assert stored == tmp_path / "store" / "echo" / version
    assert (stored / "README.md").read_text("utf-8") == f"# echo:{version}\n"
    text = (stored / "bento.yaml").read_text("utf-8")
    assert f"\nversion: '{version}'\n" in text
    assert yaml.safe_load(text)["creation_time"] > "2026-01-01T00:00:00+00:00"
    assert stored.with_name("latest").read_text("utf-8") == version
    assert content_version(stored) == version
    assert not building.exists()
    assert not (stored / "damaged").exists()


def test_a_bento_that_is_stored_already_stays_for_those_who_read_it(folder: Path, tmp_path: Path) -> None:
    """Two caches may have one store; only one that differs, or was damaged, is replaced."""
    copies = [tmp_path / name / "echo" / "building" for name in "abcd"]
    for copy in copies:
        shutil.copytree(folder, copy)
    first = store_by_content(copies.pop(), tmp_path / "store")
    reading = first.stat()
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(store_by_content, copies[:2], [tmp_path / "store"] * 2)) == [first, first]
    assert first.stat().st_ino == reading.st_ino
    (first / "src" / "service.py").unlink()
    assert store_by_content(copies[2], tmp_path / "store") == first
    assert (first / "src" / "service.py").exists()
    assert [path.name for path in (tmp_path / "bentoship").iterdir()] == ["store.lock"]


def test_the_version_does_not_know_when_and_from_where(folder: Path) -> None:
    """Time, former version, index addresses and uv's version play no part."""
    before = content_version(folder)
    info = yaml.safe_load((folder / "bento.yaml").read_text("utf-8"))
    info |= {"version": "other", "creation_time": "2030-01-01T00:00:00+00:00"}
    info["image"] = {"python_requirements": "--index-url https://me:secret@index.invalid\n"}
    (folder / "bento.yaml").write_text(yaml.safe_dump(info), "utf-8")
    (folder / "README.md").write_text("# echo:other\n", "utf-8")
    assert content_version(folder) == before
    info["image"] = {"python_requirements": "--index-url https://me:secret@index.invalid\nuv==0.1\n"}
    (folder / "bento.yaml").write_text(yaml.safe_dump(info), "utf-8")
    assert content_version(folder) == before
    assert b"secret" not in image_files(folder)["bento.yaml"]  # type: ignore[operator]


def test_the_version_does_not_know_which_python_compiled_a_docstring(folder: Path) -> None:
    """Since Python 3.13 the compiler strips the indent of each; what the service says is the same."""
    info = yaml.safe_load((folder / "bento.yaml").read_text("utf-8"))
    versions, texts = set(), ("Greets.\n\n        Deep:\n            deeper.\n    ", "Greets.\n\nDeep:\n    deeper.\n")
    for text in texts:
        described = {**info, "schema": {"name": "echo", "description": text}}
        (folder / "bento.yaml").write_text(yaml.safe_dump(described), "utf-8")
        versions.add(content_version(folder))
    assert len(versions) == 1
    packed = yaml.safe_load(image_files(folder)["bento.yaml"])  # type: ignore[arg-type]
    assert packed["schema"] == {"name": "echo", "description": "Greets.\n\nDeep:\n    deeper."}


def test_the_version_does_not_know_when_a_hub_was_asked(folder: Path, tmp_path: Path) -> None:
    """BentoML notes the time of the build for a model of a hub; one of the model store has a time of its own."""
    info = yaml.safe_load((folder / "bento.yaml").read_text("utf-8"))

    def version(model: dict[str, str]) -> str:
        models = [{"tag": "org--tiny:one", **model}]
        described = {**info, "models": models, "services": [{"name": "echo", "models": models}]}
        (folder / "bento.yaml").write_text(yaml.safe_dump(described), "utf-8")
        return content_version(folder)

    times = [{"creation_time": f"2026-01-0{day}T00:00:00+00:00"} for day in (1, 2)]
    assert len({version({**time, "registry": "huggingface"}) for time in times}) == 1
    assert len({version({**time, "registry": "bentoml"}) for time in times}) == 2
    assert len({version(time) for time in times}) == 2
    version({**times[0], "registry": "huggingface"})
    for name in "ab":
        shutil.copytree(folder, tmp_path / name / "echo" / "building")
    first = store_by_content(tmp_path / "a" / "echo" / "building", tmp_path / "store")
    inode = first.stat().st_ino
    other = tmp_path / "b" / "echo" / "building"
    (other / "bento.yaml").write_text((other / "bento.yaml").read_text("utf-8").replace("01-01T", "01-02T"), "utf-8")
    assert store_by_content(other, tmp_path / "store") == first
    assert first.stat().st_ino == inode


@pytest.mark.parametrize("change", ["content", "mode", "name", "link", "README"])
def test_the_version_knows_every_file(folder: Path, change: str) -> None:
    """Its content, its executable bit and its name."""
    before = content_version(folder)
    file = folder / "src" / "service.py"
    if change == "README":
        (folder / "README.md").write_text("other", "utf-8")
    elif change == "content":
        file.write_text("other", "utf-8")
    elif change == "mode":
        file.chmod(0o755)
    elif change == "name":
        file.rename(file.with_name("other.py"))
    else:
        (folder / "src" / "link.py").symlink_to("run.sh")
    assert content_version(folder) != before


def test_links_are_followed_and_dangling_ones_left_out(folder: Path, tmp_path: Path) -> None:
    """What a link leads to is not in the image, so its content is."""
    (tmp_path / "outside.txt").write_text("outside", "utf-8")
    (folder / "src" / "to.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "src" / "nowhere").symlink_to("gone")
    files = image_files(folder)
    assert files["src/to.txt"].read_text("utf-8") == "outside"  # type: ignore[union-attr]
    assert "src/nowhere" not in files

"""Files with the digests of their images, which a real registry has."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bentoship.commands.resolve import show
from bentoship.errors import BentoshipError
from bentoship.image.artifact import Artifact
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import push
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image


@pytest.fixture
def project(tmp_path: Path, repository: ImageReference, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose registry has two versions of an image, `stars`."""
    store = RegistryStore(ImageReference(repository.host, f"{repository.path}/stars"), push=True)
    for number, tags in enumerate((("v1", "production"), ("v2", "latest"))):
        image = put_image(store, seed=number)
        for tag in tags:
            store.tag(image, tag)
    push(store, Artifact("application/x", []), "artifact")
    monkeypatch.setenv("REGISTRY", f"http://{repository.repository}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(capfdbinary: pytest.CaptureFixture[bytes], project: Path, *names: str) -> bytes:
    """What is printed on stdout for some files."""
    show(project, names)
    return capfdbinary.readouterr().out


def digest(repository: ImageReference, tag: str) -> str:
    """The reference by digest of a version."""
    image = ImageReference(repository.host, f"{repository.path}/stars")
    return str(image.with_digest(RegistryStore(image).resolve(tag).digest))


def test_files_are_printed_with_digests(
    project: Path, repository: ImageReference, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """By the project's first tag, another one, or a promoted name; each byte around them stays."""
    v1, v2 = (digest(repository, tag) for tag in ("v1", "v2"))
    (project / "a.yaml").write_bytes("# café\r\nimage: bentoship://stars # new\r\n".encode())
    (project / "b.json").write_bytes(b'{"a":\t"bentoship://stars:production", "b": "https://me:secret@host"}')
    expected = f'# café\r\nimage: {v2} # new\r\n---\n{{"a":\t"{v1}", "b": "https://me:secret@host"}}'.encode()
    assert printed(capfdbinary, project, "a.yaml", "b.json") == expected


def test_stdin_is_a_file(
    project: Path,
    repository: ImageReference,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the name `-`."""
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"image: 'bentoship://stars:v1'")))
    assert printed(capfdbinary, project, "-") == f"image: '{digest(repository, 'v1')}'".encode()


@pytest.mark.parametrize("address", ["stars@{}", "stars:any@{}"])
def test_a_digest_is_looked_for(
    address: str, project: Path, repository: ImageReference, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """So that what is printed exists."""
    known = digest(repository, "v1")
    (project / "a.yaml").write_text(f"a: bentoship://{address.format(known.partition('@')[2])}")
    assert printed(capfdbinary, project, "a.yaml") == f"a: {known}".encode()
    (project / "a.yaml").write_text(f"a: bentoship://{address.format('sha256:' + 64 * '0')}")
    with pytest.raises(BentoshipError, match=r"a\.yaml, line 1"):
        show(project, ["a.yaml"])


def test_the_first_tag_is_the_projects(
    project: Path,
    repository: ImageReference,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first that all versions share."""
    monkeypatch.setenv("IMAGE_TAGS", "{version},production,latest")
    (project / "a.yaml").write_text("a: bentoship://stars")
    assert printed(capfdbinary, project, "a.yaml") == f"a: {digest(repository, 'v1')}".encode()


def test_a_file_without_an_address_needs_no_registry(
    project: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And comes out as it is."""
    monkeypatch.setenv("REGISTRY", "http://127.0.0.1:1/none")
    (project / "a.yaml").write_bytes(b"{{ not YAML\r\n")
    assert printed(capfdbinary, project, "a.yaml") == b"{{ not YAML\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: bentoship://stars:none", "stars:none in bad.yaml, line 2: .*manifest unknown"),
        (b"a: 1\n\nb: bentoship://moon", "moon in bad.yaml, line 3: .*(manifest|name) unknown"),
        (b"a: bentoship://stars:artifact", "artifact: it is not an image but application/x"),
        (b"a: bentoship://", "bad.yaml, line 1: .*empty"),
        (b"a: bentoship://Stars", 'bad.yaml, line 1: "Stars" is not allowed'),
        (b"a: 'bentoship://stars:'", 'bad.yaml, line 1: "" is not a valid tag'),
        (b"a: bentoship://stars@md5:1", 'bad.yaml, line 1: "md5:1" is not a digest'),
        (b"a: bentoship://stars is our scheme", "bad.yaml, line 1"),
        (b"a: bentoship://stars\n\tb: 1", "Read bad.yaml, line 2: it is not YAML"),
        (b"a: bentoship://stars \xff", "it is not UTF-8 at byte 21"),
        (b"\xff\xfea\0:", "it is not UTF-16-LE at byte 4"),
    ],
)
def test_nothing_is_printed_unless_all_is_found(
    content: bytes, message: str, project: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The file and the line are named."""
    (project / "good.yaml").write_text("a: bentoship://stars")
    (project / "bad.yaml").write_bytes(content)
    with pytest.raises(BentoshipError, match=message):
        show(project, ["good.yaml", "bad.yaml"])
    assert capfdbinary.readouterr().out == b""


@pytest.mark.parametrize(("name", "why"), [("none.yaml", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named(name: str, why: str, project: Path) -> None:
    """With the system's words."""
    with pytest.raises(BentoshipError, match=rf"Read {name}: {why}"):
        show(project, [name])
    for names in ([], [""], ["good.yaml", ""]):  # such as a variable that a script has not set
        with pytest.raises(BentoshipError, match="no file is named"):
            show(project, names)

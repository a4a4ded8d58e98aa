"""Names of images."""

from __future__ import annotations

import pytest

from bentoship.errors import BentoshipError, InvalidReferenceError, StoreError
from bentoship.image.reference import ImageReference, version_in
from tests.support.fuzzing import fuzz, texts

DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python"),
        ("python:3.11-slim", "docker.io/library/python:3.11-slim"),
        ("acme/tool", "docker.io/acme/tool"),
        ("docker.io/python", "docker.io/library/python"),
        ("index.docker.io/acme/tool:1", "docker.io/acme/tool:1"),
        ("localhost/tool", "localhost/tool"),
        ("localhost:5000/team/tool:v1", "localhost:5000/team/tool:v1"),
        ("127.0.0.1:5000/tool", "127.0.0.1:5000/tool"),
        ("[::1]:5000/tool", "[::1]:5000/tool"),
        ("registry:5000/tool", "registry:5000/tool"),
        ("GHCR.io/acme/a__b.c-d--e", "ghcr.io/acme/a__b.c-d--e"),
        (f"ghcr.io/acme/tool@{DIGEST}", f"ghcr.io/acme/tool@{DIGEST}"),
        (f"ghcr.io/acme/tool:v1@{DIGEST}", f"ghcr.io/acme/tool:v1@{DIGEST}"),
        ("tool:" + "a" * 128, "docker.io/library/tool:" + "a" * 128),
        ("localhost:5000", "docker.io/library/localhost:5000"),
    ],
)
def test_names_are_normalised_as_docker_does_it(text: str, full: str) -> None:
    """A name is read into host, path, tag and digest, and its full form reads as the same."""
    reference = ImageReference.parse(text)
    assert str(reference) == full
    assert ImageReference.parse(full) == reference


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("v1", "v1"),
        (DIGEST, DIGEST),
        ("ghcr.io/acme/tool:v1", "v1"),
        (f"ghcr.io/acme/tool@{DIGEST}", DIGEST),
        (f"ghcr.io/acme/tool:v1@{DIGEST}", DIGEST),
        ("ghcr.io/acme/tool", "latest"),
    ],
)
def test_a_version_is_named_in_several_ways(text: str, name: str) -> None:
    """By a tag, a digest, or the whole reference."""
    assert version_in("ghcr.io/acme/tool", text) == name


def test_a_version_of_another_repository_is_refused() -> None:
    """A promotion moves nothing between repositories."""
    with pytest.raises(StoreError, match=r"it is in another repository, ghcr\.io/acme/tool"):
        version_in("ghcr.io/acme/other", "ghcr.io/acme/tool:v1")


@pytest.mark.parametrize("text", ["", "a b", "v1?n=1", "sha256:1"])
def test_what_names_no_version_is_refused(text: str) -> None:
    """Before it gets into the path of a request."""
    with pytest.raises(InvalidReferenceError) as caught:
        version_in("ghcr.io/acme/tool", text)
    assert caught.value.doing == f'Read the version "{text}"'


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "empty"),
        (" python", "spaces"),
        ("https://ghcr.io/acme/tool", "a URL"),
        ("ghcr.io/Acme/tool", '"Acme" is not allowed in a path'),
        ("acme/Tool", '"Tool" is not allowed in a path'),
        ("ghcr.io/acme//tool", "a part of its path is empty"),
        ("ghcr.io/", "a part of its path is empty"),
        ("acme/a___b", '"a___b" is not allowed in a path'),
        ("acme/-a", '"-a" is not allowed in a path'),
        ("-x.de/tool", '"-x.de" is not a host'),
        ("ghcr.io:port/tool", '"ghcr.io:port" is not a host'),
        ("tool:", '"" is not a valid tag'),
        ("tool:.v1", '".v1" is not a valid tag'),
        ("tool:" + "a" * 129, "is not a valid tag"),
        ("tool:v1\n", "spaces"),
        ("tool@sha256:abc", '"sha256:abc" is not a digest'),
        (f"tool@{DIGEST.upper()}", "is not a digest"),
        ("tool@", '"" is not a digest'),
        ("x.io/" + "a" * 251, "longer than 255"),
    ],
)
def test_what_is_no_name_is_refused_with_the_reason(text: str, wrong: str) -> None:
    """The error names the part that is wrong, and what would be right."""
    with pytest.raises(InvalidReferenceError) as caught:
        ImageReference.parse(text)
    assert wrong in caught.value.why
    assert len(str(caught.value).splitlines()) <= 2


def test_a_tag_and_a_digest_replace_each_other() -> None:
    """`with_tag` and `with_digest` keep the repository, and nothing else."""
    reference = ImageReference.parse("ghcr.io/acme/tool:v1")
    assert str(reference.with_digest(DIGEST)) == f"ghcr.io/acme/tool@{DIGEST}"
    assert reference.with_digest(DIGEST).with_tag("v1") == reference
    assert reference.repository == "ghcr.io/acme/tool"


def test_a_wrong_tag_is_refused_wherever_it_comes_from() -> None:
    """Values are checked when they are made, not only when they are read."""
    with pytest.raises(InvalidReferenceError):
        ImageReference("ghcr.io", "acme/tool").with_tag("no tag")


@fuzz(texts("abcXY019.-_/:@[]sha256 "), examples=200)
def test_any_text_is_a_name_or_a_mistake(text: str) -> None:
    """And what is a name is the same name when it is written out."""
    try:
        parsed = ImageReference.parse(text)
    except BentoshipError:
        return
    assert ImageReference.parse(str(parsed)) == parsed

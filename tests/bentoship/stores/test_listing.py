"""What a registry lists, in the real distribution registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image.reference import ImageReference
from bentoship.stores import listing
from bentoship.stores.listing import repositories, tags
from bentoship.stores.registry import RegistryStore
from tests.support.images import put_image
from tests.support.servers import answering


@pytest.mark.parametrize("page", [1, 1000])
def test_repositories_are_listed_page_by_page(
    store: RegistryStore, repository: ImageReference, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With those of others, however few names a page has."""
    monkeypatch.setattr(listing, "_PAGE", page)
    other = RegistryStore(replace(repository, path=f"{repository.path}/other"), push=True)
    put_image(store)
    put_image(other)
    assert {repository.path, f"{repository.path}/other"} <= set(repositories(store))


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"tags": null}', b'{"tags": "v1"}', b'{"tags": [1, {}]}'])
def test_a_list_of_something_else_has_no_names(body: bytes) -> None:
    """Whatever JSON it is."""
    with answering(200, {}, body) as server:
        assert tags(RegistryStore(ImageReference(server.host, "a"))) == []


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, b"<html>", "not JSON"),
        ({"Link": '<http://elsewhere.example/v2/a/tags/list>; rel="next"'}, b"{}", "on another host"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(headers: dict[str, str], body: bytes, why: str) -> None:
    """Such as one that goes on elsewhere, which would get the account."""
    with answering(200, headers, body) as server, pytest.raises(StoreError, match=why):
        tags(RegistryStore(ImageReference(server.host, "a")))


def test_a_registry_that_lists_nothing_says_so() -> None:
    """In its own words."""
    refusal = b'{"errors": [{"code": "UNSUPPORTED"}]}'
    with answering(405, {}, refusal) as server, pytest.raises(RegistryError, match="UNSUPPORTED"):
        repositories(RegistryStore(ImageReference(server.host, "a")))

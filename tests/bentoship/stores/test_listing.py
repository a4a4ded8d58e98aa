"""What a registry lists, in the real distribution registry."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bentoship.errors import RegistryError, StoreError
from bentoship.image.reference import ImageReference
from bentoship.stores import listing
from bentoship.stores.listing import repositories, tags
from bentoship.stores.registry import RegistryStore
from bentoship.stores.token import Session
from tests.support.images import put_image
from tests.support.proxy import Fault, Proxy
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


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"tags": null}', []),
        (b"{}", []),
        (
            b'{"tags": [1, {}, "", "a b", "../../b/manifests/c", "%2e", "v1?x", "\\ud800", "v2", "v1", "v2"]}',
            ["v2", "v1"],
        ),
    ],
)
def test_only_names_that_can_be_are_listed(body: bytes, expected: list[str]) -> None:
    """Each once: they become parts of URLs, and the registry may be anyone's."""
    with answering(200, {}, body) as server:
        assert tags(RegistryStore(ImageReference(server.host, "a"))) == expected


def test_repositories_of_other_names_are_passed_over() -> None:
    """As a registry may have some whose names no image can have here."""
    with answering(200, {}, b'{"repositories": ["a/b", "A", "../c", "a//b", 1]}') as server:
        assert repositories(RegistryStore(ImageReference(server.host, "a"))) == ["a/b"]


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, b"<html>", "not JSON"),
        ({}, b"null", "no list of tags"),
        ({}, b"[]", "no list of tags"),
        ({}, b'{"tags": "v1"}', "no list of tags"),
        ({"Link": '<http://[::1>; rel="next"'}, b"{}", "not a valid URL"),
    ],
)
def test_a_list_that_cannot_be_read_is_an_error(headers: dict[str, str], body: bytes, why: str) -> None:
    """As anything may answer."""
    with answering(200, headers, body) as server, pytest.raises(StoreError, match=why):
        tags(RegistryStore(ImageReference(server.host, "a")))


@pytest.mark.parametrize("elsewhere", ["https://{}", "http://registry.internal:5000", "//registry.internal", ""])
def test_a_list_goes_on_where_it_began(
    store: RegistryStore, through: ImageReference, proxy: Proxy, elsewhere: str
) -> None:
    """Whatever host the registry takes itself for behind a proxy; nobody else gets the account."""
    for tag in ("v1", "v2"):
        store.tag(put_image(store), tag)
    link = f"{elsewhere.format(proxy.host)}/v2/{through.path}/tags/list?n=1000&last=v1"
    first = Fault("GET", "/tags/list", status=200, headers={"Link": f'<{link}>; rel="next"'}, body=b'{"tags": ["v1"]}')
    proxy.faults.append(first)
    assert tags(RegistryStore(through)) == ["v1", "v2"]


@pytest.mark.parametrize("links", [["?a", "?b", "?a"], [f"?{number}" for number in range(9)]])
def test_a_list_without_an_end_is_an_error(
    store: RegistryStore, through: ImageReference, proxy: Proxy, links: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that leads back to a page before, and one that is too long; not one whose last page leads to itself."""
    monkeypatch.setattr(listing, "_MOST_PAGES", 5)
    place = f"/v2/{through.path}/tags/list"

    def lead(pages: list[str]) -> None:
        proxy.faults[:] = [
            Fault(
                "GET",
                "/tags/list",
                status=200,
                headers={"Link": f'<{place}{page}>; rel="next"'},
                body=b'{"tags": ["v1"]}',
            )
            for page in pages
        ]

    lead(links)
    with pytest.raises(StoreError, match="does not end"):
        tags(RegistryStore(through))
    lead(["?a", "?b", "?b"])
    assert tags(RegistryStore(through)) == ["v1"]


def test_a_list_that_breaks_off_is_asked_for_again(store: RegistryStore, through: ImageReference, proxy: Proxy) -> None:
    """As is a manifest: what is left of either is something else."""
    image = put_image(store)
    store.tag(image, "v1")
    proxy.faults += [Fault("GET", "/tags/list", cut_received=8), Fault("GET", "/manifests/", cut_received=8)]
    asking = RegistryStore(through, session=Session(patience=30.0))
    assert tags(asking) == ["v1"]
    assert asking.read("v1")[0] == image


def test_a_registry_that_lists_nothing_says_so() -> None:
    """In its own words, and what works nevertheless."""
    refusal = b'{"errors": [{"code": "UNSUPPORTED"}]}'
    with answering(405, {}, refusal) as server:
        store = RegistryStore(ImageReference(server.host, "a"))
        with pytest.raises(RegistryError, match="UNSUPPORTED"):
            repositories(store)
        with pytest.raises(RegistryError, match=r"UNSUPPORTED.*\nThis registry does not list tags"):
            tags(store)

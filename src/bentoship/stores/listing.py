"""Listing tags and repositories (OCI distribution spec, "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from bentoship.errors import InvalidReferenceError, RegistryError, StoreError
from bentoship.image.document import parse_json
from bentoship.image.reference import ImageReference
from bentoship.stores.client import Body, Client
from bentoship.stores.registry import RegistryStore
from bentoship.system.text import size

_PAGE = 1000
"""The number of names to request at a time; registries may return fewer."""

_MOST_PAGES = 1000
_MAX_BODY = 8 << 20
"""Bytes of a page; a thousand of the longest names are a megabyte, and an index of referrers is at most 4."""

_NO_LIST = frozenset({405, 501})
"""Statuses of registries that list nothing."""

_NEXT = re.compile(r"<([^<>]*)>\s*;[^,]*rel\s*=\s*\"?next\"?", re.IGNORECASE)


class NotJSONError(StoreError):
    """A registry sent something else than a list."""


def tags(store: RegistryStore) -> list[str]:
    """Return the tags of a repository; none when there is no such repository. Raises StoreError."""
    doing, path = f"List the tags of {store.repository}", f"/v2/{store.client.path}/tags/list?n={_PAGE}"
    try:
        return _names(store.client, doing, path, "tags", lambda tag: ImageReference("localhost", "image", tag))
    except RegistryError as error:
        if error.status == 404:
            return []
        if error.status in _NO_LIST:
            error.hint = "This registry does not list tags. Commands that get a tag or a whole digest work without."
        raise


def repositories(store: RegistryStore) -> list[str]:
    """Return the paths of a registry's repositories. Raises StoreError, also when the registry does not list them."""
    doing, path = f"List the repositories of {store.client.host}", f"/v2/_catalog?n={_PAGE}"
    client = store.client.with_scope("registry:catalog:*")
    return _names(client, doing, path, "repositories", lambda path: ImageReference("localhost", path))


def pages(client: Client, doing: str, path: str) -> Iterator[Any]:
    """Yield the JSON documents of a list, page by page. Raises StoreError, also when it does not end."""
    asked: set[str] = set()
    following = urljoin(client.base, path)
    while following:
        if following in asked or len(asked) == _MOST_PAGES:
            raise StoreError(doing, f"the list of {client.host} does not end")
        asked.add(following)

        def attempt(url: str = following) -> tuple[bytes, str]:
            with client.call(doing, "GET", url, {"Accept": "application/json, */*"}, expect={200}) as response:
                content = Body(response, doing, client.base).whole(_MAX_BODY)
                found = _NEXT.search(response.headers.get("Link", ""))
                after = _following(client, doing, response.url or url, found[1]) if found else ""
                return content, "" if after == url else after

        content, following = client.http.persist(attempt)
        if len(content) > _MAX_BODY:
            raise StoreError(doing, f"the response is larger than {size(_MAX_BODY)}")
        try:
            yield parse_json(content)
        except ValueError as error:
            raise NotJSONError(doing, f"the response is not JSON ({error})") from error


def _following(client: Client, doing: str, asked: str, link: str) -> str:
    """Return the URL of the next page. Raises StoreError when the link is none.

    Only its path counts, as for podman: a registry behind a proxy may not know the name that it is reached by, nor that
    TLS is used. So the account goes nowhere else, either.
    """
    try:
        parts = urlsplit(urljoin(asked, link))
    except ValueError as error:
        raise StoreError(doing, f"{link[:200]} is not a valid URL ({error})") from error
    return urlunsplit(urlsplit(client.base)._replace(path=parts.path, query=parts.query))


def _names(client: Client, doing: str, path: str, key: str, check: Callable[[str], object]) -> list[str]:
    """Return the names in a list, each once, without invalid ones. Raises StoreError when it is not such a list.

    Args:
        client, doing, path: as of `pages`.
        key: of the names on a page; `null` stands for none (distribution does that for a repository without tags).
        check: raises InvalidReferenceError for an invalid name: names become a part of URLs.
    """
    found: dict[str, None] = {}
    for page in pages(client, doing, path):
        names = page.get(key) if isinstance(page, dict) else page
        if not isinstance(page, dict) or not isinstance(names, list | None):
            raise StoreError(doing, f"the response has no list of {key}")
        for name in names or ():
            with suppress(InvalidReferenceError):
                if isinstance(name, str) and check(name):
                    found[name] = None
    return [*found]

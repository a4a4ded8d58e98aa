"""Listing tags and repositories (OCI distribution spec, "Content Discovery")."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

from bentoship.errors import RegistryError, StoreError
from bentoship.image.document import parse_json
from bentoship.stores.client import Body, Client
from bentoship.stores.registry import RegistryStore
from bentoship.system.network import origin

_PAGE = 1000
"""The number of names to request at a time; registries may return fewer."""

_MOST_PAGES = 1000
_MAX_BODY = 8 << 20
"""Bytes of a page; a thousand of the longest names are a megabyte, and an index of referrers is at most 4."""

_NEXT = re.compile(r"<([^<>]*)>\s*;[^,]*rel\s*=\s*\"?next\"?", re.IGNORECASE)


def tags(store: RegistryStore) -> list[str]:
    """Return the tags of a repository; none when there is no such repository. Raises StoreError."""
    doing, path = f"List the tags of {store.repository}", f"/v2/{store.client.path}/tags/list?n={_PAGE}"
    try:
        return [name for page in pages(store.client, doing, path) for name in _names(page, "tags")]
    except RegistryError as error:
        if error.status == 404:
            return []
        raise


def repositories(store: RegistryStore) -> list[str]:
    """Return the paths of a registry's repositories. Raises StoreError, also when the registry does not list them."""
    doing = f"List the repositories of {store.client.host}"
    client = store.client.with_scope("registry:catalog:*")
    return [name for page in pages(client, doing, f"/v2/_catalog?n={_PAGE}") for name in _names(page, "repositories")]


def pages(client: Client, doing: str, path: str) -> Iterator[Any]:
    """Yield the JSON documents of a list, page by page. Raises StoreError."""
    for _ in range(_MOST_PAGES):

        def attempt(path: str = path) -> tuple[bytes, str]:
            with client.call(doing, "GET", path, {"Accept": "application/json, */*"}, expect={200}) as response:
                content = Body(response, doing, client.base).read(_MAX_BODY + 1)
                found = _NEXT.search(response.headers.get("Link", ""))
                return content, urljoin(response.url or urljoin(client.base, path), found[1]) if found else ""

        content, following = client.http.persist(attempt)
        if len(content) > _MAX_BODY:
            raise StoreError(doing, f"the response is longer than {_MAX_BODY} bytes")
        try:
            yield parse_json(content)
        except ValueError as error:
            raise StoreError(doing, f"the response is not JSON ({error})") from error
        if not following or following == path:
            return
        if origin(urljoin(client.base, following)) != origin(client.base):
            raise StoreError(doing, f"{client.host} continues the list on another host")
        path = following


def _names(page: Any, key: str) -> list[str]:
    """Return the names on a page; `null` stands for none (distribution does that for a repository without tags)."""
    names = page.get(key) if isinstance(page, dict) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

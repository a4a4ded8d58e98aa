"""What a registry refuses, in words."""

from __future__ import annotations

from typing import Any

import pytest

from bentoship.image.reference import ImageReference
from bentoship.stores.registry import RegistryStore
from tests.support.proxy import Fault, Proxy
from tests.support.registry import refused
from tests.support.servers import answering


def test_what_is_no_registry_is_told() -> None:
    """A web server knows nothing of /v2/."""
    with answering(404, body=b"<html><h1>Not Found</h1></html>") as server:
        error = refused(RegistryStore(ImageReference(server.host, "acme/tool"), push=True))
    assert "is not a registry" in error.why


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_troubles_that_pass_are_marked(proxy: Proxy, through: ImageReference, status: int) -> None:
    """So that a copy tries again."""
    proxy.faults.append(
        Fault("POST", status=status, body=b"<html><head><title>Oh no</title></head><h1>Oh</h1> no</html>")
    )
    error = refused(RegistryStore(through, push=True))
    assert error.temporary
    assert error.status == status
    assert "Oh no" in error.why
    assert f"HTTP {status}" in error.why


@pytest.mark.parametrize(
    ("fault", "words", "hint"),
    [
        (
            {"status": 403, "body": b'{"errors":[{"code":"DENIED","message":"no push for you","detail":"ask Bob"}]}'},
            "DENIED: no push for you: ask Bob (HTTP 403 Forbidden)",
            "docker login",
        ),
        (
            {"status": 404, "body": b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository \\"x\\" not found"}]}'},
            'NAME_UNKNOWN: repository "x" not found',
            "Check the name",
        ),
        (
            {"status": 500, "body": b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"Err":28}}]}'},
            "UNKNOWN: unknown error",
            "disk is full",
        ),
        (
            {
                "times": 2,
                "status": 401,
                "body": b'{"errors":[{"code":"UNAUTHORIZED","message":"no","detail":[{"Type":"x"}]}]}',
            },
            "UNAUTHORIZED: no (HTTP 401 Unauthorized)",
            "docker login",
        ),
        ({"status": 413, "body": b"<h1>413 Request Entity Too Large</h1>"}, "Too Large", "raise that limit"),
        ({"status": 418, "body": b""}, "responded with HTTP 418", ""),
        ({"status": 400, "body": b"[1]"}, "[1] (HTTP 400 Bad Request)", ""),
    ],
)
def test_refusals_are_told_in_the_registrys_words(
    proxy: Proxy, through: ImageReference, fault: dict[str, Any], words: str, hint: str
) -> None:
    """With what to do next, where there is something."""
    proxy.faults.append(Fault("POST", **fault))
    error = refused(RegistryStore(through, push=True))
    assert words in error.why
    assert hint in error.hint
    assert error.doing.startswith("Push blob sha256:")
    assert error.doing.endswith(str(through))


def test_a_full_disk_is_not_tried_again(proxy: Proxy, through: ImageReference) -> None:
    """Though the registry answers as for a passing trouble."""
    body = b'{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":"write /x: no space left on device"}]}'
    proxy.faults.append(Fault("PUT", status=500, body=body))
    error = refused(RegistryStore(through, push=True))
    assert "no space left on device" in error.why
    assert not error.temporary


@pytest.mark.parametrize(("header", "seconds"), [("7", 7), ("", 0), ("soon", 0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)])
def test_a_wish_to_wait_is_kept(proxy: Proxy, through: ImageReference, header: str, seconds: float) -> None:
    """In seconds, whatever the header holds."""
    proxy.faults.append(Fault("POST", status=429, headers={"Retry-After": header}))
    assert refused(RegistryStore(through, push=True)).retry_after == seconds

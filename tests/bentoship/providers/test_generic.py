"""Any registry, by host and path."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from bentoship.errors import InvalidReferenceError
from bentoship.providers import Provider
from bentoship.providers.generic import GenericProvider


@pytest.mark.parametrize(
    ("text", "image", "plain_http"),
    [
        ("ghcr.io/acme", "ghcr.io/acme/tool", None),
        ("ghcr.io/acme/team/", "ghcr.io/acme/team/tool", None),
        ("registry.acme.example", "registry.acme.example/tool", None),
        ("http://registry.lan:5000/acme", "registry.lan:5000/acme/tool", True),
        ("https://localhost:5000", "localhost:5000/tool", False),
    ],
)
def test_images_lie_below_host_and_path(text: str, image: str, plain_http: bool | None) -> None:
    """What stands before :// says what the registry speaks."""
    provider: Provider = GenericProvider.parse(text)
    assert str(provider.repository("tool")) == image
    assert provider.plain_http is plain_http


@pytest.mark.parametrize("text", ["", "ghcr", "acme/tool", "ftp://ghcr.io/acme", "ghcr.io/Acme", "ghcr.io//acme"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    """With what was written in the error."""
    with pytest.raises(InvalidReferenceError) as caught:
        GenericProvider.parse(text)
    assert f'"{text}"' in caught.value.doing


def test_login_tells_as_whom_it_will_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its password; or that it is nobody."""
    for name in ("HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    provider = GenericProvider.parse("ghcr.io/acme")
    assert "No account" in provider.login()
    assert provider.credentials() is None
    auth = base64.b64encode(b"alice:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}))
    assert "alice (from " in provider.login()
    assert "secret" not in provider.login()
    found = provider.credentials()
    assert found
    assert found.password == "secret"


def test_nothing_is_needed_before_a_push() -> None:
    """Each step says so in one line."""
    provider = GenericProvider.parse("ghcr.io/acme")
    for said in (provider.enable_api(), provider.create_registry()):
        assert "ghcr.io" in said
        assert len(said.splitlines()) == 1

"""Any registry, by its address."""

from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import pytest

from bentoship.providers import Provider
from bentoship.providers.generic import GenericProvider
from bentoship.settings.address import RegistryAddress


def test_login_tells_as_whom_it_will_push(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its password; or that it is nobody."""
    for name in ("HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    nobody: Provider = GenericProvider(RegistryAddress("ghcr.io", "acme"))
    assert "No account" in nobody.login()
    assert nobody.credentials() is None
    auth = base64.b64encode(b"alice:secret").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"ghcr.io": {"auth": auth}}}))
    provider = GenericProvider(RegistryAddress("ghcr.io", "acme"))
    assert "alice (from " in provider.login()
    assert "secret" not in provider.login()
    found = provider.credentials()
    assert found
    assert found.password == "secret"


def test_nothing_is_needed_before_a_push() -> None:
    """Each step says so in one line."""
    provider = GenericProvider(RegistryAddress("ghcr.io", "acme"))
    for said in (provider.enable_api(), provider.create_registry()):
        assert "ghcr.io" in said
        assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("host", "deletes"), [("europe-west6-docker.pkg.dev", True), ("ghcr.io", False)])
def test_googles_registry_may_delete_what_has_no_tag(host: str, deletes: bool) -> None:
    """Also where it is no more than an address; and it is asked for its images."""
    provider: Provider = GenericProvider(RegistryAddress(host, "acme"))
    assert (provider.deletes_untagged, provider.images()) == (deletes, None)


def test_a_helper_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all that log in within ten minutes; what it gives is looked for again then."""
    helper = tmp_path / "docker-credential-tests"
    helper.write_text('#!/bin/sh\necho "asked" >> "$HOME/log"\necho \'{"Username": "alice", "Secret": "secret"}\'\n')
    helper.chmod(0o755)
    (tmp_path / "config.json").write_text(json.dumps({"credsStore": "tests"}))
    for name in ("HOME", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    provider = GenericProvider(RegistryAddress("ghcr.io", "acme"))
    assert "alice" in provider.login()
    assert provider.credentials() == provider.credentials()
    assert (tmp_path / "log").read_text().split() == ["asked"]
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    assert provider.credentials()
    assert (tmp_path / "log").read_text().split() == ["asked"] * 2

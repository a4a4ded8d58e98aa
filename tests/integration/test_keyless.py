"""Publishing and verifying without a key, as people do it, against stand-ins for Sigstore's services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cache import needs_apt
from tests.support.servers import answering
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore, sigstore
from tests.support.site import Site, echo_site

pytestmark = needs_apt


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Sigstore]:
    """Stand-ins for Sigstore's services."""
    folder = tmp_path / "sigstore"
    folder.mkdir()
    with sigstore(folder) as found:
        yield found


@pytest.fixture
def site(tmp_path: Path, cache: Path, services: Sigstore) -> Site:
    """A project whose images are signed without a key."""
    return echo_site(
        tmp_path, cache, IMAGE_NAME="echo/keyless", SIGNING="keyless", SIGSTORE_TRUST_CONFIG=str(services.trust())
    )


def test_an_image_is_signed_and_checked(site: Site, services: Sigstore) -> None:
    """By a job of GitHub, once; then it is verified by everybody who knows the job, and by nobody else."""
    refused = site.invoke("publish")
    assert refused.returncode == 1
    assert "SIGSTORE_ID_TOKEN is not set" in refused.stderr
    assert "create-registry" not in refused.stderr

    with answering(200, body=f'{{"value": "{services.authority.token()}"}}'.encode()) as github:
        job = {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://{github.host}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "password",
        }
        published = site.invoke("publish", **job)
        assert published.returncode == 0, published.stderr
        assert f"signed by {WORKFLOW} ({GITHUB})" in published.stderr
        assert "attached 1 signature, the provenance and an SBOM" in published.stderr
        asked = list(services.asked)
        again = site.invoke("publish", **job)
        assert again.stdout == published.stdout
        assert services.asked == asked

    unchecked = site.invoke("verify")
    assert "its signature is not checked: set SIGNING_IDENTITY and SIGNING_ISSUER" in unchecked.stderr
    assert "the result is not signed: Find the identity to sign by" in unchecked.stderr
    right = site.invoke("verify", SIGNING="", SIGNING_IDENTITY=WORKFLOW, SIGNING_ISSUER=GITHUB)
    assert right.returncode == unchecked.returncode
    assert "its signature is valid, and so are those of 2 statements about it" in right.stderr
    wrong = site.invoke("verify", SIGNING_IDENTITY="ada@example.com", SIGNING_ISSUER=GITHUB)
    assert wrong.returncode == 1
    assert "(3) was made for this image by ada@example.com" in wrong.stderr
    assert WORKFLOW in wrong.stderr
    assert "pulling" not in wrong.stderr

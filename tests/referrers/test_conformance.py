"""What the conformance suite of the OCI distribution spec checks of the referrers API (03_discovery_test.go), and what
else the spec says of it, asked of the tests' own registry."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import urllib3

from bentoship.image.artifact import EMPTY, EMPTY_CONTENT, Artifact, Blob
from bentoship.image.descriptor import INDEX, MANIFEST, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, fallback_tag, referrers
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from tests.support import referrers_registry
from tests.support.images import put, put_image, put_index
from tests.support.referrers_registry import ReferrersRegistry
from tests.support.versions import detach

CONFIG_KIND, KIND_A, KIND_B = "application/x.test.config", "application/x.test.a", "application/x.test.b"
NOWHERE = Descriptor(MANIFEST, f"sha256:{'d' * 64}", 7)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferrersRegistry]:
    """A registry whose lists have at most three entries on a page."""
    with referrers_registry.running(tmp_path_factory.mktemp("registry"), page=3) as running:
        yield running


@dataclass(frozen=True)
class Client:
    """Raw requests to one repository."""

    repository: ImageReference
    pool: urllib3.PoolManager = field(default_factory=urllib3.PoolManager)

    @property
    def store(self) -> RegistryStore:
        """The repository, as bentoship sees it."""
        return RegistryStore(self.repository, push=True)

    def ask(self, method: str, path: str, body: bytes | None = None, kind: str = MANIFEST) -> urllib3.BaseHTTPResponse:
        """Ask for a path of the repository, or for one of the host."""
        path = path if path.startswith("/") else f"/v2/{self.repository.path}/{path}"
        headers = {"Content-Type": kind} if body is not None else {}
        return self.pool.request(method, f"http://{self.repository.host}{path}", body=body, headers=headers)

    def put(self, document: dict[str, Any]) -> tuple[Descriptor, str]:
        """Put a manifest under its digest. Returns: its descriptor, and the header OCI-Subject of the answer."""
        content = json.dumps({"schemaVersion": 2, **document}).encode()
        descriptor = Descriptor.of(document["mediaType"], content)
        answer = self.ask("PUT", f"manifests/{descriptor.digest}", content, descriptor.media_type)
        assert answer.status == 201, answer.data
        return descriptor, answer.headers.get("OCI-Subject", "")

    def listed(self, subject: str, query: str = "") -> list[dict[str, Any]]:
        """What refers to a subject, page after page."""
        path, found = f"referrers/{subject}{query}", []
        while path:
            answer = self.ask("GET", path)
            assert (answer.status, answer.headers["Content-Type"]) == (200, INDEX)
            assert answer.headers.get("OCI-Filters-Applied") == ("artifactType" if "artifactType" in path else None)
            page = json.loads(answer.data)
            assert (page["schemaVersion"], page["mediaType"]) == (2, INDEX)
            assert len(page["manifests"]) <= 3
            found += page["manifests"]
            link = answer.headers.get("Link", "")
            assert not link or link.endswith('>; rel="next"')
            path = link.removeprefix("<").partition(">")[0]
        return found


@pytest.fixture
def client(registry: ReferrersRegistry) -> Client:
    """A client of a repository that no other test uses."""
    client = Client(ImageReference(registry.host, f"tests/{uuid.uuid4().hex}"))
    put(client.store, EMPTY, EMPTY_CONTENT)
    put(client.store, CONFIG_KIND, b"config")
    return client


def referring(subject: Descriptor, note: str, kind: str = "", config: str = EMPTY) -> dict[str, Any]:
    """A manifest with a subject."""
    return {
        "mediaType": MANIFEST,
        **({"artifactType": kind} if kind else {}),
        "config": Descriptor.of(config, EMPTY_CONTENT if config == EMPTY else b"config").to_dict(),
        "layers": [Descriptor.of(EMPTY, EMPTY_CONTENT).to_dict()],
        "subject": subject.to_dict(),
        "annotations": {"note": note},
    }


def test_what_refers_to_a_manifest_is_listed(client: Client) -> None:
    """Before it was pushed and afterwards, with its kind or that of its configuration, and with its annotations."""
    image = put_image(client.store, sizes=(10,))
    client.store.delete(image.digest)
    early = [
        client.put(referring(image, "1", config=CONFIG_KIND)),
        client.put(referring(image, "2", KIND_A)),
        client.put({"mediaType": INDEX, "artifactType": KIND_A, "manifests": [], "subject": image.to_dict()}),
        client.put({"mediaType": INDEX, "manifests": [], "subject": image.to_dict(), "annotations": {"note": "4"}}),
    ]
    assert put_image(client.store, sizes=(10,)) == image
    late = [client.put(referring(image, "5", KIND_B)), client.put(referring(image, "6", KIND_B, CONFIG_KIND))]
    assert {subject for _, subject in [*early, *late]} == {image.digest}
    kinds, notes = [CONFIG_KIND, KIND_A, KIND_A, "", KIND_B, KIND_B], ["1", "2", "", "4", "5", "6"]
    wanted = [
        {
            **descriptor.to_dict(),
            **({"artifactType": kind} if kind else {}),
            **({"annotations": {"note": note}} if note else {}),
        }
        for (descriptor, _), kind, note in zip([*early, *late], kinds, notes, strict=True)
    ]
    in_order = sorted(wanted, key=lambda one: str(one["digest"]))
    assert client.listed(image.digest) == in_order
    for kind in (KIND_A, KIND_B, CONFIG_KIND, "application/x.none"):
        with_kind = [one for one in in_order if one.get("artifactType") == kind]
        assert client.listed(image.digest, f"?artifactType={kind}") == with_kind


def test_what_does_not_exist_has_no_referrers(client: Client) -> None:
    """That is an empty list, also in a repository that does not exist."""
    assert client.listed(NOWHERE.digest) == []
    elsewhere = Client(ImageReference(client.repository.host, "tests/none"))
    assert elsewhere.listed(NOWHERE.digest) == []
    one, subject = client.put(referring(NOWHERE, "1", KIND_A))
    assert subject == NOWHERE.digest
    assert [entry["digest"] for entry in client.listed(NOWHERE.digest)] == [one.digest]


@pytest.mark.parametrize("digest", ["latest", "sha256:abc", f"sha256:{'D' * 64}", "md5:abc"])
def test_what_is_no_digest_is_refused(client: Client, digest: str) -> None:
    """With an error of the spec's form."""
    answer = client.ask("GET", f"referrers/{digest}")
    assert answer.status == 400
    assert json.loads(answer.data)["errors"][0]["code"] == "DIGEST_INVALID"


def test_a_deleted_manifest_refers_to_nothing(client: Client) -> None:
    """And what was put twice is listed once."""
    first, _ = client.put(referring(NOWHERE, "1", KIND_A))
    second, _ = client.put(referring(NOWHERE, "2", KIND_A))
    client.put(referring(NOWHERE, "2", KIND_A))
    assert client.ask("DELETE", f"manifests/{first.digest}").status == 202
    assert [entry["digest"] for entry in client.listed(NOWHERE.digest)] == [second.digest]


def test_what_has_no_subject_or_is_refused_is_not_listed(client: Client) -> None:
    """An image without one, and a manifest whose blobs are missing."""
    image = put_image(client.store)
    assert client.put({"mediaType": INDEX, "manifests": [image.to_dict()]})[1] == ""
    broken = {**referring(image, "1", KIND_A), "layers": [NOWHERE.to_dict()], "schemaVersion": 2}
    answer = client.ask("PUT", "manifests/broken", json.dumps(broken).encode())
    assert answer.status == 400
    assert "OCI-Subject" not in answer.headers
    assert client.listed(image.digest) == []


def test_what_was_listed_under_a_tag_before_is_listed(client: Client, registry: ReferrersRegistry) -> None:
    """Pushed to the registry behind, when there was no API; as far as it does refer to the image."""
    behind = RegistryStore(ImageReference(registry.upstream.host, client.repository.path), push=True)
    image, other = put_image(behind, seed=1), put_image(behind, seed=2)
    added = attach(behind, Artifact(KIND_A, [Blob("text/plain", b"1")], {"note": "1"}, image))
    behind.tag(put_index(behind, added.descriptor, other), fallback_tag(image.digest))
    assert [entry["digest"] for entry in client.listed(image.digest)] == [added.descriptor.digest]


def test_bentoship_attaches_by_the_api(client: Client) -> None:
    """No tag is made for it, and what is detached is gone."""
    store = client.store
    image = put_image(store)
    added = [attach(store, Artifact(KIND_A, [], {"note": str(number)}, image)) for number in range(7)]
    assert sorted(map(str, referrers(store, image.digest))) == sorted(map(str, added))
    assert referrers(store, image.digest, KIND_B) == []
    detach(store, image.digest, added[2:])
    assert {one.annotations["note"] for one in referrers(store, image.digest)} == {"0", "1"}
    assert tags(store) == []

"""The stand-in's Docker endpoint, by skopeo and our own registry client."""

from __future__ import annotations

import base64
import http.client
import io
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from bentoship.errors import RegistryError
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import LAYER_TAR, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores.artifacts import attach, referrers
from bentoship.stores.credentials import Credentials
from bentoship.stores.registry import RegistryStore
from tests.google_fake.clients import Clients
from tests.support import dockerd
from tests.support.engines import require
from tests.support.google import Answer, Google
from tests.support.images import noise, put, put_image, put_index
from tests.support.registry import refused

NAME = "projects/celestial-bodies-123456/locations/europe-west6/repositories/mlops-registry"


def reference(google: Google, image: str = "/celestial/classifier") -> ImageReference:
    """An image in the repository."""
    return ImageReference.parse(f"{google.docker_host}/{google.project.id}/mlops-registry{image}")


def store(google: Google, credentials: Credentials | Callable[[], Credentials] | None = None) -> RegistryStore:
    """Our own client of it."""
    return RegistryStore(reference(google), credentials or user(google), push=True)


def user(google: Google, account: str = "") -> Credentials:
    """An access token as a password."""
    return Credentials("oauth2accesstoken", google.token(account))


def answer(google: Google, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """What is answered to one request; no redirect is followed."""
    connection = http.client.HTTPConnection(google.docker_host, timeout=5)
    connection.request(method, path, headers=headers)
    return connection.getresponse()


def error(response: http.client.HTTPResponse) -> dict[str, str]:
    """What a refusal says."""
    return dict(json.load(response)["errors"][0])


def test_images_are_pushed_and_pulled(google: Google) -> None:
    """Blobs are sent to addresses outside /v2/, and come from others; the API knows the images."""
    google.add_repository()
    there = store(google)
    image = put_image(there)
    there.tag(image, "latest")
    there.tag(image, "v1")
    assert there.resolve("latest") == image
    content = noise(100_000, 1)
    blob = put(there, LAYER_TAR, content)
    with there.open(blob) as stream:
        assert stream.read() == content
    assert google.count("PUT", "^/artifacts-uploads/namespaces/") == 4
    assert google.count("GET", "^/artifacts-downloads/namespaces/") == 1
    assert max(request.received for request in google.state.requests) == len(content)
    api = Clients(google.api_port, google.token()).artifacts
    (found,) = api.list_docker_images(parent=NAME)
    assert found.name == f"{NAME}/dockerImages/celestial%2Fclassifier@{image.digest}"
    assert list(found.tags) == ["latest", "v1"]
    assert api.get_docker_image(name=found.name) == found
    (package,) = api.list_packages(parent=NAME)
    assert package.name == f"{NAME}/packages/celestial%2Fclassifier"
    assert api.get_repository(name=NAME).size_bytes == found.image_size_bytes


def test_skopeo_pushes_pulls_and_lists(google: Google, tmp_path: Path) -> None:
    """As user of a key, of a token, and of gcloud's helper."""
    require("skopeo")
    google.add_repository()
    there = store(google)
    there.tag(put_image(there), "latest")
    name = f"docker://{reference(google)}"
    key = google.key.read_text()
    encoded = base64.b64encode(key.encode()).decode()
    copy = ["skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false"]
    first, second = f"dir:{tmp_path / 'image'}", f"{name}-copy:v1"
    for command in (
        [*copy, "--src-creds", f"_dcgcloud_token:{google.token()}", f"{name}:latest", first],
        [*copy, "--dest-creds", f"_json_key:{key}", first, second],
        ["skopeo", "inspect", "--tls-verify=false", "--creds", f"_json_key_base64:{encoded}", second],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["RepoTags"] == ["v1"]
    assert google.count("PATCH", "^/artifacts-uploads/") > 0


def test_dockers_engine_pushes_and_pulls(google: Google) -> None:
    """It sends blobs in pieces of unknown length, and says why it may not."""
    google.add_repository()
    name, key = str(reference(google)), {"username": "_json_key", "password": google.key.read_text()}
    with dockerd.running() as daemon:
        engine = daemon.engine
        dockerd.small_image(engine, name, noise(300_000, 1))
        said = engine.client.api.push(name, "latest", auth_config=key)
        assert f"latest: digest: {store(google).resolve('latest').digest}" in said
        engine.client.images.remove(f"{name}:latest")
        token = {"username": "oauth2accesstoken", "password": google.token()}
        assert engine.client.images.pull(name, "latest", auth_config=token).tags == [f"{name}:latest"]
        google.deny(google.account, "*.uploadArtifacts")
        said = engine.client.api.push(name, "latest", auth_config=token)
        assert "denied: Permission" in said


@pytest.mark.parametrize(
    ("denied", "text"),
    [
        ("uploadArtifacts", 'Permission "artifactregistry.repositories.uploadArtifacts" denied on resource '),
        ("downloadArtifacts", 'Permission "artifactregistry.repositories.downloadArtifacts" denied on resource '),
    ],
)
def test_what_an_account_may_not_do_is_denied(google: Google, denied: str, text: str) -> None:
    """By the token endpoint, and to those who show their access token instead."""
    google.add_repository()
    google.deny(google.account, f"artifactregistry.repositories.{denied}")
    failed = refused(store(google))
    assert (failed.status, failed.why.partition(":")[0]) == (403, "DENIED")
    assert f'{text}"{NAME}" (or it may not exist)' in str(failed)
    if denied == "uploadArtifacts":
        path = f"/v2/{google.project.id}/mlops-registry/x/blobs/uploads/"
        response = answer(google, path, "POST", Authorization=f"Bearer {google.token()}")
        assert (response.status, error(response)["code"]) == (403, "DENIED")


def test_what_is_not_there_is_told(google: Google) -> None:
    """The API that is disabled, the project, the repository, the image, the tag."""
    assert "Artifact Registry API has not been used in project celestial-bodies-123456" in str(refused(store(google)))
    google.add_repository("other")
    failed = refused(store(google))
    assert (failed.status, failed.why.partition(":")[0]) == (404, "NAME_UNKNOWN")
    assert 'Repository "mlops-registry" not found' in str(failed)
    google.add_repository()
    with pytest.raises(RegistryError, match="Failed to fetch"):
        store(google).resolve("latest")
    short = RegistryStore(reference(google, ""), user(google), push=True)
    assert "Missing image name. Pushes should be of the form docker push" in str(refused(short))
    elsewhere = ImageReference.parse(f"{google.docker_host}/another-project/mlops-registry/x")
    failed = refused(RegistryStore(elsewhere, user(google), push=True))
    assert "projects/another-project/locations/europe-west6/repositories/mlops-registry" in str(failed)


def test_who_is_unknown_is_told_where_to_go(google: Google) -> None:
    """Without a scope; and gets no token."""
    google.add_repository()
    path = f"/v2/{google.project.id}/mlops-registry/x/manifests/latest"
    for place in ("/v2/", path):
        response = answer(google, place)
        assert response.headers["WWW-Authenticate"] == (
            f'Bearer realm="http://{google.docker_host}/v2/token",service="{google.docker_host}"'
        )
        assert error(response)["message"] == "not authenticated: No valid credential was supplied."
    assert answer(google, path, Authorization="Bearer nothing").status == 401
    scope = f"scope=repository:{google.project.id}/mlops-registry/x:pull"
    wrong = base64.b64encode(b"oauth2accesstoken:wrong").decode()
    response = answer(google, f"/v2/token?{scope}", Authorization=f"Basic {wrong}")
    assert (response.status, error(response)["code"]) == (401, "UNAUTHORIZED")
    response = answer(google, f"/v2/token?{scope}")
    assert response.status == 403
    assert error(response)["message"].startswith("Unauthenticated request. Unauthenticated requests do not have perm")


def test_everybody_may_be_allowed_to_pull(google: Google) -> None:
    """Then nobody needs to log in for that, and still has to for pushing."""
    google.add_repository()
    there = store(google)
    there.tag(put_image(there), "latest")
    google.allow("allUsers", "artifactregistry.repositories.downloadArtifacts")
    public = RegistryStore(reference(google), None)
    assert public.resolve("latest") == there.resolve("latest")
    assert "Unauthenticated request" in str(refused(RegistryStore(reference(google), None, push=True)))


def test_immutable_tags_stay_where_they_are(google: Google) -> None:
    """They may be given out, and given again to the same image."""
    google.add_repository(immutable_tags=True)
    there = store(google)
    first, second = put_image(there), put_image(there, seed=1)
    there.tag(first, "v1")
    there.tag(first, "v1")
    with pytest.raises(RegistryError) as caught:
        there.tag(second, "v1")
    assert (caught.value.status, caught.value.why.partition(":")[0]) == (400, "MANIFEST_INVALID")
    assert "cannot update tag v1. The repository has enabled tag immutability" in str(caught.value)
    assert there.resolve("v1") == first
    there.tag(second, "v2")


def test_a_token_can_end_while_a_blob_is_sent(google: Google) -> None:
    """The upload is refused, and goes well with a new token."""
    google.add_repository()
    google.state.docker_token_bytes = 100_000
    there = store(google, lambda: user(google))
    content = noise(300_000, 1)
    blob = Descriptor.of(LAYER_TAR, content)
    with pytest.raises(RegistryError) as caught:
        there.write(blob, io.BytesIO(content), lambda count: None)
    assert caught.value.status == 401
    assert not there.exists(blob)
    google.state.docker_token_bytes = None
    fresh = store(google)
    fresh.write(blob, io.BytesIO(content), lambda count: None)
    assert fresh.exists(blob)


def test_a_blob_is_taken_in_one_piece_only(google: Google) -> None:
    """The second piece is refused."""
    google.add_repository()
    bearer = f"Bearer {google.token()}"
    path = f"/v2/{google.project.id}/mlops-registry/x/blobs/uploads/"
    location = answer(google, path, "POST", Authorization=bearer).headers["Location"]
    connection = http.client.HTTPConnection(google.docker_host, timeout=5)
    statuses = []
    for _ in range(2):
        connection.request("PATCH", location, b"piece", {"Authorization": bearer})
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    assert statuses == [202, 400]


def test_a_download_takes_no_credentials(google: Google) -> None:
    """Its address, by another name of the server, is enough."""
    google.add_repository()
    blob = put(store(google), LAYER_TAR, b"content")
    bearer = f"Bearer {google.token()}"
    path = f"/v2/{google.project.id}/mlops-registry/celestial/classifier/blobs/{blob.digest}"
    response = answer(google, path, Authorization=bearer)
    assert response.status == 302
    location = response.headers["Location"]
    assert location.startswith(f"http://127.0.0.1:{google.docker_port}/artifacts-downloads/")
    with urllib.request.urlopen(location, timeout=5) as downloaded:
        assert downloaded.read() == b"content"
    asked = urllib.request.Request(location, headers={"Authorization": bearer})
    with pytest.raises(urllib.error.HTTPError, match="400"):
        urllib.request.urlopen(asked, timeout=5)


def test_a_blob_is_mounted_from_where_one_may_read(google: Google) -> None:
    """From another repository, too, unless that is denied."""
    google.add_repository()
    google.add_repository("other")
    blob = put(store(google), LAYER_TAR, b"content")
    other = ImageReference.parse(f"{google.docker_host}/{google.project.id}/other/x")
    source = reference(google).path
    google.deny(google.account, "*.downloadArtifacts", on=NAME)
    assert not RegistryStore(other, user(google), push=True).mount(blob, source)
    google.state.account(google.account).denied.clear()
    there = RegistryStore(other, user(google), push=True)
    assert there.mount(blob, source)
    assert there.exists(blob)


def test_a_repository_made_anew_is_empty(google: Google) -> None:
    """Whatever was in one of its name."""
    google.add_repository()
    image = put_image(store(google))
    api = Clients(google.api_port, google.token()).artifacts
    api.delete_repository(name=NAME).result(timeout=5)
    assert refused(store(google)).why.startswith("NAME_UNKNOWN:")
    google.add_repository()
    assert not store(google).exists(image)
    assert not list(api.list_docker_images(parent=NAME))


def test_faults_come_over_http_too(google: Google) -> None:
    """As often as is wished."""
    google.add_repository()
    google.faults.add("PUT .*/manifests/.*", Answer(503, b"", {"Retry-After": "1"}))
    there = store(google)
    with pytest.raises(RegistryError) as caught:
        put_image(there)
    assert (caught.value.status, caught.value.temporary) == (503, True)
    assert there.exists(put_image(there))


def test_a_manifest_goes_only_without_tags_and_parents(google: Google) -> None:
    """A tag goes alone; an index goes before what it lists, and what refers to an image before that."""
    google.add_repository()
    there = store(google)
    image = put_image(there)
    index = put_index(there, image)
    note = attach(there, Artifact("application/vnd.example.note", [], {"n": "1"}, image)).descriptor
    there.tag(index, "v1")
    assert [(one.descriptor, one.annotations) for one in referrers(there, image.digest)] == [(note, {"n": "1"})]
    assert there.has_referrers is not False
    with pytest.raises(RegistryError, match="GOOGLE_MANIFEST_DANGLING_TAG: Manifest is still referenced by tag: v1"):
        there.delete(index.digest)
    there.delete("v1")
    assert (there.digest_of("v1"), there.digest_of(index.digest)) == (None, index.digest)
    for parent in (index, note):
        with pytest.raises(RegistryError, match=r"GOOGLE_MANIFEST_DANGLING_PARENT_IMAGE: .* parent images"):
            there.delete(image.digest)
        there.delete(parent.digest)
    assert there.delete(image.digest)
    assert not there.delete(image.digest)

"""Artifact Registry's API: repositories, their images, and the locations."""

from __future__ import annotations

import re
import time
import uuid
from typing import Any

from google.cloud.artifactregistry_v1 import types
from google.cloud.artifactregistry_v1.types import Repository
from google.cloud.location import locations_pb2
from google.iam.v1 import iam_policy_pb2, policy_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.timestamp_pb2 import Timestamp
from tests.support.google import errors, images
from tests.support.google.locations import LOCATIONS, ON_REQUEST
from tests.support.google.rest import Call, Method, page
from tests.support.google.state import Project, State

HOST = "artifactregistry.googleapis.com"

_ID = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_CHANGEABLE = {
    "description",
    "labels",
    "cleanup_policies",
    "cleanup_policy_dry_run",
    "docker_config.immutable_tags",
    "vulnerability_scanning_config",
    "vulnerability_scanning_config.enablement_config",
}
_MAX_POLICIES = 10


def get_repository(call: Call, request: Any) -> Repository:
    """GetRepository."""
    return _found(call, request.name, "get")


def list_repositories(call: Call, request: Any) -> types.ListRepositoriesResponse:
    """ListRepositories, of one location."""
    project, location = _place(call, request.parent, "list")
    parent = f"projects/{project.id}/locations/{location}/"
    with call.state.lock:
        names = sorted(name for name in call.state.repositories if name.startswith(parent))
        found, following = page(names, request.page_size, request.page_token)
        repositories = [_counted(call.state, name) for name in found]
    return types.ListRepositoriesResponse(repositories=repositories, next_page_token=following)


def create_repository(call: Call, request: Any) -> Any:
    """CreateRepository: the name is taken at once, the repository there when the operation is done."""
    project, location = _place(call, request.parent, "create")
    wanted = request.repository
    policies = len(wanted.cleanup_policies)
    if not _ID.fullmatch(request.repository_id) or not wanted.format_ or policies > _MAX_POLICIES:
        raise errors.invalid_argument()
    if project.locations is not None and location not in project.locations:
        raise errors.location_restricted(project.id, location)
    name = f"projects/{project.id}/locations/{location}/repositories/{request.repository_id}"
    with call.state.lock:
        if name in call.state.repositories or name in call.state.coming:
            raise errors.already_exists()
        call.state.coming.add(name)

    def finish() -> Any:
        call.state.coming.discard(name)
        call.state.fail(f"{call.name} (operation)")
        return Repository.pb(add(call.state, name, wanted))

    return _begin(call, name, finish)


def add(state: State, name: str, wanted: Repository) -> Repository:
    """Let there be a repository."""
    _, project, _, location, _, short = name.split("/")
    made = Repository(wanted)
    inner = Repository.pb(made)
    inner.name = name
    inner.mode = inner.mode or Repository.Mode.STANDARD_REPOSITORY
    inner.create_time.seconds = inner.update_time.seconds = int(time.time())
    inner.registry_uri = f"{location}-docker.pkg.dev/{project}/{short}"
    inner.vulnerability_scanning_config.enablement_state = 2  # SCANNING_DISABLED
    with state.lock:
        state.repositories[name] = made
        state.generations[name] = max(state.generations.values(), default=0) + 1
    return made


def update_repository(call: Call, request: Any) -> Repository:
    """UpdateRepository: of what can be changed, what the mask names."""
    found = _found(call, request.repository.name, "update")
    paths = set(request.update_mask.paths)
    if not paths or not paths <= _CHANGEABLE or len(request.repository.cleanup_policies) > _MAX_POLICIES:
        raise errors.invalid_argument()
    with call.state.lock:
        kept = call.state.repositories[found.name]
        request.update_mask.MergeMessage(Repository.pb(request.repository), Repository.pb(kept), True, True)
        kept.update_time = _now()
    return kept


def delete_repository(call: Call, request: Any) -> Any:
    """DeleteRepository, with what is in it."""
    name = _found(call, request.name, "delete").name

    def finish() -> Any:
        call.state.fail(f"{call.name} (operation)")
        with call.state.lock:
            call.state.repositories.pop(name, None)
            call.state.images.pop(name, None)
        return Empty()

    return _begin(call, name, finish)


def list_docker_images(call: Call, request: Any) -> types.ListDockerImagesResponse:
    """ListDockerImages."""
    name = _found(call, request.parent, "dockerimages.list").name
    found, following = page(images.listed(call.state, name), request.page_size, request.page_token)
    return types.ListDockerImagesResponse(docker_images=found, next_page_token=following)


def list_packages(call: Call, request: Any) -> types.ListPackagesResponse:
    """ListPackages: a package is what images of one name have in common."""
    name = _found(call, request.parent, "packages.list").name
    found, following = page(images.packages(call.state, name), request.page_size, request.page_token)
    return types.ListPackagesResponse(packages=found, next_page_token=following)


def get_docker_image(call: Call, request: Any) -> types.DockerImage:
    """GetDockerImage, by digest or by tag."""
    parent, _, wanted = request.name.partition("/dockerImages/")
    repository = _found(call, parent, "dockerimages.get")
    short, _, tag = wanted.partition(":")
    for image in images.listed(call.state, repository.name):
        path = image.name.rpartition("/")[2]
        if path == wanted or ("@" not in wanted and path.startswith(f"{short}@") and tag in image.tags):
            return image
    raise errors.not_found()


def test_iam_permissions(call: Call, request: Any) -> iam_policy_pb2.TestIamPermissionsResponse:
    """TestIamPermissions: those of the asked that the account has; none on what is not there."""
    _, called, rest = request.resource.split("/", 2)
    project = call.project(called)
    name = f"projects/{project.id}/{rest}"
    there = name in call.state.repositories
    held = [permission for permission in request.permissions if there and call.account.may(permission, name)]
    return iam_policy_pb2.TestIamPermissionsResponse(permissions=held)


def get_iam_policy(call: Call, request: Any) -> policy_pb2.Policy:
    """GetIamPolicy: as nothing here is granted by repository, an empty one."""
    _found(call, request.resource, "getIamPolicy")
    return policy_pb2.Policy(etag=b"\x00\x20\x01")


def list_locations(call: Call, request: Any) -> locations_pb2.ListLocationsResponse:
    """ListLocations: all at once."""
    project = call.project(request.name.partition("/")[2])
    call.require("artifactregistry.locations.list", f"projects/{project.id}")
    return locations_pb2.ListLocationsResponse(locations=[_location(project, name) for name in LOCATIONS])


def get_location(call: Call, request: Any) -> locations_pb2.Location:
    """GetLocation."""
    project, location = _split(call, request.name)
    call.require("artifactregistry.locations.get", f"projects/{project.id}")
    return _location(project, location)


def _location(project: Project, location: str) -> locations_pb2.Location:
    return locations_pb2.Location(name=f"projects/{project.id}/locations/{location}", location_id=location)


def _split(call: Call, place: str) -> tuple[Project, str]:
    """Project and location of a name. Raises RefusalError when there is no such."""
    _, called, _, location = place.split("/")
    project = call.project(called)
    if location not in LOCATIONS or (location in ON_REQUEST and location not in (project.locations or ())):
        raise errors.location_denied(call.host, called, location)
    return project, location


def _place(call: Call, parent: str, verb: str) -> tuple[Project, str]:
    """Project and location, where the account may do something with repositories. Raises RefusalError."""
    project, location = _split(call, parent)
    call.require(f"artifactregistry.repositories.{verb}", f"projects/{project.id}/locations/{location}")
    return project, location


def _found(call: Call, name: str, verb: str) -> Repository:
    """The repository, with which the account may do something. Raises RefusalError."""
    place, _, short = name.partition("/repositories/")
    project, location = _split(call, place)
    full = f"projects/{project.id}/locations/{location}/repositories/{short}"
    call.require(f"artifactregistry.{verb}" if "." in verb else f"artifactregistry.repositories.{verb}", full)
    with call.state.lock:
        if full not in call.state.repositories:
            raise errors.not_found()
        return _counted(call.state, full)


def _counted(state: State, name: str) -> Repository:
    """A repository, with the size of what is in it."""
    repository = state.repositories[name]
    repository.size_bytes = sum(image.image_size_bytes for image in images.listed(state, name))
    return repository


def _begin(call: Call, name: str, finish: Any) -> Any:
    operation = f"{name.partition('/repositories/')[0]}/operations/{uuid.uuid4()}"
    return call.state.begin(operation, finish, types.OperationMetadata.pb(types.OperationMetadata()))


def _now() -> Timestamp:
    return Timestamp(seconds=int(time.time()))


_SERVICE = "google.devtools.artifactregistry.v1.ArtifactRegistry"
_PLACES = "projects/*/locations/*"
_REPOSITORIES = f"{_PLACES}/repositories/*"

METHODS = (
    *(
        Method(HOST, _SERVICE, verb, f"/v1/{path}", answer, request, *body)
        for verb, path, answer, request, *body in (
            ("GET", f"{{name={_REPOSITORIES}}}", get_repository, types.GetRepositoryRequest),
            ("GET", f"{{parent={_PLACES}}}/repositories", list_repositories, types.ListRepositoriesRequest),
            (
                "POST",
                f"{{parent={_PLACES}}}/repositories",
                create_repository,
                types.CreateRepositoryRequest,
                "repository",
            ),
            (
                "PATCH",
                f"{{repository.name={_REPOSITORIES}}}",
                update_repository,
                types.UpdateRepositoryRequest,
                "repository",
            ),
            ("DELETE", f"{{name={_REPOSITORIES}}}", delete_repository, types.DeleteRepositoryRequest),
            ("GET", f"{{name={_REPOSITORIES}/dockerImages/*}}", get_docker_image, types.GetDockerImageRequest),
            ("GET", f"{{parent={_REPOSITORIES}}}/dockerImages", list_docker_images, types.ListDockerImagesRequest),
            ("GET", f"{{parent={_REPOSITORIES}}}/packages", list_packages, types.ListPackagesRequest),
            (
                "POST",
                f"{{resource={_REPOSITORIES}}}:testIamPermissions",
                test_iam_permissions,
                iam_policy_pb2.TestIamPermissionsRequest,
            ),
            (
                "GET",
                f"{{resource={_REPOSITORIES}}}:getIamPolicy",
                get_iam_policy,
                iam_policy_pb2.GetIamPolicyRequest,
            ),
        )
    ),
    *(
        Method(HOST, "google.cloud.location.Locations", "GET", f"/v1/{path}", answer, request)
        for path, answer, request in (
            ("{name=projects/*}/locations", list_locations, locations_pb2.ListLocationsRequest),
            (f"{{name={_PLACES}}}", get_location, locations_pb2.GetLocationRequest),
        )
    ),
)

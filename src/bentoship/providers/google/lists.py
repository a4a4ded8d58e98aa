"""What Google Cloud has that publishing needs names of: services, projects, locations."""

from __future__ import annotations

import difflib
import functools
from typing import Any

from google.cloud.artifactregistry_v1 import ArtifactRegistryClient
from google.cloud.resourcemanager_v3 import ProjectsClient
from google.cloud.service_usage_v1 import ServiceUsageClient

from bentoship.errors import CloudError
from bentoship.providers.google.apis import Apis


class Lists:
    """The lists of one project.

    Args:
        apis: are asked.
        project: its id; may be empty for who is still looking for one.
    """

    def __init__(self, apis: Apis, project: str) -> None:
        self._apis = apis
        self._project = project

    def services(self) -> list[dict[str, str]]:
        """The APIs that are enabled in the project. Raises CloudError."""
        doing = "List the services"
        request = {"parent": f"projects/{self._needed_project(doing)}", "filter": "state:ENABLED"}
        found = pages(self._apis, f"{doing} of {self._project}", ServiceUsageClient, "list_services", request)
        return sorted(({"name": one.config.name, "title": one.config.title} for one in found), key=lambda s: s["name"])

    def projects(self) -> list[dict[str, str]]:
        """The projects that the account may see. Raises CloudError."""
        found = pages(self._apis, "List the projects", ProjectsClient, "search_projects", {})
        rows = [
            {"project_id": one.project_id, "name": one.display_name, "number": one.name.rpartition("/")[2]}
            for one in found
        ]
        return sorted(rows, key=lambda row: row["project_id"])

    def locations(self) -> list[dict[str, str]]:
        """Where repositories can be. Raises CloudError."""
        return [{"location": location, "name": name} for location, name in sorted(self.known.items())]

    def nearest(self, location: str) -> str:
        """What may have been meant by a location that there is not; empty when there is, or nothing is near."""
        if location in self.known:
            return ""
        return next(iter(difflib.get_close_matches(location, self.known, 1, 0.6)), "")

    @functools.cached_property
    def known(self) -> dict[str, str]:
        """The locations, and what people call them. Raises CloudError."""
        doing = "List the locations of Artifact Registry"
        request = {"name": f"projects/{self._needed_project(doing)}"}
        found = self._apis.must(doing, ArtifactRegistryClient, "list_locations", request)
        return {one.location_id: one.display_name for one in found.locations}

    def _needed_project(self, doing: str) -> str:
        if not self._project:
            raise CloudError(doing, "GCP_PROJECT_ID is not set", "`invoke projects` lists those that you may see.")
        return self._project


def pages(apis: Apis, doing: str, client: type[Any], method: str, request: dict[str, str]) -> list[Any]:
    """All that a call lists. Each page is a call of its own, so that each has its deadline. Args: as of Apis.must."""
    first, found, token = True, [], ""
    while first or token:
        pager = apis.must(doing, client, method, {**request, "page_size": 200, "page_token": token})
        page = next(iter(pager.pages))
        first, token = False, page.next_page_token
        found += getattr(page, method.partition("_")[2])
    return found

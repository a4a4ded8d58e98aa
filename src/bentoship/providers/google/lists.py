"""The lists of Google Cloud that help with the settings: services, projects, locations."""

import difflib
import functools

from bentoship.errors import CloudError
from bentoship.providers.google.apis import Apis


class Lists:
    """The lists of one project.

    Args:
        apis: the APIs to call.
        project: the project's id; empty when it is not known yet.
    """

    def __init__(self, apis: Apis, project: str) -> None:
        self._apis = apis
        self._project = project

    def services(self) -> list[dict[str, str]]:
        """Return the APIs that are enabled in the project, sorted by name. Raises CloudError."""
        doing = "List the services"
        path = f"serviceusage/v1/{self._parent(doing)}/services"
        found = self._apis.pages(f"{doing} of {self._project}", path, "services", {"filter": "state:ENABLED"})
        rows = [{"name": api["config"]["name"], "title": api["config"].get("title", "")} for api in found]
        return sorted(rows, key=lambda row: row["name"])

    def projects(self) -> list[dict[str, str]]:
        """Return the projects that the account may see, sorted by id. Raises CloudError."""
        found = self._apis.pages("List the projects", "cloudresourcemanager/v3/projects:search", "projects")
        rows = [
            {
                "project_id": project["projectId"],
                "name": project.get("displayName", ""),
                "number": project["name"].rpartition("/")[2],
            }
            for project in found
        ]
        return sorted(rows, key=lambda row: row["project_id"])

    def locations(self) -> list[dict[str, str]]:
        """Return the locations for repositories. Raises CloudError."""
        return [{"location": location, "name": name} for location, name in sorted(self.known.items())]

    def nearest(self, location: str) -> str:
        """Return the location most similar to an unknown one; empty when none is similar. Raises CloudError."""
        return next(iter(difflib.get_close_matches(location, self.known, 1)), "")

    @functools.cached_property
    def known(self) -> dict[str, str]:
        """Return the display names of the locations, by location. Raises CloudError."""
        doing = "List the locations of Artifact Registry"
        found = self._apis.pages(doing, f"artifactregistry/v1/{self._parent(doing)}/locations", "locations")
        return {location["locationId"]: location.get("displayName", "") for location in found}

    def _parent(self, doing: str) -> str:
        if not self._project:
            raise CloudError(doing, "GCP_PROJECT_ID is not set", "`invoke projects` lists your projects.")
        return f"projects/{self._project}"

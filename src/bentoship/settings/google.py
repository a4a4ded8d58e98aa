"""What can be set for Google Artifact Registry."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bentoship.settings.address import RegistryAddress

NAMES = (
    "GCP_PROJECT_ID", "GCP_CONTAINER_REGISTRY_NAME", "GCP_CONTAINER_REGISTRY_LOCATION", "GCP_CONTAINER_REGISTRY_HOST",
    "GCP_CONTAINER_REGISTRY_DESCRIPTION", "GCP_CONTAINER_REGISTRY_LABELS", "GCP_CONTAINER_REGISTRY_IMMUTABLE_TAGS",
    "GCP_CONTAINER_REGISTRY_KEEP", "GCP_CONTAINER_REGISTRY_DELETE_UNTAGGED_DAYS", "GCP_CONTAINER_REGISTRY_CLEANUP",
    "GCP_CONTAINER_REGISTRY_KMS_KEY", "GCP_CONTAINER_REGISTRY_SCANNING", "GCP_API_ENDPOINT",
)  # fmt: skip

ENDPOINT = "https://{service}.googleapis.com"

_PROJECT, _NAME, _LOCATION, _HOST = NAMES[:4]
_PREFIX = "GCP_CONTAINER_REGISTRY_"
_PKG_DEV = re.compile(r"(?:(?P<usual>[a-z0-9-]+)-docker\.pkg\.dev|docker\.(?P<regional>[a-z0-9-]+)\.rep\.pkg\.dev)")


@dataclass(frozen=True)
class GoogleSettings:
    """A repository in Google Artifact Registry. What an option does not say, is left as it is there.

    Args:
        project: its project's id.
        location: such as "europe-west6".
        name: the repository's own.
        host: where images go: the registry's host, the project and the name; http:// before it: without TLS.
        endpoint: the address of Google's APIs, in which {service} stands for the name of one; http://: without TLS.
        description: for people; None for unsaid, as in all that follow.
        labels: pairs of names and values.
        immutable_tags: whether a tag stays where it is.
        keep: how many versions of an image are never deleted.
        delete_untagged_days: after how many days one without a tag is deleted.
        cleanup: whether deleting is really done, or only logged there.
        kms_key: what encrypts it, "projects/…/cryptoKeys/…"; only at creation.
        scanning: whether images are scanned for vulnerabilities.
    """

    project: str = ""
    location: str = ""
    name: str = ""
    host: str = ""
    endpoint: str = ENDPOINT
    description: str | None = None
    labels: tuple[tuple[str, str], ...] | None = None
    immutable_tags: bool | None = None
    keep: int | None = None
    delete_untagged_days: int | None = None
    cleanup: bool = False
    kms_key: str | None = None
    scanning: bool | None = None

    @property
    def address(self) -> RegistryAddress:
        """Where images go. Raises InvalidReferenceError."""
        return RegistryAddress.parse(self.host)


def read(given: Mapping[str, str], mistakes: list[str], *, complete: bool) -> GoogleSettings:
    """What is set.

    Args:
        given: names and values.
        mistakes: gets a sentence for each one.
        complete: whether everything has to be there that a repository needs.
    """
    texts = {name: text.strip() for name in NAMES if (text := given.get(name, "")).strip()}
    host = texts.get(_HOST, "").rstrip("/")
    named = _names_in(host)
    project, location, name = (texts.get(key, "") or named.get(key, "") for key in (_PROJECT, _LOCATION, _NAME))
    if complete:
        needed = {_PROJECT: project, _LOCATION: location, _NAME: name}
        mistakes += [f"{key} is missing, which Google Artifact Registry needs" for key in needed if not needed[key]]
        # Else they are what somebody is still looking for.
        mistakes += _mistakes(project, location, name)
        mistakes += [
            f"{_HOST} is {host!r}, in which {key} is {named[key]!r}, but it is set to {value!r}"
            for key, value in needed.items()
            if value and named.get(key, value) != value
        ]
    if host and not {_PROJECT, _NAME} <= named.keys():
        mistakes.append(f"{_HOST} is {host!r}, but has to be HOST/PROJECT/NAME; the image's name is IMAGE_NAME")

    def number(key: str) -> int | None:
        text = texts.get(_PREFIX + key)
        if text is None or (text.isdecimal() and int(text) > 0):
            return int(text) if text else None
        mistakes.append(f"{_PREFIX}{key} is {text!r}, but has to be a number above 0")
        return None

    def flag(key: str, yes: str, no: str) -> bool | None:
        text = texts.get(_PREFIX + key)
        if text not in (None, yes, no):
            mistakes.append(f"{_PREFIX}{key} is {text!r}, but has to be {yes} or {no}")
        return None if text is None else text == yes

    kms_key = texts.get(f"{_PREFIX}KMS_KEY")
    if kms_key and not re.fullmatch("projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+", kms_key):
        mistakes.append(
            f"{_PREFIX}KMS_KEY is {kms_key!r}, but has to be projects/…/locations/…/keyRings/…/cryptoKeys/…"
        )

    return GoogleSettings(
        project=project,
        location=location,
        name=name,
        # The project of a Workspace domain, "example.com:project", is two parts of an image's path.
        host=host or f"{location}-docker.pkg.dev/{project.replace(':', '/')}/{name}",
        endpoint=_endpoint(texts.get("GCP_API_ENDPOINT", ENDPOINT), mistakes),
        description=texts.get(f"{_PREFIX}DESCRIPTION"),
        labels=_labels(texts.get(f"{_PREFIX}LABELS"), mistakes),
        immutable_tags=flag("IMMUTABLE_TAGS", "1", "0"),
        keep=number("KEEP"),
        delete_untagged_days=number("DELETE_UNTAGGED_DAYS"),
        cleanup=bool(flag("CLEANUP", "delete", "dry-run")),
        kms_key=kms_key,
        scanning=flag("SCANNING", "1", "0"),
    )


def warnings(google: GoogleSettings, tags: tuple[str, ...]) -> Iterator[str]:
    """What looks odd, but does no harm."""
    if google.immutable_tags and "latest" in tags:
        yield f"{_PREFIX}IMMUTABLE_TAGS lets latest be set once only; leave it out of IMAGE_TAGS"
    if google.keep and not google.delete_untagged_days:
        yield f"{_PREFIX}KEEP alone deletes nothing; {_PREFIX}DELETE_UNTAGGED_DAYS says what is"


def _names_in(host: str) -> dict[str, str]:
    """What an address says of location, project and name; a host that is not Google's own tells no location."""
    name, _, path = host.rpartition("://")[2].partition("/")
    parts = path.split("/")
    found = {}
    if matched := _PKG_DEV.fullmatch(name):
        found[_LOCATION] = matched["usual"] or matched["regional"]
    # Three only where the first two are the project of a Workspace domain; else the third is an image's name.
    if all(parts) and (len(parts) == 2 or (len(parts) == 3 and "." in parts[0])):
        found |= {_PROJECT: ":".join(parts[:-1]), _NAME: parts[-1]}
    return found


def _mistakes(project: str, location: str, name: str) -> Iterator[str]:
    if project.isdecimal():
        yield f"{_PROJECT} is {project!r}, a number, but has to be the id, which `invoke projects` shows"
    elif project and not re.fullmatch(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        yield f"{_PROJECT} is {project!r}, but has to be a project's id: 6 to 30 of a-z, 0-9 and -"
    if region := re.fullmatch(r"([a-z]+-[a-z]+\d+)-[a-z]", location):
        yield f"{_LOCATION} is {location!r}, a zone, but has to be a region: {region[1]}"
    elif location and not re.fullmatch(r"[a-z][a-z0-9-]*", location):
        yield f"{_LOCATION} is {location!r}, but has to be a location such as europe-west6"
    if name and not re.fullmatch(r"(?=.{2,63}$)[a-z]([-a-z0-9]*[a-z0-9])?", name):
        yield f"{_NAME} is {name!r}, but has to be 2 to 63 of a-z, 0-9 and -, with a letter first"


def _endpoint(text: str, mistakes: list[str]) -> str:
    if re.fullmatch(r"https?://[A-Za-z0-9.:{}\[\]-]+", text) and text.replace("{service}", "").count("{") == 0:
        return text
    mistakes.append(f"GCP_API_ENDPOINT is {text!r}, but has to be an address such as {ENDPOINT}")
    return ENDPOINT


def _labels(text: str | None, mistakes: list[str]) -> tuple[tuple[str, str], ...] | None:
    if text is None:
        return None
    pairs = [part.strip().partition("=")[::2] for part in text.split(",") if part.strip()]
    word = r"[a-z0-9_-]{0,63}"
    if not all(re.fullmatch(word, name) and name[:1].isalpha() and re.fullmatch(word, value) for name, value in pairs):
        mistakes.append(f"{_PREFIX}LABELS is {text!r}, but has to be name=value,name=value of a-z, 0-9, _ and -")
        return None
    return tuple(sorted(pairs))

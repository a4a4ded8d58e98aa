"""What can be set for Google Artifact Registry."""

import re
from collections.abc import Iterator, Mapping

from bentoship.settings import parsers
from bentoship.settings.address import RegistryAddress
from bentoship.settings.given import Given
from bentoship.system.values import dataclass

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
    """A repository in Google Artifact Registry.

    Args:
        project: its project's id.
        location: such as "europe-west6".
        name: the repository's own.
        host: where images go: the registry's host, the project and the name; http:// before it: without TLS.
        endpoint: the address of Google's APIs, in which {service} stands for the name of one; http://: without TLS.
        description: for people. None leaves it as it is there, as in all that follow.
        labels: pairs of names and values.
        immutable_tags: whether a tag stays where it is.
        keep: how many versions of an image are never deleted.
        delete_untagged_days: after how many days a version without a tag is deleted.
        cleanup: whether versions are deleted, or only logged there as if they were.
        kms_key: the key that encrypts the repository, "projects/…/cryptoKeys/…"; takes effect only at creation.
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
        """Return where images go. Raises InvalidReferenceError."""
        return RegistryAddress.parse(self.host)


def read(given: Given, *, complete: bool) -> GoogleSettings:
    """Return what is set for Google Artifact Registry.

    Args:
        given: what is set; its mistakes get a sentence for each wrong setting.
        complete: whether everything has to be set that a repository needs.
    """
    host = given.text(_HOST).rstrip("/")
    named = _names_in(host)
    project, location, name = (given.text(key) or named.get(key, "") for key in (_PROJECT, _LOCATION, _NAME))
    if complete:  # otherwise the user is still looking for them
        _refuse_wrong_names(given, named, {_PROJECT: project, _LOCATION: location, _NAME: name})
    if host and not {_PROJECT, _NAME} <= named.keys():
        given.refuse(_HOST, f"is {host!r}, but has to be HOST/PROJECT/NAME; the image's name is IMAGE_NAME")
    return GoogleSettings(
        project=project,
        location=location,
        name=name,
        # The project of a Workspace domain, "example.com:project", is two parts of an image's path.
        host=host or f"{location}-docker.pkg.dev/{project.replace(':', '/')}/{name}",
        endpoint=given.read("GCP_API_ENDPOINT", ENDPOINT, _endpoint),
        description=given.text(f"{_PREFIX}DESCRIPTION") or None,
        labels=given.read(f"{_PREFIX}LABELS", None, _labels),
        immutable_tags=given.read(f"{_PREFIX}IMMUTABLE_TAGS", None, parsers.flag),
        keep=given.read(f"{_PREFIX}KEEP", None, _positive),
        delete_untagged_days=given.read(f"{_PREFIX}DELETE_UNTAGGED_DAYS", None, _positive),
        cleanup=given.read(f"{_PREFIX}CLEANUP", False, _cleanup),
        kms_key=given.read(f"{_PREFIX}KMS_KEY", None, _kms_key),
        scanning=given.read(f"{_PREFIX}SCANNING", None, parsers.flag),
    )


def warnings(google: GoogleSettings, tags: tuple[str, ...]) -> Iterator[str]:
    """Yield sentences about what looks odd but does no harm."""
    if google.immutable_tags and "latest" in tags:
        yield f"{_PREFIX}IMMUTABLE_TAGS keeps latest from ever moving; leave it out of IMAGE_TAGS"
    if google.keep and not google.delete_untagged_days:
        yield f"{_PREFIX}KEEP has no effect without {_PREFIX}DELETE_UNTAGGED_DAYS"


def _names_in(host: str) -> dict[str, str]:
    """Return what an address says of location, project and name; only Google's own hosts tell the location."""
    name, _, path = host.rpartition("://")[2].partition("/")
    parts = path.split("/")
    found = {}
    if matched := _PKG_DEV.fullmatch(name):
        found[_LOCATION] = matched["usual"] or matched["regional"]
    # Three only where the first two are the project of a Workspace domain; else the third is an image's name.
    if all(parts) and (len(parts) == 2 or (len(parts) == 3 and "." in parts[0])):
        found |= {_PROJECT: ":".join(parts[:-1]), _NAME: parts[-1]}
    return found


def _refuse_wrong_names(given: Given, named: Mapping[str, str], needed: Mapping[str, str]) -> None:
    """Add a mistake for each name that is missing, that Google would refuse, or that the address contradicts.

    Args:
        given: what is set.
        named: the project, location and name in the repository's address.
        needed: the same, as they are set or else as they are in the address.
    """
    missing = (key for key in needed if not needed[key])
    given.mistakes.extend(f"{key} is missing, which Google Artifact Registry needs" for key in missing)
    project, location, name = needed[_PROJECT], needed[_LOCATION], needed[_NAME]
    if project.isdecimal():
        given.refuse(_PROJECT, f"is {project!r}, a number, but has to be the id, which `invoke projects` shows")
    elif project and not re.fullmatch(r"(?:[a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", project):
        given.refuse(_PROJECT, f"is {project!r}, but has to be a project's id: 6 to 30 of a-z, 0-9 and -")
    if region := re.fullmatch(r"([a-z]+-[a-z]+\d+)-[a-z]", location):
        given.refuse(_LOCATION, f"is {location!r}, a zone, but has to be a region: {region[1]}")
    elif location and not re.fullmatch(r"[a-z][a-z0-9-]*", location):
        given.refuse(_LOCATION, f"is {location!r}, but has to be a location such as europe-west6")
    if name and not re.fullmatch(r"(?=.{2,63}$)[a-z]([-a-z0-9]*[a-z0-9])?", name):
        given.refuse(_NAME, f"is {name!r}, but has to be 2 to 63 of a-z, 0-9 and -, with a letter first")
    for key, value in needed.items():
        if value and named.get(key, value) != value:
            host = given.text(_HOST)
            given.refuse(_HOST, f"is {host!r}, in which {key} is {named[key]!r}, but it is set to {value!r}")


# Each of these returns what a text stands for, or raises ValueError with what is allowed, as in "has to be …".


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise ValueError("a number above 0")
    return int(text)


def _cleanup(text: str) -> bool:
    if text not in ("delete", "dry-run"):
        raise ValueError("delete or dry-run")
    return text == "delete"


def _kms_key(text: str) -> str:
    if not re.fullmatch("projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+", text):
        raise ValueError("projects/…/locations/…/keyRings/…/cryptoKeys/…")
    return text


def _endpoint(text: str) -> str:
    if not re.fullmatch(r"https?://[A-Za-z0-9.:{}\[\]-]+", text) or "{" in text.replace("{service}", ""):
        raise ValueError(f"an address such as {ENDPOINT}")
    return text


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [part.strip().partition("=")[::2] for part in text.split(",") if part.strip()]
    word = r"[a-z0-9_-]{0,63}"
    if not all(re.fullmatch(word, name) and name[:1].isalpha() and re.fullmatch(word, value) for name, value in pairs):
        raise ValueError("name=value,name=value of a-z, 0-9, _ and -")
    return tuple(sorted(pairs))

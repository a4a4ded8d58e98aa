"""Which of a host's package sources are its distribution's own."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

ETC_APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")

Entry = Mapping[str, str]
"""A stanza of a `.sources` file (man sources.list): its fields' values by their names in small letters."""

PYTHONS = {
    "debian": {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"},
    "ubuntu": {"3.8": "focal", "3.10": "jammy", "3.12": "noble"},
}
"""The release whose package python3 has a minor version of Python, by distribution (os-release's ID)."""

_VERSIONS = {
    "bullseye": "11", "bookworm": "12", "trixie": "13", "focal": "20.04", "jammy": "22.04", "noble": "24.04",
}  # fmt: skip

# Names that move on to the next release; others use them, too, so they count only where a release's own name doesn't.
_MOVING = frozenset({"stable", "testing", "unstable", "sid"})

_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>[^#]+)")
_FIELD = re.compile(r"^([\w-]+):(.*(?:\n[ \t].*)*)", re.MULTILINE)

# How an entry's servers are reached and checked. "architectures" isn't among them: the host's are not the image's.
_KEPT = ("uris", "suites", "components", "signed-by", "check-valid-until", "check-date", "inrelease-path", "snapshot")


def os_release(path: Path = OS_RELEASE) -> dict[str, str]:
    """Return the fields that say what system this is (man os-release). Empty when it doesn't say."""
    if not path.is_file():
        return {}
    lines = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return {name: value.strip("\"'") for name, sign, value in lines if sign}


def release_with(python: str, system: Mapping[str, str]) -> str:
    """Return the release of a system's distribution that has a Python, or the host's own if PYTHONS does not list that.

    Args:
        python: its minor version, such as "3.11".
        system: the host's os-release.

    Returns: its codename; empty when none has it.
    """
    known, own = PYTHONS.get(system.get("ID", ""), {}), system.get("VERSION_CODENAME", "")
    return known.get(python, "" if own in known.values() else own)


def release_title(release: str, system: Mapping[str, str]) -> str:
    """Return a release as people call it: "Debian 13 (trixie)". Args: release: its codename; system: as elsewhere."""
    words = (system.get("ID", "").capitalize(), _VERSIONS.get(release, ""), f"({release})")
    return " ".join(filter(None, words))


def known_pythons(system: Mapping[str, str]) -> list[str]:
    """Return the versions of Python that some release of a system's distribution is known to have, oldest first."""
    return list(PYTHONS.get(system.get("ID", ""), ()))


def own_sources(system: Mapping[str, str], etc: Path = ETC_APT, *, release: str = "") -> str:
    """Return the distribution's own entries among a host's sources as the text of a `.sources` file; empty for none.

    An entry is its own when it is for this release, has the component main and is signed with the distribution's
    keyring, or with no key in particular. Where none is (a company signs its mirror itself), the key doesn't count.

    Args:
        system: the host's os-release.
        etc: apt's configuration.
        release: another release of the same distribution, from the same servers; empty for the host's.
    """
    host = system.get("VERSION_CODENAME", "")
    codenames = {system.get(key, "") for key in ("VERSION_CODENAME", "UBUNTU_CODENAME", "DEBIAN_CODENAME")} - {""}
    distributions = [system.get("ID", ""), *system.get("ID_LIKE", "").split()]
    for releases in (codenames, _MOVING):
        entries = [own for entry in [*_from_lines(etc), *_from_stanzas(etc)] if (own := _own_part(entry, releases))]
        if entries:
            signed = [entry for entry in entries if _is_signed_by(entry, distributions)]
            chosen = signed or entries
            if release not in ("", host):
                chosen = [_of_release(entry, release) for entry in chosen]
            return "\n".join(_text(entry) for entry in chosen)
    return ""


def _of_release(entry: Entry, release: str) -> Entry:
    """Return an entry for another release, of which it takes main alone, as not all have the same components."""
    suites = (release + suite.removeprefix(_release(suite)) for suite in entry["suites"].split())
    return {**entry, "suites": " ".join(suites), "components": "main"}


def _own_part(entry: Entry, releases: Collection[str]) -> Entry | None:
    """Return an entry with those of its suites that belong to a release; None when none does."""
    suites = [suite for suite in entry.get("suites", "").split() if _release(suite) in releases]
    return {**entry, "suites": " ".join(suites)} if suites and "main" in entry.get("components", "").split() else None


def _from_lines(etc: Path) -> list[Entry]:
    """Return entries of one line: deb [signed-by=KEY] URI SUITE COMPONENT…"""
    files = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    lines = (line for path in files if path.is_file() for line in path.read_text(encoding="utf-8").splitlines())
    entries: list[Entry] = []
    for match in filter(None, map(_LINE.match, lines)):
        options = (option.partition("=") for option in (match["options"] or "").split())
        fields = {"uris": match["uri"], "suites": match["suite"], "components": match["components"].strip()}
        entries.append({name: value.replace(",", " ") for name, _, value in options} | fields)
    return entries


def _from_stanzas(etc: Path) -> list[Entry]:
    """Return entries of several lines: Types, URIs, Suites, Components, …"""
    entries: list[Entry] = []
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        text = re.sub(r"^#.*\n?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        for stanza in re.split(r"\n\s*\n", text):
            entry = {name.lower(): value.strip() for name, value in _FIELD.findall(stanza)}
            if "deb" in entry.get("types", "").split() and entry.get("enabled", "yes").lower() not in ("no", "false"):
                entries.append(entry)
    return entries


def _release(suite: str) -> str:
    """Return the name of the release that a suite belongs to; backports and the like are none."""
    return re.sub(r"(-updates|-security|/updates)$", "", suite)


def _is_signed_by(entry: Entry, distributions: list[str]) -> bool:
    keys = [PurePosixPath(key).name for key in entry.get("signed-by", "").split()]
    return not keys or any(key.startswith(f"{name}-archive-") for key in keys for name in distributions if name)


def _text(entry: Entry) -> str:
    return "types: deb\n" + "".join(f"{name}: {entry[name]}\n" for name in _KEPT if name in entry)

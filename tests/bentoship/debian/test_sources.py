"""Which of a host's package sources are its distribution's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import strategies as st

from bentoship.debian.sources import os_release, own_sources, release_with
from tests.support.fuzzing import fuzz, texts

BOOKWORM = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """An empty configuration of apt."""
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def stanza(**fields: str) -> str:
    given = {"Types": "deb", "URIs": "http://mirror/debian", "Suites": "bookworm", "Components": "main", **fields}
    return "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in given.items())


def test_stanza_is_kept_with_its_key(etc: Path) -> None:
    """An entry of the distribution's keeps its server and its key."""
    (etc / "sources.list.d" / "debian.sources").write_text(stanza(Signed_By=KEYRING))
    assert own_sources(BOOKWORM, etc).splitlines() == [
        "types: deb",
        "uris: http://mirror/debian",
        "suites: bookworm",
        "components: main",
        f"signed-by: {KEYRING}",
    ]


def test_line_is_read_with_its_options(etc: Path) -> None:
    """An entry of one line gives its key, and leaves out for which architecture the host uses it."""
    (etc / "sources.list").write_text(
        f"deb [arch=amd64 signed-by={KEYRING}] http://mirror/debian bookworm main # ours\n"
    )
    text = own_sources(BOOKWORM, etc)
    assert f"signed-by: {KEYRING}" in text
    assert "components: main\n" in text
    assert "amd64" not in text


@pytest.mark.parametrize(
    "other",
    [
        "deb https://download.docker.com/linux/debian bookworm stable",
        "deb [signed-by=/usr/share/keyrings/hashicorp-archive-keyring.gpg] https://apt.hashicorp.com bookworm main",
        "deb https://deb.nodesource.com/node_20.x nodistro main",
        "deb https://dl.google.com/linux/chrome/deb/ stable main",
        "deb http://apt.postgresql.org/pub/repos/apt bookworm-pgdg main",
        "deb-src http://mirror/debian bookworm main",
        "# deb http://old-mirror/debian bookworm main",
    ],
)
def test_others_are_left_out(etc: Path, other: str) -> None:
    """Entries of others beside the distribution's are not asked."""
    (etc / "sources.list").write_text("deb http://mirror/debian bookworm main\n")
    alone = own_sources(BOOKWORM, etc)
    (etc / "sources.list.d" / "other.list").write_text(f"{other}\n")
    assert own_sources(BOOKWORM, etc) == alone


def test_backports_are_left_out_of_an_entry(etc: Path) -> None:
    """Updates and security fixes belong to a release, backports don't."""
    suites = "bookworm bookworm-updates bookworm-security bookworm-backports"
    (etc / "sources.list.d" / "debian.sources").write_text(stanza(Suites=suites))
    assert "suites: bookworm bookworm-updates bookworm-security\n" in own_sources(BOOKWORM, etc)


def test_disabled_entry_is_left_out(etc: Path) -> None:
    """What the host has switched off stays off."""
    (etc / "sources.list.d" / "debian.sources").write_text(stanza(Enabled="no"))
    assert own_sources(BOOKWORM, etc) == ""


def test_mirror_with_a_key_of_its_own_is_used(etc: Path) -> None:
    """A company's mirror that it signs itself is the distribution's when there is no other."""
    (etc / "sources.list.d" / "mirror.sources").write_text(stanza(Signed_By="/etc/apt/keyrings/acme.gpg"))
    assert "signed-by: /etc/apt/keyrings/acme.gpg" in own_sources(BOOKWORM, etc)


def test_moving_name_counts_where_the_release_is_not_named(etc: Path) -> None:
    """A host that follows "stable" has its sources by that name."""
    (etc / "sources.list").write_text("deb http://mirror/debian stable main\n")
    assert "suites: stable\n" in own_sources(BOOKWORM, etc)


def test_key_within_an_entry_is_kept_whole(etc: Path) -> None:
    """A key that is written into its entry stays in one piece."""
    key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----"
    (etc / "sources.list.d" / "mirror.sources").write_text(stanza(Signed_By=key))
    assert " .\n mQINBF\n -----END PGP PUBLIC KEY BLOCK-----\n" in own_sources(BOOKWORM, etc)


def test_os_release_is_read_without_quotes(tmp_path: Path) -> None:
    """Values come without the quotes that the file may have."""
    (tmp_path / "os-release").write_text("ID=debian\nPRETTY_NAME=\"Debian 12\"\n\nNAME='Debian'\n")
    assert os_release(tmp_path / "os-release") == {"ID": "debian", "PRETTY_NAME": "Debian 12", "NAME": "Debian"}
    assert os_release(tmp_path / "none") == {}


FIELDS = st.sampled_from(
    ["Types: deb", "URIs: http://m/d", "Suites: bookworm", "Components: main", " more", "#", "", " ."]
)


@fuzz(st.lists(FIELDS | texts("deb :[]=\n#,bookworm main http://m "), max_size=8).map("\n".join))
def test_any_list_of_sources_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """In both forms; what is kept is a stanza with lines of known fields."""
    etc = tmp_path_factory.getbasetemp() / "fuzzed-apt"
    (etc / "sources.list.d").mkdir(parents=True, exist_ok=True)
    (etc / "sources.list").write_text(text, "utf-8", newline="")
    (etc / "sources.list.d" / "a.sources").write_text(text, "utf-8", newline="")
    (etc / "os-release").write_text(text, "utf-8", newline="")
    os_release(etc / "os-release")
    kept = own_sources(BOOKWORM, etc)
    assert not kept or kept.startswith("types: deb\n")


def test_another_release_is_taken_from_the_same_servers(etc: Path) -> None:
    """Its updates, too; of its components main alone, since not all releases have the same."""
    suites = "bookworm bookworm-updates bookworm-security"
    text = stanza(Suites=suites, Components="main non-free-firmware", Signed_By=KEYRING)
    (etc / "sources.list.d" / "debian.sources").write_text(text)
    assert own_sources(BOOKWORM, etc, release="trixie").splitlines() == [
        "types: deb",
        "uris: http://mirror/debian",
        "suites: trixie trixie-updates trixie-security",
        "components: main",
        f"signed-by: {KEYRING}",
    ]
    assert own_sources(BOOKWORM, etc, release="bookworm") == own_sources(BOOKWORM, etc)


@pytest.mark.parametrize(
    ("system", "python", "release"),
    [
        (BOOKWORM, "3.11", "bookworm"),
        (BOOKWORM, "3.13", "trixie"),
        (BOOKWORM, "3.12", ""),
        ({"ID": "debian", "VERSION_CODENAME": "duke"}, "3.13", "trixie"),
        ({"ID": "debian", "VERSION_CODENAME": "duke"}, "3.16", "duke"),
        ({"ID": "ubuntu", "VERSION_CODENAME": "noble"}, "3.10", "jammy"),
        ({"ID": "other", "VERSION_CODENAME": "one"}, "3.11", "one"),
        ({}, "3.11", ""),
    ],
)
def test_the_release_follows_from_the_python(system: dict[str, str], python: str, release: str) -> None:
    """On any host of a distribution it is the same; a release that is not known may have what no known one has."""
    assert release_with(python, system) == release

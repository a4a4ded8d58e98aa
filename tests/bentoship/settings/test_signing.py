"""Settings of who signs images, and of who has to have signed them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bentoship.errors import SettingsError
from tests.support.settings import load


def test_images_are_signed_by_a_key_or_an_identity(tmp_path: Path) -> None:
    """Either one, and neither by default."""
    (tmp_path / "key").touch()
    assert not load(tmp_path).signs
    assert load(tmp_path, SIGNING_KEY="key").signs
    found = load(tmp_path, SIGNING="keyless", SIGSTORE_TRUST_CONFIG="key", SIGNING_PUBLIC_KEY="key")
    assert found.signs
    assert (found.signing, found.sigstore_trust_config) == ("keyless", tmp_path / "key")


def test_the_files_of_keys_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a home folder, and from the folder of the `.env` that names them, which many projects may have in common."""
    project, home = tmp_path / "services" / "echo", tmp_path / "home"
    for folder in (project, home):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    for file in (tmp_path / "key", home / "key"):
        file.touch()
    (tmp_path / ".git").touch()
    (tmp_path / ".env").write_text("SIGNING_KEY=key\nSIGNING_PUBLIC_KEY=~/key\n", "utf-8")
    found = load(project)
    assert (found.signing_key, found.signing_public_key) == (tmp_path / "key", home / "key")
    assert load(project, SIGNING_KEY="~/key").signing_key == home / "key"
    with pytest.raises(SettingsError, match="SIGNING_KEY is '~nobody-at-all/key', but has to be a file that exists"):
        load(project, SIGNING_KEY="~nobody-at-all/key")


@pytest.mark.parametrize(
    "key", ["-----BEGIN PRIVATE KEY-----\ns3cr3t\n-----END PRIVATE KEY-----", "s3cr3t" * 100], ids=["PEM", "Base64"]
)
def test_a_key_in_place_of_its_file_is_not_shown(tmp_path: Path, key: str) -> None:
    """As of a job's secret that holds the key itself; the error ends up in the job's log."""
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, SIGNING_KEY=key)
    assert "s3cr3t" not in str(caught.value)
    assert "SIGNING_KEY is a key or a token, which is not shown here, but has to be a file that" in str(caught.value)


@pytest.mark.parametrize(
    ("environ", "mistake"),
    [
        ({"SIGNING": "keyless", "SIGNING_KEY": "key"}, "SIGNING_KEY has no effect with SIGNING=keyless"),
        ({"SIGNING_IDENTITY": "ada@example.com"}, "SIGNING_IDENTITY needs SIGNING_ISSUER"),
        ({"SIGNING_ISSUER": "https://accounts.google.com"}, "SIGNING_ISSUER needs SIGNING_IDENTITY"),
        (
            {"SIGNING_IDENTITY": "a@b", "SIGNING_ISSUER": "https://b", "SIGNING_PUBLIC_KEY": "key"},
            "SIGNING_PUBLIC_KEY has no effect with SIGNING_IDENTITY",
        ),
    ],
)
def test_who_signs_is_said_once_and_in_full(tmp_path: Path, environ: dict[str, str], mistake: str) -> None:
    """A key and an identity contradict each other; the same name at another provider is somebody else."""
    (tmp_path / "key").touch()
    with pytest.raises(SettingsError, match=mistake):
        load(tmp_path, **environ)

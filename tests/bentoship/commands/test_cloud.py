"""What a cloud has, for who is still looking for what to set."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bentoship.commands import cloud
from bentoship.errors import CloudError
from bentoship.settings.google import NAMES
from tests.support.google import Google


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Google Cloud, of which nothing is set but where it is and who asks."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    with Google(tmp_path / "google") as google:
        monkeypatch.setenv("GCP_API_ENDPOINT", google.api_endpoint)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "")
        yield google


def test_lists_show_the_values_that_are_still_to_be_set(
    google: Google, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Projects without any; services and locations with a project alone, without which the error says what to do."""
    google.add_repository()
    cloud.show(tmp_path, "projects")
    assert google.project.id in capsys.readouterr().out
    for what in ("services", "locations"):
        with pytest.raises(CloudError, match="GCP_PROJECT_ID is not set") as caught:
            cloud.show(tmp_path, what)
        assert "invoke projects" in caught.value.hint
    monkeypatch.setenv("GCP_PROJECT_ID", google.project.id)
    cloud.show(tmp_path, "services")
    assert "artifactregistry.googleapis.com" in capsys.readouterr().out
    cloud.show(tmp_path, "locations", as_json=True)
    assert "europe-west6" in [one["location"] for one in json.loads(capsys.readouterr().out)]

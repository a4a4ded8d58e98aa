"""Provenance, by the rules of SLSA and in-toto."""

from __future__ import annotations

import json
import platform
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import INDEX, MANIFEST, Descriptor
from bentoship.system.git import Origin, Revision
from bentoship.versions import author
from bentoship.versions.evidence.provenance import BUILD_TYPE, Making, provenance

ROOT = Descriptor.of(INDEX, b"an index")
ABOUT = {"registry.invalid/echo": ROOT, "registry.invalid/echo (linux/amd64)": Descriptor.of(MANIFEST, b"an image")}
BEGAN = datetime(2026, 11, 27, 23, 30, tzinfo=timezone(timedelta(hours=1)))
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MAKING = Making(
    {"bento": "echo:one"},
    [{"name": "base", "digest": {"sha256": "0" * 64}}],
    BEGAN,
    BEGAN + timedelta(seconds=10),
    Revision(COMMIT, True),
    Origin("https://git.example.com/team/echo.git", "services/echo", "Ada"),
)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No continuous integration, whatever runs the tests."""
    for name in ("GITHUB_ACTIONS", "GITLAB_CI", *author._ACTORS):
        monkeypatch.delenv(name, raising=False)


def read(artifact: Artifact) -> dict[str, Any]:
    """The statement in an artifact."""
    (blob,) = artifact.blobs
    statement: dict[str, Any] = json.loads(blob.content)
    assert blob.media_type == artifact.artifact_type == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert artifact.annotations["in-toto.io/predicate-type"] == statement["predicateType"]
    return statement


def test_provenance_has_what_an_image_was_made_from() -> None:
    """The index and its images, the commit and its remote, the base, and what was chosen."""
    artifact = provenance(ABOUT, MAKING)
    statement = read(artifact)
    assert artifact.subject == ROOT
    assert [one["digest"]["sha256"] for one in statement["subject"]] == [one.hex for one in ABOUT.values()]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"] == {"bento": "echo:one"}
    source, base = definition["resolvedDependencies"]
    assert source["uri"] == "git+https://git.example.com/team/echo.git"
    assert (source["digest"], source["annotations"]) == (
        {"gitCommit": COMMIT},
        {"clean": True, "folder": "services/echo"},
    )
    assert base == MAKING.materials[0]


def test_provenance_has_who_made_an_image_where_and_when() -> None:
    """On this host, in UTC; each run is one of its own."""
    predicate = read(provenance(ABOUT, MAKING))["predicate"]
    made = predicate["buildDefinition"]["internalParameters"]
    assert (made["by"], made["host"]["name"]) == ("Ada", platform.node())
    details = predicate["runDetails"]
    assert details["builder"]["version"]["bentoml"]
    assert (details["metadata"]["startedOn"], details["metadata"]["finishedOn"]) == (
        "2026-11-27T22:30:00Z",
        "2026-11-27T22:30:10Z",
    )
    again = read(provenance(ABOUT, MAKING))["predicate"]["runDetails"]["metadata"]["invocationId"]
    assert again != details["metadata"]["invocationId"]


def test_lists_say_the_commit_and_when() -> None:
    """So that a list of versions needs no further request; without a repository there is none to say."""
    annotations = provenance(ABOUT, MAKING).annotations
    assert annotations[keys.COMMIT] == COMMIT
    assert (annotations[keys.CLEAN], annotations[keys.CREATED]) == ("true", "2026-11-27T22:30:10Z")
    bare = provenance(ABOUT, Making({}, [], BEGAN, BEGAN))
    assert not {keys.COMMIT, keys.CLEAN} & bare.annotations.keys()
    assert read(bare)["predicate"]["buildDefinition"]["resolvedDependencies"] == []


def test_a_password_in_the_remote_is_left_out() -> None:
    """Wherever the remote comes from."""
    origin = Origin("https://ada:hunter2@git.example.com/echo.git")
    artifact = provenance(ABOUT, Making({}, [], BEGAN, datetime.now(UTC), Revision(COMMIT, False), origin))
    assert b"hunter2" not in artifact.blobs[0].content
    assert b"git+https://git.example.com/echo.git" in artifact.blobs[0].content
    assert artifact.annotations[keys.CLEAN] == "false"


@pytest.mark.parametrize(
    ("remote", "uri"),
    [
        ("git@github.com:acme/planets.git", "git+ssh://git@github.com/acme/planets.git"),
        ("host:/srv/planets.git", "git+ssh://host/srv/planets.git"),
        ("git@[::1]:planets.git", "git+ssh://git@[::1]/planets.git"),
        ("ssh://git@host:2222/a/b c.git", "git+ssh://git@host:2222/a/b%20c.git"),
        ("https://host/a%20b.git", "git+https://host/a%20b.git"),
        ("git+https://host/a.git", "git+https://host/a.git"),
        ("codecommit::eu-west-1://planets", "git+codecommit::eu-west-1://planets"),
    ],
)
def test_a_remote_is_a_uri(remote: str, uri: str) -> None:
    """Also where Git takes an address that is none."""
    found = read(provenance(ABOUT, Making({}, [], BEGAN, datetime.now(UTC), Revision(COMMIT, True), Origin(remote))))
    assert found["predicate"]["buildDefinition"]["resolvedDependencies"][0]["uri"] == uri


@pytest.mark.parametrize(
    ("variables", "builder", "run"),
    [
        (
            {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "7", "GITHUB_ACTOR": "octo"},
            "https://github.com/actions/runner/github-hosted",
            "https://github.com/a/b/actions/runs/7/attempts/1",
        ),
        (
            {
                "GITLAB_CI": "true",
                "CI_JOB_URL": "https://gitlab.example.com/a/b/-/jobs/7",
                "CI_SERVER_URL": "https://gitlab.example.com",
                "CI_RUNNER_ID": "3",
                "GITLAB_USER_LOGIN": "octo",
            },
            "https://gitlab.example.com/-/runners/3",
            "https://gitlab.example.com/a/b/-/jobs/7",
        ),
    ],
    ids=["GitHub", "GitLab"],
)
def test_a_job_of_continuous_integration_is_recorded(
    variables: dict[str, str], builder: str, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run, which has a page, and who started it."""
    for name in ("GITHUB_SERVER_URL", "GITHUB_RUN_ATTEMPT", "RUNNER_ENVIRONMENT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    predicate = read(provenance(ABOUT, MAKING))["predicate"]
    assert predicate["buildDefinition"]["internalParameters"]["by"] == "octo"
    details = predicate["runDetails"]
    assert (details["builder"]["id"], details["metadata"]["invocationId"]) == (builder, run)

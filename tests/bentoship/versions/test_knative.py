"""A Knative Service, by the fields that both Knative's and Cloud Run's references have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bentoship.image.reference import ImageReference
from bentoship.versions.knative import secrets, service
from bentoship.versions.kubernetes import Deployed, Resources, Server

IMAGE = ImageReference.parse(f"europe-docker.pkg.dev/acme/models/stars@sha256:{64 * 'a'}")
SERVER = Server(IMAGE, 1034, Resources("512Mi", "1Gi", ""), "stars:v1", "v1", (), ("amd64",))

FIELDS = {
    ("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "labels"), ("metadata", "annotations"),
    ("spec", "template", "metadata", "annotations"),
    ("spec", "template", "spec", "timeoutSeconds"),
    ("spec", "template", "spec", "containers", "image"),
    ("spec", "template", "spec", "containers", "ports", "name"),
    ("spec", "template", "spec", "containers", "ports", "containerPort"),
    ("spec", "template", "spec", "containers", "env", "name"),
    ("spec", "template", "spec", "containers", "env", "valueFrom", "secretKeyRef", "name"),
    ("spec", "template", "spec", "containers", "env", "valueFrom", "secretKeyRef", "key"),
    *(
        ("spec", "template", "spec", "containers", probe, *field)
        for probe in ("startupProbe", "livenessProbe")
        for field in (("httpGet", "path"), ("periodSeconds",), ("timeoutSeconds",), ("failureThreshold",))
    ),
    ("spec", "template", "spec", "containers", "resources", "limits"),
}  # fmt: skip
"""Knative: "Knative Serving API Specification", "Container"; Cloud Run: "YAML reference"."""


def fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The ways to the fields of an object; maps of free names count as one."""
    if isinstance(value, list):
        for one in value:
            yield from fields(one, path)
    elif isinstance(value, dict) and path[-1:] not in (("labels",), ("annotations",), ("limits",)):
        for name, inner in value.items():
            yield from fields(inner, (*path, name))
    else:
        yield path


@pytest.mark.parametrize("variables", [(), ("HF_TOKEN",)])
def test_no_other_fields_than_both_take(variables: tuple[str, ...]) -> None:
    """Cloud Run refuses those that it does not have."""
    made = service(replace(SERVER, variables=variables), Deployed("stars", scale=(0, 3)))
    assert set(fields(made)) <= FIELDS
    assert made["apiVersion"] == "serving.knative.dev/v1"


def test_labels_are_those_of_google_cloud() -> None:
    """Keys with a slash are none (Google's "Requirements for labels")."""
    for key, value in service(SERVER, Deployed("stars"))["metadata"]["labels"].items():
        assert re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key)
        assert re.fullmatch(r"[a-z0-9_-]{0,63}", value)


def test_probes_are_as_patient_as_cloud_run_allows() -> None:
    """240 s for the start, and no probe takes longer than the time to the next one."""
    (container,) = service(SERVER, Deployed("stars"))["spec"]["template"]["spec"]["containers"]
    start = container["startupProbe"]
    assert start["httpGet"] == {"path": "/readyz"}
    assert start["periodSeconds"] * start["failureThreshold"] <= 240
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez"}
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["timeoutSeconds"] <= container[probe]["periodSeconds"]


@pytest.mark.parametrize(
    ("deployed", "bounds"),
    [
        (Deployed("stars"), None),
        (Deployed("stars", replicas=2), {"minScale": "2"}),
        (Deployed("stars", scale=(1, 5)), {"minScale": "1", "maxScale": "5"}),
    ],
)
def test_the_number_of_containers(deployed: Deployed, bounds: dict[str, str] | None) -> None:
    """By annotations, whose values are texts; without any it is scaled to zero when nothing is asked."""
    metadata = service(SERVER, deployed)["spec"]["template"].get("metadata")
    expected = {f"autoscaling.knative.dev/{name}": text for name, text in (bounds or {}).items()}
    assert metadata == ({"annotations": expected} if bounds else None)


def test_each_variable_has_a_secret_of_its_own() -> None:
    """Google's secrets have versions in place of keys."""
    server = replace(SERVER, variables=("HF_TOKEN",))
    (container,) = service(server, Deployed("stars"))["spec"]["template"]["spec"]["containers"]
    reference = {"secretKeyRef": {"name": "stars-hf-token", "key": "latest"}}
    assert container["env"] == [{"name": "HF_TOKEN", "valueFrom": reference}]
    assert secrets(server, Deployed("stars")) == {"HF_TOKEN": "stars-hf-token"}

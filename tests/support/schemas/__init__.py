"""Schemas of others, by which what is made for them is judged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_HERE = Path(__file__).parent

_KINDS = {
    ("apps/v1", "Deployment"): "io.k8s.api.apps.v1.Deployment",
    ("v1", "Service"): "io.k8s.api.core.v1.Service",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    ("networking.k8s.io/v1", "Ingress"): "io.k8s.api.networking.v1.Ingress",
}


def schema(name: str) -> dict[str, Any]:
    """A schema: "kubernetes" or "modelpack" (schema/config-schema.json of modelpack/model-spec)."""
    loaded: dict[str, Any] = json.loads((_HERE / f"{name}.json").read_text("utf-8"))
    return loaded


def mistakes(document: Any, against: dict[str, Any]) -> list[str]:
    """What a document has against a schema, each with where that is."""
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(against).iter_errors(document)]


def kubernetes_mistakes(document: dict[str, Any]) -> list[str]:
    """What an object of Kubernetes has against Kubernetes' schema, which knows no other fields than its own."""
    kind = _KINDS[document["apiVersion"], document["kind"]]
    return mistakes(document, {**schema("kubernetes"), "$ref": f"#/$defs/{kind}"})

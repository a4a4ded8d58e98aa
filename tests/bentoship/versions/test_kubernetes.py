"""Objects for Kubernetes, by its own schema and by what its documentation says of them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from bentoship.assembly.config import HOME, UID
from bentoship.image.reference import ImageReference
from bentoship.versions.kubernetes import Deployed, Resources, Server, object_name, objects, resources, secret_name
from tests.support.schemas import kubernetes_mistakes

IMAGE = ImageReference.parse(f"ghcr.io/acme/stars@sha256:{64 * 'a'}")
SERVER = Server(IMAGE, UID, Resources("512Mi", "1Gi", ""), "stars:12345e67", "12345e67", (), ("amd64",))
DEPLOYED = Deployed("stars")


def pod(server: Server = SERVER, deployed: Deployed = DEPLOYED) -> dict[str, Any]:
    """What a Deployment says of its pods."""
    found: dict[str, Any] = objects(server, deployed)[0]["spec"]["template"]["spec"]
    return found


@pytest.mark.parametrize(
    ("server", "deployed"),
    [
        (SERVER, DEPLOYED),
        (SERVER, Deployed("stars", replicas=0)),
        (SERVER, Deployed("stars", scale=(2, 10), host="stars.example.com", pull_secret="regcred")),
        (replace(SERVER, variables=("HF_TOKEN", "MODE"), bento="", version="", architectures=()), DEPLOYED),
    ],
    ids=["plain", "none running", "everything", "variables"],
)
def test_objects_are_valid(server: Server, deployed: Deployed) -> None:
    """By Kubernetes' own schema, with no field that it does not know."""
    made = objects(server, deployed)
    assert [problem for one in made for problem in kubernetes_mistakes(one)] == []


def test_a_field_that_kubernetes_does_not_know_is_found() -> None:
    """The schema is strict at every depth."""
    made = objects(SERVER, DEPLOYED)[0]
    made["spec"]["template"]["spec"]["containers"][0]["securityContext"]["readOnly"] = True
    assert len(kubernetes_mistakes(made)) == 1


def test_objects_belong_together() -> None:
    """Selectors select the pods, names lead to objects and ports, and all have the recommended labels."""
    deployment, service, scaler, ingress = objects(SERVER, Deployed("stars", scale=(2, 4), host="stars.example.com"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for selector in (deployment["spec"]["selector"]["matchLabels"], service["spec"]["selector"]):
        assert selector.items() <= labels.items()
        assert "app.kubernetes.io/version" not in selector
    (port,) = service["spec"]["ports"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert port["targetPort"] in [one["name"] for one in container["ports"]]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    backend = ingress["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend == {"name": service["metadata"]["name"], "port": {"name": port["name"]}}
    for one in (deployment, service, scaler, ingress):
        assert one["metadata"]["labels"] == {
            "app.kubernetes.io/name": "stars",
            "app.kubernetes.io/version": "12345e67",
            "app.kubernetes.io/managed-by": "bentoship",
        }


def test_a_pod_has_no_rights_that_it_does_not_need() -> None:
    """Kubernetes' restricted Pod Security Standard, a read-only root, and no token of the cluster."""
    found, (container,) = pod(), pod()["containers"]
    assert found["securityContext"]["runAsUser"] == UID
    assert found["securityContext"]["runAsNonRoot"]
    assert found["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert found["automountServiceAccountToken"] is False
    assert found["enableServiceLinks"] is False


def test_where_bentoml_writes_is_writable() -> None:
    """Each folder is a volume of its own, none hides what the image has."""
    found, (container,) = pod(), pod()["containers"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    state = {f"/{HOME}/{name}" for name in ("bentos", "envs", "models", "tmp")}
    assert {"/tmp", *state} <= mounted.keys()
    assert f"/{HOME}" not in mounted
    assert not [path for path in mounted if path.startswith(f"/{HOME}/bento/")]
    assert sorted(mounted.values()) == sorted(volume["name"] for volume in found["volumes"])


def test_a_slow_start_is_no_failure() -> None:
    """The other probes wait for the one of the start, which the rollout waits for."""
    (container,) = pod()["containers"]
    probe = container["startupProbe"]
    patience = probe["periodSeconds"] * probe["failureThreshold"]
    assert 300 <= patience < objects(SERVER, DEPLOYED)[0]["spec"]["progressDeadlineSeconds"]
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "liveness", "readiness")}
    assert paths == {"startup": "/readyz", "liveness": "/livez", "readiness": "/readyz"}


def test_variables_come_from_a_secret() -> None:
    """By their names; no value is in the objects."""
    (container,) = pod(replace(SERVER, variables=("HF_TOKEN",)))["containers"]
    reference = {"secretKeyRef": {"name": secret_name(DEPLOYED), "key": "HF_TOKEN"}}
    assert container["env"] == [{"name": "HF_TOKEN", "valueFrom": reference}]


@pytest.mark.parametrize(
    ("architectures", "selector"),
    [(("amd64",), {"kubernetes.io/arch": "amd64"}), (("amd64", "arm64"), None), ((), None)],
)
def test_an_image_for_one_architecture_runs_on_it(architectures: tuple[str, ...], selector: dict[str, str]) -> None:
    """One for several runs anywhere among them."""
    assert pod(replace(SERVER, architectures=architectures)).get("nodeSelector") == selector


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("celestial-bodies", "celestial-bodies"),
        ("team/My_Stars.v2", "team-my-stars-v2"),
        ("2048", "bento-2048"),
        ("-", "bento"),
        ("é" * 9, "bento"),
        ("a" * 62 + "-b", "a" * 62),
    ],
)
def test_names_are_those_of_the_dns(text: str, name: str) -> None:
    """A Service takes no other."""
    assert object_name(text) == name
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", name)


@pytest.mark.parametrize("version", ["x" * 100, "-._", "ünïcode", "a+b", ""])
def test_labels_are_valid(version: str) -> None:
    """Whatever the version is (Kubernetes, "Syntax and character set")."""
    labels = objects(replace(SERVER, version=version), DEPLOYED)[0]["metadata"]["labels"]
    label = labels.get("app.kubernetes.io/version", "")
    assert re.fullmatch(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?", label)


@pytest.mark.parametrize(
    ("measured", "models", "memory", "limit"),
    [
        (None, 0, "512Mi", "1024Mi"),
        (None, 1_000_000, "528Mi", "1040Mi"),
        (None, 10 << 30, "20992Mi", "41984Mi"),
        (200 << 20, 10 << 30, "208Mi", "400Mi"),
        (1, 0, "16Mi", "16Mi"),
    ],
)
def test_memory_is_what_was_measured_or_a_guess(measured: int | None, models: int, memory: str, limit: str) -> None:
    """A large model is read into memory."""
    assert resources(measured=measured, models=models) == Resources(memory, limit, "")

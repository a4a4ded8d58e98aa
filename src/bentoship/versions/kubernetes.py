"""Kubernetes' objects for an image of a service: Deployment and Service, autoscaler and Ingress."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bentoship.image import keys
from bentoship.image.reference import ImageReference
from bentoship.system.values import dataclass

Object = dict[str, Any]

PORT = 3000
_MI = 1 << 20
_LEAST = 512 * _MI
"""Bytes of memory for Python, BentoML and the libraries of a service that was not measured."""

_WRITABLE = {
    "tmp": "/tmp",
    "bentos": "/home/bentoml/bentos",
    "envs": "/home/bentoml/envs",
    "models": "/home/bentoml/models",
    "state": "/home/bentoml/tmp",
    "cache": "/home/bentoml/.cache",
}
"""Where BentoML and libraries write, by the names of volumes: BENTOML_HOME's folders (bentoml/_internal/configuration/
containers.py), and where libraries keep what they download."""

_STARTUP = {"periodSeconds": 5, "failureThreshold": 120}
"""Ten minutes: large models take that long to be read into memory."""


@dataclass(frozen=True)
class Resources:
    """What a container needs, as Kubernetes' quantities.

    Args:
        memory: its request, such as "512Mi".
        memory_limit: its limit, beyond which it is killed.
        cpu: its request, such as "500m"; empty for the default. A limit would only slow it down.
    """

    memory: str
    memory_limit: str
    cpu: str


@dataclass(frozen=True)
class Server:
    """The image of a service, and what its containers need.

    Args:
        image: its reference, by digest.
        user: the UID that it runs as.
        resources: what a container needs.
        bento: the Bento's tag; empty when unknown.
        version: the Bento's version; empty when unknown.
        variables: the names of the environment variables that it needs.
        architectures: those of the image, such as "amd64".
    """

    image: ImageReference
    user: int
    resources: Resources
    bento: str = ""
    version: str = ""
    variables: Sequence[str] = ()
    architectures: Sequence[str] = ()


@dataclass(frozen=True)
class Deployed:
    """How a service runs in a cluster.

    Args:
        name: the name of its objects.
        replicas: the number of containers; None for the default.
        scale: the least and the most containers, instead of `replicas`; None for a fixed number.
        host: the host name of an Ingress; empty for none.
        pull_secret: the Secret with the account for the registry; empty for none.
    """

    name: str
    replicas: int | None = None
    scale: tuple[int, int] | None = None
    host: str = ""
    pull_secret: str = ""


def object_name(text: str) -> str:
    """Return a text as a name that any object may have: a label of the DNS (RFC 1035), as a Service needs."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (plain if plain[:1].isalpha() else f"bento-{plain}")[:63].strip("-")


def resources(*, measured: int | None, models: int) -> Resources:
    """Return what a container needs: what was measured, or a guess from the size of the models.

    Args:
        measured: the bytes of memory that the service used; None when it was not measured.
        models: the bytes of its models in the image.
    """
    request = _LEAST + 2 * models if measured is None else measured
    # Several requests at a time take more than the one that was measured.
    return Resources(_in_mi(request), _in_mi(2 * request), "")


def _in_mi(count: int) -> str:
    return f"{-(-count // (16 * _MI)) * 16}Mi"


def secret_name(deployed: Deployed) -> str:
    """Return the name of the Secret with the values of the variables that a service needs."""
    return f"{deployed.name}-env"[:253]


def objects(server: Server, deployed: Deployed) -> list[Object]:
    """Return the objects of a service, in the order to create them in."""
    made = [_deployment(server, deployed), _service(server, deployed)]
    if deployed.scale:
        made.append(_autoscaler(server, deployed, deployed.scale))
    if deployed.host:
        made.append(_ingress(server, deployed))
    return made


def _selector(deployed: Deployed) -> dict[str, str]:
    return {"app.kubernetes.io/name": deployed.name}


def _metadata(server: Server, deployed: Deployed) -> Object:
    return {
        "name": deployed.name,
        "labels": _labels(server, deployed),
        **({"annotations": {keys.BENTO: server.bento}} if server.bento else {}),
    }


def _labels(server: Server, deployed: Deployed) -> dict[str, str]:
    version = re.sub(r"[^A-Za-z0-9_.-]", "-", server.version)[:63].strip("_.-")
    return {
        **_selector(deployed),
        **({"app.kubernetes.io/version": version} if version else {}),
        "app.kubernetes.io/managed-by": "bentoship",
    }


def _deployment(server: Server, deployed: Deployed) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(server, deployed),
        "spec": {
            **({} if deployed.scale else {"replicas": 1 if deployed.replicas is None else deployed.replicas}),
            # Longer than the startup probe waits.
            "progressDeadlineSeconds": 900,
            "selector": {"matchLabels": _selector(deployed)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": _labels(server, deployed)}, "spec": _pod(server, deployed)},
        },
    }


def _pod(server: Server, deployed: Deployed) -> Object:
    names = server.architectures
    return {
        "automountServiceAccountToken": False,
        # Kubernetes sets variables for each Service, and one called bentoml would set BENTOML_PORT.
        "enableServiceLinks": False,
        **({"imagePullSecrets": [{"name": deployed.pull_secret}]} if deployed.pull_secret else {}),
        **({"nodeSelector": {"kubernetes.io/arch": names[0]}} if len(names) == 1 else {}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": server.user,
            "runAsGroup": server.user,
            "fsGroup": server.user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # BentoML finishes the requests that it has begun, each of which may take 60 s.
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(server, deployed)],
        "volumes": [{"name": name, "emptyDir": {}} for name in _WRITABLE],
    }


def _container(server: Server, deployed: Deployed) -> Object:
    needed = server.resources
    secret = secret_name(deployed)
    return {
        "name": "server",
        "image": str(server.image),
        "ports": [{"name": "http", "containerPort": PORT}],
        **environment({name: (secret, name) for name in server.variables}),
        "startupProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "timeoutSeconds": 5, **_STARTUP},
        "livenessProbe": {
            "httpGet": {"path": "/livez", "port": "http"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": "http"},
            "periodSeconds": 5,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "resources": {
            "requests": {"cpu": needed.cpu or "500m", "memory": needed.memory},
            "limits": {"memory": needed.memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in _WRITABLE.items()],
    }


def environment(secrets: Mapping[str, tuple[str, str]]) -> Object:
    """Return the `env` of a container whose variables come from Secrets; nothing if it has none.

    Args:
        secrets: the name of the Secret and the key in it, by the name of the variable.
    """
    listed = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in secrets.items()
    ]
    return {"env": listed} if listed else {}


def _service(server: Server, deployed: Deployed) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(server, deployed),
        "spec": {
            "type": "ClusterIP",
            "selector": _selector(deployed),
            "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
        },
    }


def _autoscaler(server: Server, deployed: Deployed, scale: tuple[int, int]) -> Object:
    least, most = scale
    load = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 75}}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": _metadata(server, deployed),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployed.name},
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": [{"type": "Resource", "resource": load}],
        },
    }


def _ingress(server: Server, deployed: Deployed) -> Object:
    backend = {"service": {"name": deployed.name, "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": _metadata(server, deployed),
        "spec": {"rules": [{"host": deployed.host, "http": {"paths": [path]}}]},
    }

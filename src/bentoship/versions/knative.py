"""A Knative Service for an image, limited to the fields that Cloud Run takes, too.

Cloud Run refuses a security context, a node selector and labels with a slash. A secret has versions there, not keys
(cloud.google.com/run/docs/reference/yaml/v1).
"""

from __future__ import annotations

from bentoship.image import keys
from bentoship.versions.kubernetes import PORT, Deployed, Object, Server, environment, object_name

_STARTUP = {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 24}
"""Four minutes, the most that Cloud Run allows."""


def secrets(server: Server, deployed: Deployed) -> dict[str, str]:
    """Return the names of the secrets with the values of the variables that a service needs, by variable."""
    return {name: object_name(f"{deployed.name}-{name}") for name in server.variables}


def service(server: Server, deployed: Deployed) -> Object:
    """Return the Knative Service of an image. Args: as of `kubernetes.objects`."""
    needed = server.resources
    container = {
        "image": str(server.image),
        "ports": [{"name": "http1", "containerPort": PORT}],
        # "latest" names a version at Google, and is a key as good as any other elsewhere.
        **environment({name: (secret, "latest") for name, secret in secrets(server, deployed).items()}),
        "startupProbe": {"httpGet": {"path": "/readyz"}, **_STARTUP},
        "livenessProbe": {
            "httpGet": {"path": "/livez"},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
        # With less than one processor Cloud Run gives a container one request at a time.
        "resources": {"limits": {"cpu": needed.cpu or "1", "memory": needed.memory_limit}},
    }
    pull = {"imagePullSecrets": [{"name": deployed.pull_secret}]} if deployed.pull_secret else {}
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {
            "name": deployed.name,
            "labels": {"managed-by": "bentoship"},
            **({"annotations": {keys.BENTO: server.bento}} if server.bento else {}),
        },
        "spec": {
            "template": {
                **_scale(deployed),
                "spec": {"timeoutSeconds": 300, **pull, "containers": [container]},
            }
        },
    }


def _scale(deployed: Deployed) -> Object:
    least, most = deployed.scale or (deployed.replicas, None)
    named = {"autoscaling.knative.dev/minScale": least, "autoscaling.knative.dev/maxScale": most}
    bounds = {name: str(number) for name, number in named.items() if number is not None}
    return {"metadata": {"annotations": bounds}} if bounds else {}

"""The published image as `invoke manifest` has it run, and its models as a volume, in engines."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.integration.test_engines import assert_recognises_saturn
from tests.support.cache import needs_apt
from tests.support.engines import Engine
from tests.support.published import Published

pytestmark = [needs_apt, pytest.mark.slow]


def objects(published: Published, *options: str) -> list[dict[str, Any]]:
    """What the command prints."""
    with published.start("manifest", *options) as running:
        printed, told = running.communicate(timeout=300)
    assert running.returncode == 0, told
    return list(yaml.safe_load_all(printed))


def options_of(pod: dict[str, Any]) -> list[str]:
    """An engine's options for what a pod says of its container: user, rights, root and volumes."""
    (container,) = pod["containers"]
    user, own = pod["securityContext"], container["securityContext"]
    assert own["readOnlyRootFilesystem"]
    assert not own["allowPrivilegeEscalation"]
    volumes = [mount["mountPath"] for mount in container["volumeMounts"]]
    return [
        *("--read-only", "--security-opt", "no-new-privileges", "--user", f"{user['runAsUser']}:{user['runAsGroup']}"),
        *(word for name in own["capabilities"]["drop"] for word in ("--cap-drop", name)),
        # An emptyDir is writable for all, and not more.
        *(word for path in volumes for word in ("--tmpfs", f"{path}:mode=0777")),
    ]


def test_it_runs_as_the_manifest_says(engine: Engine, published: Published) -> None:
    """It gets ready by the probes' paths and answers, with nothing writable but the volumes."""
    pod = objects(published)[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == published.reference
    port = container["ports"][0]["containerPort"]
    own = ["--read-only-tmpfs=false"] if engine.command[0] == "podman" else []
    with engine.running(published.reference, *options_of(pod), *own, port=port) as running:
        for probe in ("startup", "liveness", "readiness"):
            assert running.client.get(container[f"{probe}Probe"]["httpGet"]["path"]).is_success
        assert_recognises_saturn(running.client)
        assert (
            running.execute("sh", "-c", "touch /x 2>/dev/null || touch /home/bentoml/x 2>/dev/null || echo no") == "no"
        )


def test_the_models_are_a_volume(engine: Engine, published: Published) -> None:
    """As Kubernetes mounts an image: the files of the model, as the image has them."""
    if engine.command[0] != "podman":
        pytest.skip("podman mounts images, as Kubernetes does")
    with published.start("push", "--model-artifact") as running:
        _, told = running.communicate(timeout=300)
    assert running.returncode == 0, told
    (volume,) = [line.split()[1] for line in told.splitlines() if line.startswith("push") and line.endswith("-volume")]
    engine.pull(volume)
    options = (f"--mount=type=image,source={volume},destination=/volume", "--entrypoint=bash")
    # The image has sha256sum, but not cmp.
    compare = '[ "$(<"$0" sha256sum)" = "$(<"/$0" sha256sum)" ] && echo "$0"'
    script = f"cd /volume && find . -type f -exec bash -c '{compare}' {{}} \\;"
    try:
        with engine.container(published.reference, *options, arguments=("-c", script)) as name:
            found = engine("start", "--attach", name).splitlines()
    finally:
        engine.remove(volume)
    assert any(path.endswith("/model.onnx") for path in found)
    assert all(path.startswith("./home/bentoml/bento/models/") for path in found)

"""Listing hundreds of versions, and curl asking the same registry for the same documents."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from benchmarks.measure import UnmeasuredError, run
from benchmarks.report import Sample
from bentoship.image.artifact import EMPTY, EMPTY_CONTENT
from bentoship.image.descriptor import LAYER_GZIP
from bentoship.image.reference import ImageReference
from bentoship.providers.registry_process import RegistryProcess
from bentoship.stores.artifacts import fallback_tag
from bentoship.stores.registry import RegistryStore
from tests.support.images import noise, put
from tests.support.versions import attest, put_version

if TYPE_CHECKING:
    from benchmarks.cases import Bench

VERSIONS = 500
"""How many there are, each with an attestation."""

_LAYERS = 12
"""How many layers all of them share, as many as the example's image has besides that of its source."""

_ACCEPT = "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
_JOBS = 16


def versions(bench: Bench) -> Iterator[Sample]:
    """The first time, and once more; and curl with as many requests at a time."""
    if not shutil.which("curl"):
        raise UnmeasuredError("curl is not installed")
    # The local registry that everybody gets, which tells nobody what is read of it.
    process = RegistryProcess(bench.scratch / "versions")
    port, _ = process.start()
    try:
        host = f"127.0.0.1:{port}"
        repository = ImageReference(host, "benchmark/many")
        names = _fill(RegistryStore(repository, push=True), VERSIONS)
        urls = [f"http://{host}/v2/{repository.path}/manifests/{name}" for name in names]
        config = bench.scratch / "urls"
        config.write_text("".join(f'url = "{url}"\noutput = "/dev/null"\n' for url in urls))
        curl = ["curl", "-q", "--silent", "--fail", "--noproxy", "*", "--parallel", "--parallel-max", str(_JOBS)]
        settings: dict[str, Any] = {"REGISTRY": f"http://{host}/benchmark", "IMAGE_NAME": "many"}
        for _ in range(bench.runs):
            shutil.rmtree(bench.ours.place / "cache" / "bentoship" / "versions", ignore_errors=True)
            for case in ("versions", "versions-again"):
                listed = bench.ours.run("invoke", "versions", **settings)
                if listed.output.count("\n") != VERSIONS + 1:
                    raise UnmeasuredError(f"{listed.output.count(chr(10))} lines of versions")
                yield Sample(case, bench.ours.name, {"seconds": listed.seconds})
            asked = run([*curl, "--header", _ACCEPT, "--config", config], cwd=bench.scratch, env=os.environ)
            yield Sample("versions", "curl", {"seconds": asked.seconds})
    finally:
        process.stop()


def _fill(store: RegistryStore, count: int) -> list[str]:
    """Write versions with attestations, and return the tags of both."""
    layers = [put(store, LAYER_GZIP, noise(500, number)) for number in range(_LAYERS)]
    # Of all attestations; the registry fails for a moment where the same blob is written and read at once.
    put(store, EMPTY, EMPTY_CONTENT)

    def add(number: int) -> list[str]:
        metrics = {"accuracy": 0.5 + number / 1000, "loss": 1 / (number + 1)}
        image = put_version(store, number, layers=layers, metrics=metrics, parameters={"epochs": number})
        attest(store, image, f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z", commit=f"{number:040x}")
        return [f"v{number}", fallback_tag(image.digest)]

    with ThreadPoolExecutor(_JOBS) as pool:
        return [name for names in pool.map(add, range(count)) for name in names]

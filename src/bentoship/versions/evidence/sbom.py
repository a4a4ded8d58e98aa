"""SBOMs in CycloneDX: the same bytes for the same contents, without a clock or a random number.

An SBOM does not name the digest of its image, which it refers to as an artifact. So versions that differ only in their
source share one, which the registry stores once (44 kB for the example).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.image.artifact import Artifact, Blob
from bentoship.image.component import Component, Contents
from bentoship.image.descriptor import Descriptor
from bentoship.image.document import to_json
from bentoship.image.keys import SBOM_TYPE, TITLE
from bentoship.image.reference import ImageReference
from bentoship.system import records
from bentoship.system.records import key_of

if TYPE_CHECKING:
    from cyclonedx.model.component import Component as Listed

# Increase it when the same components are written in another way, so that what is kept is written again.
_RECIPE = "1"

_LAYER = "org.bentoship:layer"
"""The property with the digest of the layer that holds a component alone."""


def sbom(image: ImageReference, subject: Descriptor, platform: str, contents: Contents, kept: Path) -> Artifact:
    """Return the SBOM of an image, as an artifact that refers to it.

    Args:
        image: its name.
        subject: its manifest.
        platform: the one that it is for.
        contents: what it is made of.
        kept: a folder that keeps what is known of the same contents, since the next image mostly has the same.
    """
    document = to_json(_document(image, platform, _components(contents, kept)))
    return Artifact(SBOM_TYPE, [Blob(SBOM_TYPE, document, {TITLE: "sbom.cdx.json"})], subject=subject)


def _document(image: ImageReference, platform: str, components: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    name = image.path.rpartition("/")[2]
    # Without the registry's host: the same image has the same SBOM wherever it is.
    address = f"pkg:oci/{name}?arch={platform.split('/')[1]}"
    root = {"type": "container", "bom-ref": address, "name": name, "purl": address}
    serial = uuid.uuid5(uuid.NAMESPACE_OID, to_json([address, components]).decode())
    references = [component["bom-ref"] for component in components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"tools": {"components": [{"type": "application", "name": "bentoship"}]}, "component": root},
        "components": components,
        "dependencies": [{"ref": address, "dependsOn": references}],
    }


def _components(contents: Contents, kept: Path) -> list[dict[str, Any]]:
    """Return components as CycloneDX has them. Its library takes long to import, and writes only new contents."""
    file = kept / f"{key_of('components', _RECIPE, contents.key)}.json"
    found = records.read_as(file, lambda data: [dict(one) for one in data])
    if found is None:
        found = _written(contents.components())
        records.keep(file, found)
    return found


def _written(components: Sequence[Component]) -> list[dict[str, Any]]:
    from cyclonedx.model.bom import Bom
    from cyclonedx.output.json import JsonV1Dot6

    document = json.loads(JsonV1Dot6(Bom(components=map(_listed, components))).output_as_string())
    written: list[dict[str, Any]] = document.get("components", [])
    return written


def _listed(component: Component, owner: str = "") -> Listed:
    from cyclonedx.contrib.license.factories import LicenseFactory
    from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
    from cyclonedx.model.component import Component as Listed
    from cyclonedx.model.component import ComponentType

    kinds = {
        "system": ComponentType.OPERATING_SYSTEM,
        "image": ComponentType.CONTAINER,
        "model": ComponentType.MACHINE_LEARNING_MODEL,
        "file": ComponentType.FILE,
    }
    address = _address(component)
    digests = [HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in component.sha256]
    only, several = (digests, []) if len(digests) == 1 else ([], digests)
    references = []
    if component.origin.startswith(("http", "git+")) or several:
        # Of several archives one was installed; CycloneDX has a component's own hashes for those of the same content.
        url = XsUri(component.origin or str(address))
        references.append(ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=url, hashes=several))
    reference = str(address or f"{owner}{component.kind}:{component.name}:{component.version}".rstrip(":"))
    return Listed(
        type=kinds.get(component.kind, ComponentType.LIBRARY),
        bom_ref=reference,
        name=component.name,
        version=component.version or None,
        purl=address,
        hashes=only,
        licenses=[LicenseFactory().make_from_string(component.license)] if component.license else [],
        external_references=references,
        properties=[Property(name=_LAYER, value=component.layer)] if component.layer else [],
        components=[_listed(part, f"{reference}/") for part in component.parts],
    )


def _address(component: Component) -> Any:
    """Return the package URL of a component; None for what is no package."""
    from packageurl import PackageURL

    if component.kind == "python":
        return PackageURL("pypi", None, component.name, component.version or None)
    if component.kind == "debian":
        details = dict(component.details)
        return PackageURL("deb", component.origin, component.name, component.version, qualifiers=details)
    return None

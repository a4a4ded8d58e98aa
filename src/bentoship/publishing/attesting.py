"""Attaching documents to a published image: its provenance, an SBOM for each platform, and test results."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bentoship.assembly.config import base_of
from bentoship.backend import Built
from bentoship.bento import Bento
from bentoship.errors import SettingsError, StoreError
from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import INDEX_TYPES, Descriptor
from bentoship.image.manifest import Image
from bentoship.image.platforms import manifests_by_platform, platform_of
from bentoship.image.reference import ImageReference
from bentoship.project import Published, Run
from bentoship.stores import Source
from bentoship.stores.artifacts import Referrer, attach, attach_all, referrers
from bentoship.stores.graph import manifests_of, read_images
from bentoship.system.git import origin
from bentoship.system.text import counted, enumerated
from bentoship.versions.evidence.cosign import statement_of
from bentoship.versions.evidence.provenance import Making, provenance
from bentoship.versions.evidence.reading import is_statement, newest
from bentoship.versions.evidence.sbom import sbom
from bentoship.versions.evidence.signatures import Signing, signing_by
from bentoship.versions.evidence.statement import Result, test_result

_PATIENCE = 20.0
"""Seconds to retry a failing registry: the image is published already, and the next run attaches what is missing."""


def attest(run: Run, published: Published, image: Built, bento: Bento, mark: str) -> None:
    """Sign an image, and attach the documents that it lacks.

    A failure is only reported, as the image is published already, unless it was to be signed.

    Args:
        run: the run that has published it.
        published: where it is.
        image: what was built.
        bento: what it serves.
        mark: recorded with its digest once everything is attached.

    Raises: SettingsError, StoreError when it cannot be signed.
    """
    try:
        with run.reporter.task("attest", "attaching documents to the image"), _impatient(run):
            added = _attach(run, published, image, bento)
    except StoreError as error:
        if run.project.settings.signs:
            raise
        run.reporter.say("attest", f"the image is published, but nothing is attached to it: {error.doing}: {error.why}")
        return
    run.history.keep_attested(published.reference, mark)
    run.reporter.say("attest", f"attached {enumerated(added)}" if added else "everything is attached already")


def attest_result(run: Run, image: ImageReference, root: Descriptor, result: Result) -> None:
    """Attach the result of a test to an image, unless its newest one is the same; a failure is only reported.

    Args:
        run: the run that has verified it.
        image: its name.
        root: its manifest or index.
        result: the result.
    """
    settings = run.project.settings
    if not settings.attestations:
        return
    try:
        with _impatient(run):
            store = run.registry(image, push=True)
            known = newest(list(filter(is_statement(keys.TEST_RESULT), referrers(store, root.digest))))
            if known and known.annotations.get(keys.VERIFIED) == str(result.works).lower():
                return
            about = {image.repository: root, **_tested(store, image, root)}
            document = test_result(about, result, made=datetime.now(UTC))
            attach(store, document)
    except StoreError as error:
        run.reporter.say("verify", f"the result is not attached to the image: {error.doing}: {error.why}")
        return
    run.reporter.say("verify", "attached the result to the image")
    try:
        with _impatient(run):
            if key := signing(run):
                key.attest(store, root, [statement_of(document)])
    except (SettingsError, StoreError) as error:
        run.reporter.say("verify", f"the result is not signed: {error.doing}: {error.why}")


def _tested(store: Source, image: ImageReference, root: Descriptor) -> dict[str, Descriptor]:
    """Return the image of an index that can be tried on this machine, by its name; nothing for an image alone."""
    here = platform_of(platform.machine()) or ""
    found = manifests_of(store, root).get(here) if root.media_type in INDEX_TYPES else None
    return {f"{image.repository} ({here})": found} if found else {}


@contextmanager
def _impatient(run: Run) -> Iterator[None]:
    """Give up soon on a failing registry, unless something is to be signed."""
    http = run.session.http
    before = http.patience
    http.patience = before if run.project.settings.signs else min(before, _PATIENCE)
    try:
        yield
    finally:
        http.patience = before


def _attach(run: Run, published: Published, image: Built, bento: Bento) -> list[str]:
    """Attach what is missing, and return what that was. Raises SettingsError, StoreError."""
    name = published.tags[0]
    store = run.registry(name, push=True)
    root, content = store.read(published.pushed.digest)
    manifests = manifests_by_platform(content) if root.media_type in INDEX_TYPES else {}
    key = signing(run)
    # The images of an index as well, as `cosign sign --recursive` does: an engine may know one of them alone.
    signed = [key.sign(store, name.repository, one) for one in (*manifests.values(), root) if key]
    added = [counted(sum(signed), "signature")] if any(signed) else []
    if added and key and key.who:
        run.reporter.say("attest", f"signed by {key.who}")
    by_subject: dict[Descriptor, dict[str, Artifact]] = {}
    for title, document in _documents(run, name, root, manifests, image, bento):
        assert document.subject
        by_subject.setdefault(document.subject, {})[title] = document
    for subject, documents in by_subject.items():
        there = referrers(store, subject.digest)
        missing = {title: one for title, one in documents.items() if not any(_is_same(one, other) for other in there)}
        if missing:
            attach_all(store, list(missing.values()))
            added += missing
        if key:
            key.attest(store, subject, list(map(statement_of, documents.values())))
    return added


def signing(run: Run) -> Signing | None:
    """Return what signs the images of a run; None where nothing does. Raises SettingsError."""
    settings = run.project.settings
    return signing_by(settings.signing_key, is_keyless=bool(settings.signing), trust=settings.sigstore_trust_config)


def _documents(
    run: Run,
    name: ImageReference,
    root: Descriptor,
    manifests: Mapping[str, Descriptor],
    image: Built,
    bento: Bento,
) -> Iterator[tuple[str, Artifact]]:
    """Yield the documents to attach, each with its title.

    Args:
        run: the run that has published the image.
        name: its repository.
        root: its manifest or index.
        manifests: the images of an index, by platform.
        image: what was built.
        bento: what it serves.
    """
    settings = run.project.settings
    about = {name.repository: root, **{f"{name.repository} ({one})": manifest for one, manifest in manifests.items()}}
    if "provenance" in settings.attestations:
        yield "the provenance", provenance(about, _making(run, bento, image))
    if "sbom" in settings.attestations:
        for target, manifest in (manifests or {settings.platforms[0]: root}).items():
            if contents := (image.images.get(target) or image).contents:
                title = f"an SBOM for {target}" if manifests else "an SBOM"
                yield title, sbom(name, manifest, target, contents(), settings.cache / "sboms")


def _is_same(document: Artifact, other: Referrer) -> bool:
    """Return whether a document adds nothing to another: it is the same, or provenance of the same commit."""
    if other.descriptor == document.descriptor:
        return True
    shown = (keys.PREDICATE, keys.COMMIT, keys.CLEAN)
    own, others = ([one.annotations.get(key) for key in shown] for one in (document, other))
    return own == others and own[0] == keys.PROVENANCE


def _making(run: Run, bento: Bento, image: Built) -> Making:
    settings = run.project.settings
    layout = run.layout
    images = read_images(layout, layout.resolve(image.digest)) if settings.backend == "direct" else {}
    return Making(
        _parameters(run, bento),
        [*{json.dumps(one): one for made in images.values() for one in _materials(made, bento)}.values()],
        run.began,
        datetime.now(UTC),
        run.project.revision,
        origin(run.project.folder),
        settings.platforms,
    )


def _parameters(run: Run, bento: Bento) -> dict[str, Any]:
    """Return the settings that make a difference to the image; a path only if it is within the project."""
    settings, folder = run.project.settings, run.project.folder
    bentofile = settings.bentofile
    chosen = {
        "BENTOFILE": bentofile.relative_to(folder).as_posix()
        if bentofile and bentofile.is_relative_to(folder)
        else None,
        "BENTO_SERVICE": settings.service,
        "BENTO_ARGS": dict(settings.arguments),
        "BENTO": bento.tag if settings.bento else "",
        "BUILD_ENV": list(settings.build_env),
        "BASE_IMAGE": settings.base_image,
        "BACKEND": settings.backend,
        "PLATFORMS": list(settings.platforms),
    }
    return {"bento": bento.tag, **{name: value for name, value in chosen.items() if value}}


def _materials(image: Image, bento: Bento) -> Iterator[Mapping[str, Any]]:
    """Yield what an image was made from besides the project: its base and its models."""
    base = base_of(image)
    if "image" in base:
        digest = base["digest"].partition(":")[2]
        yield {"name": "base", "uri": f"docker://{base['image']}", "digest": {"sha256": digest}}
    debian = base.get("debian", {})
    distribution = debian.get("release", "debian").partition(" ")[0].lower()
    for package in debian.get("packages", ()):
        # As in the SBOM (package-url/purl-spec, "Character encoding").
        package_name, version = quote(package["name"]), quote(package["version"], safe=":")
        address = f"pkg:deb/{distribution}/{package_name}@{version}?arch={package['architecture']}"
        yield {"uri": address, "digest": {"sha256": package["sha256"]}}
    layers = (layer for layer in image.layers if layer.kind == "model")
    for model, layer in zip(bento.models, layers, strict=True):
        yield {
            "name": f"model {model.tag}",
            "digest": {"sha256": layer.descriptor.hex},
            "mediaType": layer.descriptor.media_type,
        }

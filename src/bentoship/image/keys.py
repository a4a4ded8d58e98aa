"""Keys of annotations, of images and of their referrers, and the media types of artifacts (docs/metadata.md)."""

from __future__ import annotations

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
DESCRIPTION = "org.opencontainers.image.description"
LICENSES = "org.opencontainers.image.licenses"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
CREATED = "org.opencontainers.image.created"
"""When a referrer was made, by RFC 3339; never of an image, whose digest depends on content alone."""

BENTO = "org.bentoship.bento"
"""The Bento's tag, which only images have that bentoship made."""

MODELS = "org.bentoship.models"
"""JSON: a list of the models, each with `tag`, `metadata`, an object of texts, and perhaps `labels` and `options`."""

METRICS = "org.bentoship.metrics"
"""JSON: an object of numbers, such as {"accuracy": 0.97}; names of nested ones have dots between."""

PARAMETERS = "org.bentoship.parameters"
"""JSON: an object of the hyperparameters, each a text, a number, a boolean or null; nested names have dots between."""

DATA = "org.bentoship.data"
"""JSON: a list of the training data, each with `path`, which may be a name, `digest` ("md5:…"), and `size` in bytes."""

METADATA = "org.bentoship.metadata"
"""The digest of a document with those values of the keys above that are too large for an annotation."""

COMMIT = "org.bentoship.commit"
"""The commit that an image was made from; of an attestation."""

CLEAN = "org.bentoship.clean"
"""Whether the project was as its commit has it, "true" or "false"; of an attestation."""

PLATFORMS = "org.bentoship.platforms"
"""What an image is for, such as linux/amd64, with commas between several; of an attestation."""

VERIFIED = "org.bentoship.verified"
"""Whether an image worked when it was verified, "true" or "false"; of an attestation."""

PREVIOUS = "org.bentoship.previous"
"""The digest of the manifest that this history of promotions replaced; of a history."""

MEMORY = "org.bentoship.memory"
"""The bytes of memory that an image used when it was verified; of an attestation."""

MODEL_TYPE = "application/vnd.cncf.model.manifest.v1+json"
"""The artifact type of a model on its own (ModelPack, docs/spec.md)."""

METADATA_TYPE = "application/vnd.bentoship.metadata.v1+json"
HISTORY_TYPE = "application/vnd.bentoship.promotions.v1+json"
STATEMENT_TYPE = "application/vnd.in-toto+json"
"""The artifact type of an attestation, an in-toto statement."""

SBOM_TYPE = "application/vnd.cyclonedx+json"
"""The artifact type of an SBOM in CycloneDX, as `oras attach` and Trivy have it."""

PREDICATE = "in-toto.io/predicate-type"
"""The annotation that names what a statement is about, such as https://slsa.dev/provenance/v1."""

PROVENANCE = "https://slsa.dev/provenance/v1"
"""The predicate of a statement on how an image was made (slsa.dev/spec/v1.0/provenance)."""

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
"""The predicate of a statement on how a test ended (in-toto/attestation, spec/predicates/test-result.md)."""

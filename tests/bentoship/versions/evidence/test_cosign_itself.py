"""cosign itself, from Debian: it accepts what is signed here, and what it signs is accepted here."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bentoship.errors import VerifyError
from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.stores.registry import RegistryStore
from bentoship.versions.evidence import bundles, cosign, keyless, signing
from bentoship.versions.evidence.statement import encoded
from tests.support.images import put_image
from tests.support.newer_debian import FailedError, Program, unpacked
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore, sigstore

Version = Callable[[Path], "Cosign"]

PREDICATE = {"buildDefinition": {"buildType": "https://example.com/made"}, "runDetails": {"builder": {"id": "x"}}}


@dataclass(frozen=True)
class Cosign:
    """cosign, with keys of its own.

    Args:
        program: runs it; raises FailedError.
        folder: for its keys and its home.
        options: what makes it sign with a key alone, without a service.
    """

    program: Program
    folder: Path
    options: tuple[str, ...]

    def __call__(self, command: str, *arguments: str | Path) -> str:
        """What it writes to stdout."""
        return self.program(command, *arguments, env={"COSIGN_PASSWORD": "secret", "HOME": str(self.folder)})

    def key(self, name: str) -> Path:
        """A new private key; the public key is beside it, as NAME.pub."""
        self("generate-key-pair", "--output-key-prefix", self.folder / name)
        return self.folder / f"{name}.key"

    def sign(self, command: str, key: Path, *arguments: str | Path) -> None:
        """Have it sign an image, or attest something of it, with a key."""
        self(command, "--yes", "--key", key, "--tlog-upload=false", *self.options, *arguments)

    def check(self, command: str, key: Path, *arguments: str | Path) -> str:
        """Have it check a signature by a key. Returns: what it has checked."""
        return self(command, "--key", key.with_suffix(".pub"), "--insecure-ignore-tlog=true", *arguments)


def second(folder: Path) -> Cosign:
    """cosign 2, which knows no bundles."""
    return Cosign(Program("cosign", unpacked("trixie", "cosign", needed_for="cosign")), folder, ())


def third(folder: Path) -> Cosign:
    """cosign 3, which makes bundles."""
    program = Program("cosign", unpacked("forky", "cosign", needed_for="cosign"))
    return Cosign(program, folder, ("--use-signing-config=false",))


# The second stands in a stable release; the release of the third still moves, which `.ci/run` should not notice.
VERSIONS = [second, pytest.param(third, marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The password of cosign's keys."""
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")


def told(image: Descriptor) -> list[bytes]:
    """A provenance and an SBOM, as they are signed."""
    sbom = Artifact(keys.SBOM_TYPE, [Blob(keys.SBOM_TYPE, b'{"bomFormat":"CycloneDX"}')], subject=image)
    return [encoded({"echo": image}, keys.PROVENANCE, PREDICATE), cosign.statement_of(sbom)]


def named(store: RegistryStore, image: Descriptor) -> str:
    """What cosign is told of an image."""
    return f"{store.repository}@{image.digest}"


def predicate_of(line: str) -> object:
    """The predicate's kind in what cosign prints of an envelope."""
    return json.loads(base64.b64decode(json.loads(line)["payload"]))["predicateType"]


@pytest.mark.parametrize("version", VERSIONS)
def test_cosign_accepts_what_a_key_has_signed(version: Version, place: RegistryStore, tmp_path: Path) -> None:
    """An image, its provenance and its SBOM, by a key that cosign has made; not by another key."""
    program, image = version(tmp_path), put_image(place)
    key, other = program.key("own"), program.key("other")
    cosign.sign(place, place.repository, image, signing.signer(key))
    cosign.attest(place, image, told(image), signing.signer(key))
    (checked,) = json.loads(program.check("verify", key, named(place, image)))
    assert checked["critical"]["image"] == {"docker-manifest-digest": image.digest}
    for kind, predicate in (("slsaprovenance1", keys.PROVENANCE), ("cyclonedx", cosign.CYCLONEDX)):
        assert predicate_of(program.check("verify-attestation", key, "--type", kind, named(place, image))) == predicate
    for command in ("verify", "verify-attestation"):
        with pytest.raises(FailedError, match="signature"):
            program.check(command, other, named(place, image))


@pytest.mark.parametrize("version", VERSIONS)
def test_what_cosign_signs_with_a_key_is_accepted(version: Version, place: RegistryStore, tmp_path: Path) -> None:
    """An image and an attestation, whichever layout the version has; not by another key."""
    program, image = version(tmp_path), put_image(place)
    key, other = program.key("own"), program.key("other")
    program.sign("sign", key, named(place, image))
    own = signing.verifier(key.with_suffix(".pub"))
    assert cosign.check(place, image, own) == 0
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps(PREDICATE))
    program.sign("attest", key, "--type", "slsaprovenance1", "--predicate", predicate, named(place, image))
    assert cosign.check(place, image, own) == 1
    with pytest.raises(VerifyError, match="was made for this image by the key of"):
        cosign.check(place, image, signing.verifier(other.with_suffix(".pub")))


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["bundles", "tags"])
@pytest.mark.parametrize("curve", ["secp384r1", "secp521r1"])
def test_what_cosign_signs_with_a_larger_key_is_accepted(
    curve: str, layout: str, tmp_path: Path, store: RegistryStore
) -> None:
    """Over the hash that goes with the curve."""
    program, image = third(tmp_path), put_image(store)
    key = ec.generate_private_key({"secp384r1": ec.SECP384R1, "secp521r1": ec.SECP521R1}[curve]())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    program("import-key-pair", "--key", tmp_path / "key.pem", "--output-key-prefix", tmp_path / "own")
    chosen = f"--new-bundle-format={str(layout == 'bundles').lower()}"
    program.sign("sign", tmp_path / "own.key", chosen, named(store, image))
    assert cosign.check(store, image, signing.verifier(tmp_path / "own.pub")) == 0


@pytest.mark.slow
@pytest.mark.parametrize("log", [1, 2])
def test_cosign_accepts_what_an_identity_has_signed(
    log: int, place: RegistryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By both versions of Sigstore's log; not by another identity."""
    program, image = third(tmp_path), put_image(place)
    with sigstore(tmp_path, clock=log == 2) as services:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", services.authority.token())
        signer = keyless.signer(services.trust(version=log))
        bundles.sign(place, place.repository, image, signer)
        bundles.attest(place, image, told(image), signer)
        root = trusted(services, tmp_path)
    timed: list[str | Path] = ["--use-signed-timestamps"] if log == 2 else []
    who: list[str | Path] = ["--certificate-oidc-issuer", GITHUB, "--trusted-root", root, *timed]
    own: list[str | Path] = [*who, "--certificate-identity", WORKFLOW]
    checked = json.loads(program("verify", *own, named(place, image)))
    # It counts each statement of the identity.
    assert {one["critical"]["type"] for one in checked} == {bundles.SIGNATURE, keys.PROVENANCE, cosign.CYCLONEDX}
    for kind, predicate in (("slsaprovenance1", keys.PROVENANCE), ("cyclonedx", cosign.CYCLONEDX)):
        assert predicate_of(program("verify-attestation", *own, "--type", kind, named(place, image))) == predicate
    with pytest.raises(FailedError, match=r"expected SAN value .mallory@example\.com"):
        program("verify", *who, "--certificate-identity", "mallory@example.com", named(place, image))


@pytest.mark.slow
def test_what_cosign_signs_by_an_identity_is_accepted(place: RegistryStore, tmp_path: Path, services: Sigstore) -> None:
    """An image and an attestation; not by another identity."""
    program, image = third(tmp_path), put_image(place)
    root, config = trusted(services, tmp_path), tmp_path / "signing.json"
    config.write_text(json.dumps(json.loads(services.trust().read_text())["signingConfig"]))
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps(PREDICATE))
    token = tmp_path / "token"
    token.write_text(services.authority.token())
    by: list[str | Path] = ["--yes", "--signing-config", config, "--trusted-root", root, "--identity-token", token]
    program("sign", *by, named(place, image))
    program("attest", *by, "--type", "slsaprovenance1", "--predicate", predicate, named(place, image))
    own = keyless.verifier(keyless.Identity(WORKFLOW, GITHUB), services.trust())
    assert bundles.check(place, image, own) == 1
    with pytest.raises(VerifyError, match=r"was made for this image by mallory@example\.com"):
        bundles.check(place, image, keyless.verifier(keyless.Identity("mallory@example.com", GITHUB), services.trust()))


def trusted(services: Sigstore, folder: Path) -> Path:
    """The file of what is trusted, as cosign takes it."""
    file = folder / "root.json"
    file.write_text(json.dumps(json.loads(services.trust().read_text())["trustedRoot"]))
    return file

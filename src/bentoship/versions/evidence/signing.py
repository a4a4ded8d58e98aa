"""Signing with a key: ECDSA over SHA-256, with keys as PEM files, also in cosign's own form.

For keys on larger curves, cosign 3 signs over the hash that goes with the curve (sigstore/protobuf-specs,
algorithm-registry.md), and everyone else over SHA-256: both are checked.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.errors import SettingsError
from bentoship.image.document import parse_json
from bentoship.system.process import environment

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

_PASSWORD = "COSIGN_PASSWORD"  # the variable that cosign reads
_MAX = 1 << 16
"""Bytes; a key is much shorter."""

_MOST_MEMORY = 1 << 30
"""Bytes that deriving a key from a password may take; cosign's parameters take 32 or 64 MB."""


class Signer:
    """Signs with a private key. Args: key: of ECDSA."""

    def __init__(self, key: EllipticCurvePrivateKey) -> None:
        self._key = key

    @property
    def verifier(self) -> Verifier:
        """Return what checks its signatures."""
        return Verifier(self._key.public_key())

    def sign(self, payload: bytes) -> bytes:
        """Return the signature of a payload, in DER."""
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256

        return self._key.sign(payload, ECDSA(SHA256()))


class Verifier:
    """Checks signatures with a public key. Args: key: of ECDSA."""

    def __init__(self, key: EllipticCurvePublicKey) -> None:
        self._key = key

    def has_signed(self, payload: bytes, signature: bytes) -> bool:
        """Return whether a signature, in DER, is of a payload and made with the private key."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

        for hashed in _hashes(self._key):
            with suppress(InvalidSignature):
                self._key.verify(signature, payload, ECDSA(hashed))
                return True
        return False


def signer(file: Path) -> Signer:
    """Return what signs with the private key of a PEM file.

    Args:
        file: PKCS 8 or SEC 1, or as `cosign generate-key-pair` writes it. COSIGN_PASSWORD opens an encrypted one.

    Raises: SettingsError.
    """
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

    doing, content = f"Read the signing key {file}", _content(file, "SIGNING_KEY")
    password = environment(names=[_PASSWORD]).get(_PASSWORD, "").encode()
    try:
        if b"ENCRYPTED SIGSTORE PRIVATE KEY" in content or b"ENCRYPTED COSIGN PRIVATE KEY" in content:
            key = load_der_private_key(_decrypted(content, password), None)
        else:
            is_encrypted = b"ENCRYPTED" in content
            key = load_pem_private_key(content, password if is_encrypted else None)
    except Exception as error:  # the libraries raise many kinds for what is no key
        hint = f"{_PASSWORD} has to be its password." if b"ENCRYPTED" in content else _PRIVATE
        raise SettingsError(doing, f"it cannot be read ({error or type(error).__name__})", hint) from error
    if not isinstance(key, EllipticCurvePrivateKey):
        raise SettingsError(doing, "it is not an ECDSA key", _MAKE)
    _check_curve(doing, key.curve.name)
    return Signer(key)


_MAKE = (
    "Make one with `cosign generate-key-pair`, or `openssl ecparam -name prime256v1 -genkey -noout -out signing.key`."
)
_PRIVATE = f"SIGNING_KEY is a file such as cosign.key, with the private key of ECDSA in PEM. {_MAKE}"
_PUBLIC = (
    "SIGNING_PUBLIC_KEY names a file such as cosign.pub, with an ECDSA public key in PEM. "
    "`openssl ec -in signing.key -pubout` prints that of a private key in PEM."
)
_CURVES = ("secp256r1", "secp384r1", "secp521r1")
"""The curves that cosign reads keys on."""


def _hashes(key: EllipticCurvePublicKey) -> list[HashAlgorithm]:
    """Return the hashes that a signature with a key may be over."""
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    others: dict[str, HashAlgorithm] = {"secp384r1": SHA384(), "secp521r1": SHA512()}
    own = others.get(key.curve.name)
    return [SHA256(), own] if own else [SHA256()]


def _check_curve(doing: str, name: str) -> None:
    """Raise SettingsError for a key on a curve that cosign does not read."""
    if name not in _CURVES:
        raise SettingsError(doing, f"it is a key on the curve {name}, which cosign does not read", _MAKE)


def verifier(file: Path) -> Verifier:
    """Return what checks signatures with the public key of a PEM file. Raises SettingsError."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    doing, content = f"Read the public key {file}", _content(file, "SIGNING_PUBLIC_KEY")
    try:
        key = load_pem_public_key(content)
    except Exception as error:  # as above
        raise SettingsError(doing, f"it cannot be read ({error or type(error).__name__})", _PUBLIC) from error
    if not isinstance(key, EllipticCurvePublicKey):
        raise SettingsError(doing, "it is not an ECDSA key", _PUBLIC)
    _check_curve(doing, key.curve.name)
    return Verifier(key)


def verifier_of(public: Path | None, private: Path | None) -> Verifier | None:
    """Return what checks signatures by a public key, else by that of a private one; None without either.

    Args: public, private: PEM files, as of `verifier` and `signer`.

    Raises: SettingsError.
    """
    if public:
        return verifier(public)
    return signer(private).verifier if private else None


def _content(file: Path, setting: str) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(_MAX)
    except OSError as error:
        hint = f"Without {setting}, nothing is signed or checked by a key."
        raise SettingsError(f"Read {setting}", f"{file}: {error.strerror}", hint) from error


def _decrypted(pem: bytes, password: bytes) -> bytes:
    """Return the DER of a private key in cosign's form: a document whose key is derived by scrypt, sealed by NaCl.

    Source: github.com/secure-systems-lab/go-securesystemslib, encrypted/encrypted.go.
    """
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    from nacl.secret import SecretBox

    lines = [line for line in pem.splitlines() if line and not line.startswith(b"-----") and b":" not in line]
    document: Any = parse_json(base64.b64decode(b"".join(lines), validate=True))
    kdf, cipher = document["kdf"], document["cipher"]
    if (kdf["name"], cipher["name"]) != ("scrypt", "nacl/secretbox"):
        raise ValueError(f"it is encrypted by {kdf['name']} and {cipher['name']}")
    cost, block, lanes = (int(kdf["params"][name]) for name in ("N", "r", "p"))
    if cost * block * 128 > _MOST_MEMORY or not 0 < lanes <= 16:
        raise ValueError("its password would take too long to check")
    derived = Scrypt(base64.b64decode(kdf["salt"]), 32, cost, block, lanes).derive(password)
    opened: bytes = SecretBox(derived).decrypt(
        base64.b64decode(document["ciphertext"]), base64.b64decode(cipher["nonce"])
    )
    return opened

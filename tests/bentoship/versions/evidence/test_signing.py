"""Keys, as files, and signatures with them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from nacl.secret import SecretBox

from bentoship.errors import SettingsError
from bentoship.versions.evidence.signing import Verifier, signer, verifier, verifier_of

PASSWORD = b"wonderland"

KEY = ec.generate_private_key(ec.SECP256R1())
STRANGE = ec.generate_private_key(ec.SECP256K1())


def as_cosign(der: bytes, *, cost: int = 1 << 10, label: str = "SIGSTORE") -> bytes:
    """A private key as `cosign generate-key-pair` writes it, but for a lower cost, which is faster."""
    salt, nonce = os.urandom(32), os.urandom(24)
    box = SecretBox(Scrypt(salt, 32, 1 << 10, 8, 1).derive(PASSWORD))
    document = {
        "kdf": {"name": "scrypt", "params": {"N": cost, "r": 8, "p": 1}, "salt": base64.b64encode(salt).decode()},
        "cipher": {"name": "nacl/secretbox", "nonce": base64.b64encode(nonce).decode()},
        "ciphertext": base64.b64encode(box.encrypt(der, nonce).ciphertext).decode(),
    }
    body = base64.encodebytes(json.dumps(document).encode()).decode()
    return (
        f"-----BEGIN ENCRYPTED {label} PRIVATE KEY-----\n{body}-----END ENCRYPTED {label} PRIVATE KEY-----\n".encode()
    )


DER = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
FORMS = {
    "SEC 1": KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "PKCS 8": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "PKCS 8, encrypted": KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD)),
    "cosign": as_cosign(DER),
    "cosign before 2": as_cosign(DER, label="COSIGN"),
}


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """The public key."""
    file = tmp_path / "cosign.pub"
    file.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return file


@pytest.mark.parametrize("form", FORMS)
def test_a_key_signs(form: str, tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each form of its file; what was signed is what is checked."""
    file = tmp_path / "signing.key"
    file.write_bytes(FORMS[form])
    monkeypatch.setenv("COSIGN_PASSWORD", PASSWORD.decode())
    signature = signer(file).sign(b"payload")
    for checker in (verifier(public), verifier_of(None, file), verifier_of(public, None)):
        assert checker
        assert checker.has_signed(b"payload", signature)
        assert not checker.has_signed(b"payloaD", signature)
        assert not checker.has_signed(b"payload", b"no signature")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is missing")
def test_others_accept_a_signature(tmp_path: Path, public: Path) -> None:
    """OpenSSL does, with the public key."""
    file = tmp_path / "signing.key"
    file.write_bytes(FORMS["SEC 1"])
    (tmp_path / "payload").write_bytes(b"payload")
    (tmp_path / "signature").write_bytes(signer(file).sign(b"payload"))
    command = ["openssl", "dgst", "-sha256", "-verify", str(public), "-signature", "signature", "payload"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Verified OK\n", done.stderr


@pytest.mark.parametrize("form", [form for form in FORMS if "cosign" in form or "encrypted" in form])
@pytest.mark.parametrize("password", ["", "wrong"])
def test_a_wrong_password_is_named(form: str, password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, which says where the password is read."""
    (tmp_path / "signing.key").write_bytes(FORMS[form])
    monkeypatch.setenv("COSIGN_PASSWORD", password)
    with pytest.raises(SettingsError, match="Read the signing key") as raised:
        signer(tmp_path / "signing.key")
    assert "COSIGN_PASSWORD" in raised.value.hint


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        as_cosign(DER, cost=1 << 30),
        FORMS["cosign"][:200],
        ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        STRANGE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    ],
    ids=["empty", "no key", "too dear a password", "cut off", "of another kind", "on another curve"],
)
def test_what_is_no_key_is_an_error(content: bytes, tmp_path: Path) -> None:
    """Whatever it is; the error says what to do."""
    (tmp_path / "key").write_bytes(content)
    for read in (signer, verifier):
        with pytest.raises(SettingsError) as raised:
            read(tmp_path / "key")
        assert raised.value.hint


def test_a_key_on_another_curve_checks_nothing(tmp_path: Path) -> None:
    """What cosign could not check is not checked here."""
    public = STRANGE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key").write_bytes(public)
    with pytest.raises(SettingsError, match="curve secp256k1, which cosign does not read"):
        verifier(tmp_path / "key")


@pytest.mark.parametrize("name", ["signing.key", "cosign.pub"])
def test_a_missing_key_is_named(name: str, tmp_path: Path) -> None:
    """With the setting that names its file."""
    for read, setting in ((signer, "SIGNING_KEY"), (verifier, "SIGNING_PUBLIC_KEY")):
        with pytest.raises(SettingsError, match=name) as raised:
            read(tmp_path / name)
        assert raised.value.doing == f"Read {setting}"
        assert setting in raised.value.hint


def test_a_public_key_in_place_of_the_private_one_needs_no_password(tmp_path: Path) -> None:
    """The error says which key is meant."""
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "cosign.pub").write_bytes(public)
    with pytest.raises(SettingsError, match="Read the signing key") as raised:
        signer(tmp_path / "cosign.pub")
    assert "the private key of ECDSA in PEM" in raised.value.hint
    assert "COSIGN_PASSWORD" not in raised.value.hint


@pytest.mark.parametrize(
    ("curve", "own", "strange"), [(ec.SECP384R1(), SHA384(), SHA512()), (ec.SECP521R1(), SHA512(), SHA384())]
)
def test_a_larger_key_may_sign_over_the_hash_of_its_curve(
    curve: ec.EllipticCurve, own: HashAlgorithm, strange: HashAlgorithm
) -> None:
    """As cosign 3 does, as well as over SHA-256, as everyone else does; but over no other hash."""
    key = ec.generate_private_key(curve)
    checker = Verifier(key.public_key())
    for hashed in (SHA256(), own):
        assert checker.has_signed(b"payload", key.sign(b"payload", ec.ECDSA(hashed)))
        assert not checker.has_signed(b"payloaD", key.sign(b"payload", ec.ECDSA(hashed)))
    assert not checker.has_signed(b"payload", key.sign(b"payload", ec.ECDSA(strange)))
    small = Verifier(KEY.public_key())
    assert not small.has_signed(b"payload", KEY.sign(b"payload", ec.ECDSA(own)))


def test_without_a_key_nothing_is_checked() -> None:
    """Neither a public nor a private one."""
    assert verifier_of(None, None) is None

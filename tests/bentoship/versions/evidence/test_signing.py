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
from bentoship.versions.evidence.signing import signer, verifier, verifier_of

PASSWORD = b"wonderland"

KEY = ec.generate_private_key(ec.SECP256R1())


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
    ],
    ids=["empty", "no key", "too dear a password", "cut off", "of another kind"],
)
def test_what_is_no_key_is_an_error(content: bytes, tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(SettingsError):
        signer(tmp_path / "key")
    with pytest.raises(SettingsError):
        verifier(tmp_path / "key")


def test_without_a_key_nothing_is_checked() -> None:
    """Neither a public nor a private one."""
    assert verifier_of(None, None) is None

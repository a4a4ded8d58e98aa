"""The part of the timestamp authority: OpenSSL makes the timestamps (RFC 3161)."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.sigstore_parts.authority import _dated, leaf, new_key, root_of

CONFIGURATION = """
[tsa]
serial = serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class Clock:
    """Says when something was signed. Args: folder: for its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key, root_key = new_key(), new_key()
        root = root_of(root_key, "clock-root")
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "clock")])
        own = _dated(leaf(root, name, key.public_key(), ExtendedKeyUsageOID.TIME_STAMPING), days=30)
        self.chain = [own.sign(root_key, SHA256()), root]
        (folder / "clock.pem").write_bytes(self.chain[0].public_bytes(Encoding.PEM))
        (folder / "clock.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (folder / "clock.cnf").write_text(CONFIGURATION)
        (folder / "serial").write_text("01\n")

    def answer(self, query: bytes) -> bytes:
        """The answer to a query."""
        (self.folder / "query").write_bytes(query)
        command = "openssl ts -reply -config clock.cnf -section tsa -queryfile query -signer clock.pem -inkey clock.key"
        done = subprocess.run(command.split(), cwd=self.folder, capture_output=True, check=True)
        return done.stdout

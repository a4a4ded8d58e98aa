"""The part of Rekor: a log of signatures, in its first and its second version.

Sources: github.com/sigstore/rekor, openapi.yaml and types/dsse; github.com/sigstore/rekor-tiles, CLIENTS.md; for the
tree, RFC 6962, 2.1; for its signed heads, github.com/C2SP/C2SP, tlog-checkpoint.md.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from tests.support.sigstore_parts.authority import RefusedError, new_key, public


def encoded(content: bytes) -> str:
    """Bytes as JSON has them."""
    return base64.b64encode(content).decode()


def canonical(document: Any) -> bytes:
    """The JSON that is signed (RFC 8785), as far as it is needed here."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return _node(_root(leaves[:half]), _root(leaves[half:]))


def _path(index: int, leaves: list[bytes]) -> list[bytes]:
    """What a leaf's hash is combined with, up to the root."""
    if len(leaves) == 1:
        return []
    half = 1 << (len(leaves) - 1).bit_length() - 1
    if index < half:
        return [*_path(index, leaves[:half]), _root(leaves[half:])]
    return [*_path(index - half, leaves[half:]), _root(leaves[:half])]


@dataclass
class Log:
    """Keeps signatures.

    Args:
        origin: its name, the host that it is at.
        tree: the number of its tree, by which Go's library knows the heads of the first version.
        key: signs its heads.
        leaves: the hashes of its entries, after a first one: Go writes no number that is zero, and Python wants it.
    """

    origin: str = "127.0.0.1"
    tree: int = 1193050959916656506
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    leaves: list[bytes] = field(default_factory=lambda: [hashlib.sha256(b"\0").digest()])

    @property
    def id(self) -> bytes:
        """What it is called in entries."""
        return hashlib.sha256(public(self.key)).digest()

    @property
    def name(self) -> str:
        """What the newest entry is called."""
        return self.leaves[-1].hex()

    def answer(self, body: bytes) -> dict[str, Any]:
        """The answer to POST /api/v1/log/entries. Raises RefusedError."""
        proposed = json.loads(body)
        assert (proposed["kind"], proposed["apiVersion"]) == ("dsse", "0.0.1")
        content = proposed["spec"]["proposedContent"]
        envelope, (verifier,) = json.loads(content["envelope"]), content["verifiers"]
        payload = base64.b64decode(envelope["payload"])
        kind, (signature,) = envelope["payloadType"].encode(), envelope["signatures"]
        certificate = x509.load_pem_x509_certificate(base64.b64decode(verifier))
        signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
        _check(certificate, base64.b64decode(signature["sig"]), hashlib.sha256(signed).digest())
        spec = {
            "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(content["envelope"].encode()).hexdigest()},
            "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(payload).hexdigest()},
            "signatures": [{"signature": signature["sig"], "verifier": verifier}],
        }
        entry = canonical({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        index, hashes = self._add(entry)
        told = {"body": encoded(entry), "integratedTime": int(time.time()), "logID": self.id.hex(), "logIndex": index}
        proof = {
            "checkpoint": self._head(f"{self.origin} - {self.tree}"),
            "hashes": [one.hex() for one in hashes],
            "logIndex": index,
            "rootHash": _root(self.leaves).hex(),
            "treeSize": len(self.leaves),
        }
        promise = encoded(self.key.sign(canonical(told), ec.ECDSA(SHA256())))
        return {self.name: {**told, "verification": {"inclusionProof": proof, "signedEntryTimestamp": promise}}}

    def second_answer(self, body: bytes) -> dict[str, Any]:
        """The answer to POST /api/v2/log/entries. Raises RefusedError."""
        asked = json.loads(body)["hashedRekordRequestV002"]
        verifier = asked["signature"]["verifier"]
        certificate = x509.load_der_x509_certificate(base64.b64decode(verifier["x509Certificate"]["rawBytes"]))
        digest = base64.b64decode(asked["digest"])
        _check(certificate, base64.b64decode(asked["signature"]["content"]), digest)
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        spec = {"hashedRekordV002": {"data": data, "signature": asked["signature"]}}
        entry = canonical({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": spec})
        index, hashes = self._add(entry)
        return {
            "logIndex": str(index),
            "logId": {"keyId": encoded(self.id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(index),
                "rootHash": encoded(_root(self.leaves)),
                "treeSize": str(len(self.leaves)),
                "hashes": list(map(encoded, hashes)),
                "checkpoint": {"envelope": self._head(self.origin)},
            },
            "canonicalizedBody": encoded(entry),
        }

    def _add(self, entry: bytes) -> tuple[int, list[bytes]]:
        """Its index, and the proof that it is in the tree."""
        self.leaves.append(hashlib.sha256(b"\0" + entry).digest())
        index = len(self.leaves) - 1
        return index, _path(index, self.leaves)

    def _head(self, origin: str) -> str:
        """The tree's size and root, signed."""
        note = f"{origin}\n{len(self.leaves)}\n{encoded(_root(self.leaves))}\n"
        signature = encoded(self.id[:4] + self.key.sign(note.encode(), ec.ECDSA(SHA256())))
        return f"{note}\n— {self.origin} {signature}\n"


def _check(certificate: x509.Certificate, signature: bytes, digest: bytes) -> None:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        raise RefusedError(400, "error canonicalizing entry: could not verify envelope") from None

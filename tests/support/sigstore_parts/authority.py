"""The part of Fulcio: a certificate authority that believes what tokens say, and the log of its certificates.

Sources: github.com/sigstore/fulcio, fulcio.proto and docs/oid-info.md; for the log's timestamps, RFC 6962, 3.2 and 3.3.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

GITHUB = "https://token.actions.githubusercontent.com"
TIMESTAMPS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ISSUER, ISSUER_TEXT = (x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}") for number in (1, 8))


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key, as all of Sigstore's services have it."""
    return ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Its public key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def root_of(key: ec.EllipticCurvePrivateKey, name: str) -> x509.Certificate:
    """The certificate of an authority."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        _dated(x509.CertificateBuilder().subject_name(subject).issuer_name(subject), days=365)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(ski, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        .sign(key, SHA256())
    )


def leaf(root: x509.Certificate, subject: x509.Name, key: Any, purpose: x509.ObjectIdentifier) -> Any:
    """What a certificate is built from that an authority issues. Args: key: the public one; purpose: what it is for."""
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(root.subject)
        .public_key(key)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=purpose == ExtendedKeyUsageOID.TIME_STAMPING)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), critical=False)  # type: ignore[arg-type]
    )


def _dated(builder: x509.CertificateBuilder, **lasts: float) -> x509.CertificateBuilder:
    now = datetime.now(UTC).replace(microsecond=0)
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(**lasts))
    return builder.serial_number(x509.random_serial_number())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


class RefusedError(Exception):
    """A service refuses a request. Args: the status and the message of its answer."""


@dataclass
class Authority:
    """Issues certificates.

    Args:
        key: signs them.
        log: the key of their log.
        tokens: the key that tokens are signed with.
        lasts: seconds for which they are valid.
    """

    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    tokens: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    lasts: float = 600.0

    def __post_init__(self) -> None:
        self.root = root_of(self.key, "fulcio")

    def token(self, *, seconds: float = 300.0, **claims: Any) -> str:
        """A token as GitHub gives it to a job. Args: seconds: until it expires; claims: instead of the usual ones."""
        now = datetime.now(UTC)
        usual = {
            "iss": GITHUB,
            "aud": "sigstore",
            "sub": "repo:acme/planets:ref:refs/heads/main",
            "job_workflow_ref": "acme/planets/.github/workflows/publish.yaml@refs/heads/main",
            "iat": now - timedelta(seconds=600),
            "exp": now + timedelta(seconds=seconds),
        }
        return jwt.encode({**usual, **claims}, self.tokens, algorithm="ES256")

    def answer(self, authorization: str, body: bytes) -> dict[str, Any]:
        """The answer to POST /api/v2/signingCert. Raises RefusedError."""
        try:
            key = self.tokens.public_key()
            claims = jwt.decode(authorization.removeprefix("Bearer "), key, algorithms=["ES256"], audience="sigstore")
        except jwt.PyJWTError:
            raise RefusedError(401, "There was an error processing the identity token") from None
        issued = self._certificate(claims, _owned(json.loads(body), claims))
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (issued, self.root)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}

    def _certificate(self, claims: dict[str, Any], key: Any) -> x509.Certificate:
        name: x509.GeneralName = (
            x509.RFC822Name(claims["email"])
            if "email" in claims
            else x509.UniformResourceIdentifier(f"https://github.com/{claims['job_workflow_ref']}")
        )
        issuer = claims["iss"].encode()
        builder = (
            _dated(
                leaf(self.root, x509.Name([]), key, ExtendedKeyUsageOID.CODE_SIGNING),
                seconds=self.lasts,
            )
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(ISSUER, issuer), critical=False)
            # A text in DER.
            .add_extension(x509.UnrecognizedExtension(ISSUER_TEXT, bytes([0x0C, len(issuer)]) + issuer), critical=False)
        )
        stamps = self._timestamps(builder.sign(self.key, SHA256()).tbs_certificate_bytes)
        stamped = builder.add_extension(x509.UnrecognizedExtension(TIMESTAMPS, stamps), critical=False)
        return stamped.sign(self.key, SHA256())

    def _timestamps(self, certificate: bytes) -> bytes:
        """The list with the log's timestamp of a certificate that has none yet, in the DER of an extension."""
        issuer, when = hashlib.sha256(public(self.key)).digest(), int(datetime.now(UTC).timestamp() * 1000)
        entry = issuer + len(certificate).to_bytes(3, "big") + certificate
        signature = self.log.sign(struct.pack("!BBQH", 0, 0, when, 1) + entry + bytes(2), ec.ECDSA(SHA256()))
        stamp = struct.pack("!B32sQH", 0, hashlib.sha256(public(self.log)).digest(), when, 0)
        stamp += struct.pack("!BBH", 4, 3, len(signature)) + signature
        listed = struct.pack("!HH", len(stamp) + 2, len(stamp)) + stamp
        return bytes([0x04, len(listed)]) + listed


def _owned(asked: dict[str, Any], claims: dict[str, Any]) -> Any:
    """The public key of a request, whose owner has signed it, as Python does, or the token's subject, as Go does."""
    if "certificateSigningRequest" in asked:
        request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
        if not request.is_signature_valid:
            raise RefusedError(400, "The signature supplied in the certificate signing request could not be verified")
        return request.public_key()
    key: Any = load_pem_public_key(asked["publicKeyRequest"]["publicKey"]["content"].encode())
    proof = base64.b64decode(asked["publicKeyRequest"]["proofOfPossession"])
    try:
        key.verify(proof, str(claims.get("email", claims["sub"])).encode(), ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise RefusedError(400, "The signature supplied in the request could not be verified") from None
    return key

"""Keys of service accounts, and what is signed with them."""

from __future__ import annotations

import base64
import functools
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from google.auth import crypt, jwt
from tests.support.google.state import CLOUD_PLATFORM, State

MAX_SECONDS = 3600
"""A signed claim may not hold longer."""

_SKEW = 300
"""Seconds by which clocks may differ."""


class WrongJWTError(Exception):
    """A claim that is not believed, in the words of Google's token endpoint."""


@functools.cache
def pair(number: int = 0) -> tuple[str, str]:
    """A private key and its public half, PEM; the same for the same number, as making them takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), public_half(private.decode())


@functools.cache
def certificate(days: int = 1) -> tuple[str, str]:
    """A key, and a certificate for Google's host names that it signs itself, PEM; the same in one process.

    Args:
        days: for which it is valid from now on; below 0 it was, until then.
    """
    private = pair()[0]
    key = serialization.load_pem_private_key(private.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Google of the tests")])
    hosts = [x509.DNSName(host) for host in ("*.googleapis.com", "*.pkg.dev", "localhost")]
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return private, made.public_bytes(serialization.Encoding.PEM).decode()


def public_half(private: str) -> str:
    """The public half of a private key, PEM. Raises ValueError when it is no key."""
    key = serialization.load_pem_private_key(private.encode(), None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return public.decode()


def claims(state: State, token: str) -> dict[str, Any]:
    """What a service account signed, checked but for whom it is meant. Raises WrongJWTError."""
    try:
        header = jwt.decode_header(token)  # type: ignore[no-untyped-call]
        content = jwt.decode(token, verify=False)  # type: ignore[no-untyped-call]
        signed, _, encoded = token.rpartition(".")
        signature = base64.urlsafe_b64decode(encoded + "==")
    except ValueError as error:
        raise WrongJWTError("Invalid JWT: Could not decode JWT.") from error
    account = state.accounts.get(content.get("iss", ""))
    if not account:
        raise WrongJWTError("Invalid grant: account not found")
    public = account.keys.get(header.get("kid", ""))
    if not public or not crypt.RSAVerifier.from_string(public).verify(signed.encode(), signature):  # type: ignore[no-untyped-call]
        raise WrongJWTError("Invalid JWT Signature.")
    now, begun, ends = time.time(), content.get("iat"), content.get("exp")
    fits = isinstance(begun, int) and isinstance(ends, int) and begun - _SKEW <= now < ends + _SKEW
    if not fits or ends - begun > MAX_SECONDS or ends <= begun:
        raise WrongJWTError(
            "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
            "Check your iat and exp values in the JWT claim."
        )
    return dict(content)


def self_signed(state: State, token: str, host: str) -> tuple[str, tuple[str, ...]]:
    """Who a token that a service account signed itself stands for, and its scopes; nobody when it is none."""
    try:
        content = claims(state, token)
    except WrongJWTError:
        return "", ()
    if "scope" in content:
        return content["iss"], tuple(content["scope"].split())
    # Without scopes it is for one API, and for all of that.
    meant = str(content.get("aud", "")).rstrip("/") == f"https://{host}"
    return (content["iss"], (CLOUD_PLATFORM,)) if meant else ("", ())


def holder(state: State, text: str) -> str:
    """The account whose key file this is, with a key that it still has; empty when it is none."""
    try:
        key = json.loads(text)
        public = public_half(key["private_key"])
    except (ValueError, KeyError, TypeError):
        return ""
    account = state.accounts.get(str(key.get("client_email")))
    return account.email if account and public in account.keys.values() and not account.disabled else ""

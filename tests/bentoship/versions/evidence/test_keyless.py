"""Keyless signing, by the real library, against stand-ins for Sigstore's services."""

from __future__ import annotations

import base64
import http.server
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bentoship.errors import RegistryError, SettingsError
from bentoship.versions.evidence import keyless
from bentoship.versions.evidence.keyless import Identity, signer, verifier
from tests.support.servers import answering
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore, sigstore

JOB = Identity(WORKFLOW, GITHUB)
STATEMENT = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "echo", "digest": {"sha256": "0" * 64}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"text": "hello"},
    }
).encode()

KINDS = {"log": (False, 1), "log and clock": (True, 1), "second log and clock": (True, 2)}
"""Whether there is a timestamp authority, and the version of the log: as Sigstore has had them, one after the other."""


@pytest.mark.parametrize("kind", KINDS)
def test_a_statement_is_signed(kind: str, services: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a certificate of whoever has the token; also checked by nothing but the certificate's key."""
    clock, version = KINDS[kind]
    if clock and not shutil.which("openssl"):
        pytest.skip("openssl is missing")
    with sigstore(tmp_path, clock=clock) as found:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", found.authority.token())
        trust = found.trust(version=version)
        first, bundle = (signer(trust).sign(STATEMENT) for _ in range(2))
        assert verifier(JOB, trust).statement(first) == verifier(JOB, trust).statement(bundle) == STATEMENT
        assert (f"/api/v{version}/log/entries" in found.asked, "/api/v1/timestamp" in found.asked) == (True, clock)
    document = json.loads(bundle)
    assert document["mediaType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    envelope, material = document["dsseEnvelope"], document["verificationMaterial"]
    certificate = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]["rawBytes"]))
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signed = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(STATEMENT), STATEMENT)
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ec.ECDSA(SHA256()))


def test_it_is_known_who_has_signed(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """An email address here; several signatures need one certificate."""
    token = services.authority.token(iss="https://accounts.google.com", email="ada@example.com")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    made = signer(services.trust())
    assert made.verifier is None
    bundles = [made.sign(STATEMENT) for _ in range(2)]
    assert made.verifier
    assert made.verifier.identity == Identity("ada@example.com", "https://accounts.google.com")
    assert [made.verifier.statement(one) for one in bundles] == [STATEMENT] * 2
    assert services.asked.count("/api/v2/signingCert") == 1


@pytest.mark.parametrize(
    "other",
    [Identity("ada@example.com", GITHUB), Identity(WORKFLOW, "https://gitlab.com"), Identity(WORKFLOW[:-1], GITHUB)],
)
def test_another_identity_is_refused(other: Identity, services: Sigstore) -> None:
    """Another name, or the same at another provider; the library's words say who it was."""
    bundle = signer(services.trust()).sign(STATEMENT)
    with pytest.raises(ValueError, match="match") as raised:
        verifier(other, services.trust()).statement(bundle)
    assert (WORKFLOW if other.issuer == GITHUB else GITHUB) in str(raised.value)


Change = Callable[[dict[str, Any]], object]


def _entry(bundle: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = bundle["verificationMaterial"]["tlogEntries"][0]
    return found


HEAD = "log\n1\nAAAA\n\n— log AAAAAAAA\n"
FORGERIES: dict[str, Change] = {
    "another statement": lambda one: one["dsseEnvelope"].update(payload=base64.b64encode(b"{}").decode()),
    "another type": lambda one: one["dsseEnvelope"].update(payloadType="text/plain"),
    "another signature": lambda one: one["dsseEnvelope"]["signatures"][0].update(sig="AAAA"),
    "no signature": lambda one: one["dsseEnvelope"].update(signatures=[]),
    "no envelope": lambda one: one.pop("dsseEnvelope"),
    "no certificate": lambda one: one["verificationMaterial"].pop("certificate"),
    "no entry": lambda one: one["verificationMaterial"].update(tlogEntries=[]),
    "another time": lambda one: _entry(one).update(integratedTime="1700000000"),
    "another promise": lambda one: _entry(one)["inclusionPromise"].update(signedEntryTimestamp="AAAA"),
    "another tree": lambda one: _entry(one)["inclusionProof"].update(rootHash=base64.b64encode(bytes(32)).decode()),
    "another head": lambda one: _entry(one)["inclusionProof"]["checkpoint"].update(
        envelope="log\n1\nAAAA\n\n— log AAAA\n"
    ),
    "another entry": lambda one: _entry(one).update(canonicalizedBody="e30="),
}


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_bundle_is_refused(how: str, services: Sigstore) -> None:
    """Whatever part of it is another."""
    document = json.loads(signer(services.trust()).sign(STATEMENT))
    FORGERIES[how](document)
    with pytest.raises(ValueError, match=r"."):
        verifier(JOB, services.trust()).statement(json.dumps(document).encode())


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b"{}"])
def test_what_is_no_bundle_is_refused(content: bytes, services: Sigstore) -> None:
    """Anyone may have put it there."""
    with pytest.raises(ValueError, match=r"."):
        verifier(JOB, services.trust()).statement(content)


def test_other_services_are_not_trusted(services: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of theirs is refused, whoever it says that it is by."""
    with sigstore(tmp_path) as others:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", others.authority.token())
        bundle = signer(others.trust()).sign(STATEMENT)
    with pytest.raises(ValueError, match="certificate"):
        verifier(JOB, services.trust()).statement(bundle)


def test_without_a_token_it_says_how_to_get_one(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """No browser is opened."""
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    with pytest.raises(SettingsError, match="SIGSTORE_ID_TOKEN is not set") as raised:
        signer(services.trust())
    for part in ("id-token: write", "id_tokens:", f"{sys.executable} -m sigstore --trust-config", "get-identity-token"):
        assert part in raised.value.hint


def test_the_command_that_gets_a_token_exists() -> None:
    """The one that the hint names."""
    command = [sys.executable, "-m", "sigstore", "--trust-config", "x", "get-identity-token", "--help"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


BAD_TOKENS: dict[str, tuple[Callable[[Sigstore], str], str]] = {
    "expired": (lambda one: one.authority.token(seconds=-60), "Signature has expired"),
    "for another audience": (lambda one: one.authority.token(aud="somebody"), "Audience doesn't match"),
    "no token": (lambda one: "x", "Not enough segments"),
}


@pytest.mark.parametrize("how", BAD_TOKENS)
def test_a_token_that_cannot_be_used_is_an_error(how: str, services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what is wrong with it, without the token."""
    make, words = BAD_TOKENS[how]
    token = make(services)
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", token)
    with pytest.raises(SettingsError, match=words) as raised:
        signer(services.trust())
    assert "get-identity-token" in raised.value.hint
    assert token == "x" or token not in str(raised.value)
    assert services.asked == []


def test_a_job_of_github_is_asked_for_its_token(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the audience of Sigstore, with the job's own password."""
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    with answering(200, body=json.dumps({"value": services.authority.token()}).encode()) as github:
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"http://{github.host}/token?api-version=2.0")
        monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "password")
        bundle = signer(services.trust()).sign(STATEMENT)
    assert [one["Authorization"] for one in github.asked] == ["bearer password"]
    assert verifier(JOB, services.trust()).statement(bundle) == STATEMENT


def test_a_job_without_the_permission_is_told(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub gives a token only to a job that may have one."""
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", raising=False)
    with pytest.raises(SettingsError, match="insufficient OIDC token permissions") as raised:
        signer(services.trust())
    assert "id-token: write" in raised.value.hint


CERTIFICATES, ENTRIES = "/api/v2/signingCert", "/api/v1/log/entries"
FAILURES = {
    "no certificate": (
        CERTIFICATES,
        403,
        b'{"code": 7, "message": "not from this provider"}',
        "not from this provider",
    ),
    "certificates fail": (CERTIFICATES, 503, b"<h1>Unavailable</h1>", "<h1>Unavailable</h1>"),
    "a certificate that is none": (CERTIFICATES, 200, b"{}", "missing certificate chain"),
    "no entry": (ENTRIES, 400, b'{"code": 400, "message": "entry refused"}', "entry refused"),
    "entries fail": (ENTRIES, 502, b"", "Bad Gateway"),
    "an entry that is none": (ENTRIES, 201, b"[]", "list"),
}


@pytest.mark.parametrize("how", FAILURES)
def test_a_service_that_refuses_is_quoted(how: str, services: Sigstore) -> None:
    """By its own words; what may pass is known to."""
    path, status, body, words = FAILURES[how]
    services.failing[path] = status, body
    with pytest.raises(RegistryError, match="Sign by Sigstore") as raised:
        signer(services.trust()).sign(STATEMENT)
    assert words in raised.value.why
    assert status < 400 or f"{services.address}{path} answered {status}: " in raised.value.why
    assert raised.value.temporary == (status >= 500)


def test_a_token_of_somebody_else_is_refused(
    services: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the authority, in its own words."""
    with sigstore(tmp_path) as others:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", others.authority.token())
    with pytest.raises(RegistryError, match="answered 401: There was an error processing the identity token"):
        signer(services.trust()).sign(STATEMENT)


def test_services_that_are_down_are_named(tmp_path: Path, services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """With where they should be."""
    with sigstore(tmp_path) as others:
        monkeypatch.setenv("SIGSTORE_ID_TOKEN", others.authority.token())
        trust = others.trust()
    with pytest.raises(RegistryError, match="Connection refused") as raised:
        signer(trust).sign(STATEMENT)
    assert f"{others.address}{CERTIFICATES}" in raised.value.why
    assert raised.value.temporary


def test_a_service_that_does_not_answer_is_given_up(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would wait for ever."""
    over = threading.Event()

    class Silent(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            over.wait()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(services, "address", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setattr(keyless, "_PATIENCE", 0.5)
        with pytest.raises(RegistryError, match="no answer within") as raised:
            signer(services.trust()).sign(STATEMENT)
        assert raised.value.temporary
        over.set()
        server.shutdown()


def test_keys_that_cannot_be_fetched_are_an_error(
    services: Sigstore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of Sigstore's public services are fetched each time, here through a proxy that is not there."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for use in (lambda: verifier(JOB, None), lambda: signer(None).sign(STATEMENT)):
        with pytest.raises(RegistryError, match=r"sigstore\.dev: .*Connection refused") as raised:
            use()
        assert raised.value.temporary


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"trustedRoot": {}}'])
def test_a_configuration_that_is_none_is_an_error(content: bytes, services: Sigstore) -> None:
    """For signing as for checking; it names the setting and the file."""
    file = services.folder / "trust.json"
    file.write_bytes(content)
    for use in (lambda: signer(file), lambda: verifier(JOB, file)):
        with pytest.raises(SettingsError, match="Read SIGSTORE_TRUST_CONFIG") as raised:
            use()
        assert str(file) in raised.value.why


def test_without_the_library_it_says_how_to_install_it(services: Sigstore, monkeypatch: pytest.MonkeyPatch) -> None:
    """For signing as for checking."""
    monkeypatch.setitem(sys.modules, "sigstore", None)
    for use in (lambda: signer(None), lambda: verifier(JOB, None)):
        with pytest.raises(SettingsError, match="the package sigstore is not installed") as raised:
            use()
        assert f"`uv pip install --python {sys.executable} sigstore`" in raised.value.hint


def test_the_library_is_imported_only_to_sign() -> None:
    """It takes longer to import than the rest of a publish."""
    code = "import sys, bentoship.publishing.attesting, bentoship.commands.verify; print('sigstore' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

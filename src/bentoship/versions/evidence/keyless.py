"""Keyless signing, by Sigstore: instead of a key, who signs has an identity that an OpenID provider vouches for.

For a token of the provider, a certificate authority (Fulcio) certifies a key that is used for minutes. Each signature
goes into a public log (Rekor), so that it stays valid when the certificate has expired. What comes out is a bundle: a
document with a signed statement, the certificate, and the log's entry (sigstore/protobuf-specs, sigstore_bundle.proto).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.errors import RegistryError, SettingsError, causes, reason
from bentoship.image.document import parse_json
from bentoship.image.keys import STATEMENT_TYPE
from bentoship.system.deadline import within
from bentoship.system.modules import is_installed
from bentoship.system.process import environment
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from sigstore import sign
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken

_TOKEN = "SIGSTORE_ID_TOKEN"  # the variable that cosign reads, and that GitLab's documentation sets
_ISSUER = "1.3.6.1.4.1.57264.1.1"
"""The extension of a certificate that names the provider (sigstore/fulcio, docs/oid-info.md)."""

_PATIENCE = 120.0
"""Seconds for a signature; the library itself would wait for ever for an answer."""

_WORDS = 300
"""Characters of what a service answers that are shown."""

_TEMPORARY = {408, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Identity:
    """Who signs.

    Args:
        name: as the certificate has it, such as an email address, or the address of a workflow.
        issuer: the address of the OpenID provider that vouches for it.
    """

    name: str
    issuer: str

    def __str__(self) -> str:
        return f"{self.name} ({self.issuer})"


class Signer:
    """Signs by an identity. Args: token: proves it; trust: as of `signer`."""

    def __init__(self, token: IdentityToken, trust: Path | None) -> None:
        self._token = token
        self._trust = trust
        self._config: ClientTrustConfig | None = None
        self._session: sign.Signer | None = None
        self.verifier: Verifier | None = None
        """Checks signatures of the same identity; None until there is one, since only a certificate says who it is."""

    def sign(self, statement: bytes) -> bytes:
        """Return a bundle with a statement.

        Raises: RegistryError when a service refuses, or cannot be reached; SettingsError when the services are unknown.
        """
        try:
            return within(_PATIENCE, lambda: self._sign(statement))
        except SettingsError:
            raise
        except Exception as error:  # of the library and of those that it uses, which have no kind in common
            hint = "Run the same again: the image is there, and only what is missing is added."
            raise _failed("Sign by Sigstore", error, hint) from error

    def _sign(self, content: bytes) -> bytes:
        from sigstore import sign
        from sigstore.dsse import Statement

        self._config = self._config or _config(self._trust)
        if not self._session:
            self._session = sign.Signer(self._token, sign.SigningContext.from_trust_config(self._config))
        bundle = self._session.sign_dsse(Statement(content))
        self.verifier = Verifier(_identity(bundle.signing_certificate), self._config)
        return bundle.to_json().encode()


class Verifier:
    """Checks bundles. Args: identity: who has to have signed; config: says which services are trusted."""

    def __init__(self, identity: Identity, config: ClientTrustConfig) -> None:
        from sigstore import verify

        self.identity = identity
        self._policy = verify.policy.Identity(identity=identity.name, issuer=identity.issuer)
        self._verifier = verify.Verifier(trusted_root=config.trusted_root)

    def statement(self, bundle: bytes) -> bytes:
        """Return the statement of a bundle. Raises ValueError when the identity has not signed it, with why."""
        from sigstore.models import Bundle

        try:
            kind, content = self._verifier.verify_dsse(Bundle.from_json(bundle), self._policy)
        except Exception as error:  # as above, and anyone may have made the bundle
            raise ValueError(str(error) or type(error).__name__) from error
        if kind != STATEMENT_TYPE:
            raise ValueError(f"it is of the type {kind}")
        return content


def signer(trust: Path | None) -> Signer:
    """Return what signs by the identity of the current CI job or user.

    Args:
        trust: the file that says where the services are and what they are trusted by; None for Sigstore's public ones.

    Raises: SettingsError when there is no identity, or the library is missing.
    """
    _require()
    from sigstore.oidc import IdentityToken, detect_credential

    doing = "Find the identity to sign by"
    if trust:
        _config(trust)
    try:
        raw = environment(names=[_TOKEN]).get(_TOKEN, "").strip() or detect_credential()
        if not raw:
            why = f"{_TOKEN} is not set, and this is not a CI system that Sigstore knows"
            raise SettingsError(doing, why, _hint(trust))
        return Signer(IdentityToken(raw), trust)
    except SettingsError:
        raise
    except Exception as error:  # as above
        raise SettingsError(doing, _words(error), _hint(trust)) from error


def verifier(identity: Identity, trust: Path | None) -> Verifier:
    """Return what checks bundles. Args: identity: who has to have signed; trust: as of `signer`.

    Raises: SettingsError when the library is missing; RegistryError when Sigstore's keys cannot be fetched.
    """
    _require()
    try:
        return Verifier(identity, within(_PATIENCE, lambda: _config(trust)))
    except SettingsError:
        raise
    except Exception as error:  # as above
        hint = "Its keys are fetched for each check; SIGSTORE_TRUST_CONFIG can name a file that has them."
        raise _failed("Fetch Sigstore's keys", error, hint) from error


def _require() -> None:
    if not is_installed("sigstore"):
        hint = (
            f"Run `uv pip install --python {sys.executable} sigstore`, or name the extra where bentoship is installed "
            "from: bentoship[sigstore]."
        )
        raise SettingsError("Sign or check by Sigstore", "the package sigstore is not installed", hint)


def _config(trust: Path | None) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    if not trust:
        return ClientTrustConfig.production()
    try:
        config = ClientTrustConfig.from_json(trust.read_text("utf-8"))
        _ = config.trusted_root, config.signing_config  # which are read only when they are asked for
    except Exception as error:  # as above
        hint = "It has to be a document of the type application/vnd.dev.sigstore.clienttrustconfig.v0.1+json."
        raise SettingsError("Read SIGSTORE_TRUST_CONFIG", f"{trust}: {reason(error)}", hint) from error
    return config


def _identity(certificate: Certificate) -> Identity:
    """Return who a certificate is of."""
    from cryptography import x509

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (name,) = (one.value.decode() if isinstance(one, x509.OtherName) else str(one.value) for one in names)
    issuer: Any = certificate.extensions.get_extension_for_oid(x509.ObjectIdentifier(_ISSUER)).value
    return Identity(name, issuer.value.decode())


def _hint(trust: Path | None) -> str:
    """Return how to get a token."""
    given = f" --trust-config {trust}" if trust else ""
    return (
        "In GitHub Actions, the job needs `permissions: id-token: write`; in GitLab CI, `id_tokens:` with "
        f"{_TOKEN} for the audience sigstore. Elsewhere, `export {_TOKEN}=$({sys.executable} -m sigstore{given} "
        "get-identity-token)` asks for one in a browser. Without SIGNING=keyless, nothing is signed by Sigstore."
    )


def _failed(doing: str, error: Exception, hint: str = "") -> RegistryError:
    chain = causes(error)
    answer = _first(chain, "response")
    unreachable = answer is None and any(_first(chain, name) is not None for name in ("request", "pool"))
    status = None if answer is None else int(answer.status_code)
    temporary = unreachable or status in _TEMPORARY or isinstance(error, TimeoutError)
    return RegistryError(doing, _words(error), hint, status=status, temporary=temporary)


def _words(error: Exception) -> str:
    """Return what went wrong, in the words of the service if it has any."""
    chain = causes(error)
    # The system's words where there are any; the innermost of others' is about the inside of a library.
    cause = next((one for one in reversed(chain) if isinstance(one, OSError)), chain[min(1, len(chain) - 1)])
    inner = reason(cause)
    if (answer := _first(chain, "response")) is not None:
        try:
            message = str(parse_json(answer.text)["message"])
        except (ValueError, LookupError, TypeError):
            message = answer.text.strip()
        return f"{answer.url} answered {answer.status_code}: {message[:_WORDS] or answer.reason}"
    if (request := _first(chain, "request")) is not None:
        return f"{request.url}: {inner}"
    if (pool := _first(chain, "pool")) is not None:  # of urllib3
        return f"{pool.host}: {inner}"
    own = str(error) or type(error).__name__
    return own if inner in own else f"{own}: {inner}"


def _first(chain: list[BaseException], name: str) -> Any:
    """Return the first value of an attribute that one of some errors has; None without one."""
    values = (getattr(one, name, None) for one in chain)
    return next((value for value in values if value is not None), None)

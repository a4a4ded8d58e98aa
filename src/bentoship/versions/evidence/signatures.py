"""Who signs images and who has to have signed them: a key or an identity, each in the layout that cosign has for it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from bentoship.image.descriptor import Descriptor
from bentoship.stores.registry import RegistryStore
from bentoship.system.values import dataclass
from bentoship.versions.evidence import bundles, cosign, keyless, signing

Check = Callable[[RegistryStore, Descriptor], int]
"""Checks the signature of an image, as `cosign.check` and `bundles.check` do."""


class Signing(Protocol):
    """Signs images and statements; raises StoreError."""

    @property
    def who(self) -> str:
        """Return the identity that has signed; empty where it is a key, and before there is a signature."""

    def sign(self, store: RegistryStore, name: str, image: Descriptor) -> bool:
        """Sign an image unless it is signed already. Args, returns: as of `cosign.sign`."""

    def attest(self, store: RegistryStore, image: Descriptor, contents: Sequence[bytes]) -> None:
        """Add signed statements to those of an image. Args: as of `cosign.attest`."""


@dataclass(frozen=True)
class KeySigning:
    """Signs with a key."""

    signer: signing.Signer
    who = ""

    def sign(self, store: RegistryStore, name: str, image: Descriptor) -> bool:
        """Sign an image, as of Signing."""
        return cosign.sign(store, name, image, self.signer)

    def attest(self, store: RegistryStore, image: Descriptor, contents: Sequence[bytes]) -> None:
        """Add signed statements, as of Signing."""
        cosign.attest(store, image, contents, self.signer)


@dataclass(frozen=True)
class KeylessSigning:
    """Signs by an identity."""

    signer: keyless.Signer

    @property
    def who(self) -> str:
        """Return the identity, as of Signing."""
        return str(self.signer.verifier.identity) if self.signer.verifier else ""

    def sign(self, store: RegistryStore, name: str, image: Descriptor) -> bool:
        """Sign an image, as of Signing."""
        return bundles.sign(store, name, image, self.signer)

    def attest(self, store: RegistryStore, image: Descriptor, contents: Sequence[bytes]) -> None:
        """Add signed statements, as of Signing."""
        bundles.attest(store, image, contents, self.signer)


def signing_by(key: Path | None, *, is_keyless: bool, trust: Path | None) -> Signing | None:
    """Return what signs; None where nothing is to be signed.

    Args:
        key: as of `signing.signer`.
        is_keyless: whether to sign by an identity instead.
        trust: as of `keyless.signer`.

    Raises: SettingsError.
    """
    if is_keyless:
        return KeylessSigning(keyless.signer(trust))
    return KeySigning(signing.signer(key)) if key else None


def is_signed(store: RegistryStore, digest: str, *, is_keyless: bool) -> bool:
    """Return whether an image has a signature by anyone.

    Args:
        store: the repository that has the image.
        digest: of the image.
        is_keyless: whether it is by an identity, and not by a key.

    Raises: StoreError.
    """
    return bundles.is_there(store, digest) if is_keyless else store.digest_of(cosign.tag_of(digest, ".sig")) is not None


def check_by(
    public: Path | None, private: Path | None, *, who: tuple[str, str] | None, trust: Path | None
) -> Check | None:
    """Return what checks the signature of an image; None where it is not to be checked.

    Args:
        public: as of `signing.verifier_of`.
        private: likewise.
        who: the name and the issuer of the identity that has to have signed instead.
        trust: as of `keyless.verifier`.

    Raises: SettingsError; StoreError when Sigstore's keys cannot be fetched.
    """
    if who:
        return functools.partial(bundles.check, verifier=keyless.verifier(keyless.Identity(*who), trust))
    verifier = signing.verifier_of(public, private)
    return functools.partial(cosign.check, verifier=verifier) if verifier else None

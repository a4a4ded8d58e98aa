"""The errors that a user can do something about.

    BentoshipError
    ├── SettingsError           a setting is missing, invalid or misspelt
    ├── InvalidReferenceError   a text is not a valid image name
    ├── BentoError              the Bento cannot be built
    ├── UnsupportedBentoError   the Bento needs a Dockerfile
    ├── BaseImageError          the base system is unavailable or unsuitable
    ├── PackagesError           the Python packages cannot be installed for the platform
    ├── StoreError              an image is missing or damaged
    │   ├── DamagedError        a cached file was damaged and has been removed
    │   └── RegistryError       a registry refused a request or could not be reached
    ├── CloudError              a cloud's API refused a request or could not be reached
    ├── EngineError             Docker's engine could not be reached or refused a request
    ├── ProcessError            a required program is missing or failed
    ├── VerifyError             a published image does not work
    └── NotVerifiedError        a published image cannot be tested on this machine

Each error says what was being done, why it failed (in the failing program's own words), and what to do next.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence


class BentoshipError(Exception):
    """A failure that the user can fix, explained in one to three lines.

    Args:
        doing: what was being done, as an imperative phrase ("Pull python:3.11-slim").
        why: the cause, in the words of the server or program that reported it.
        hint: what to do next; may be empty.
    """

    exit_code = 1
    """The exit code of a task that fails with this error."""

    def __init__(self, doing: str, why: str, hint: str = "") -> None:
        super().__init__(doing, why, hint)
        self.doing = doing
        self.why = " ".join(why.split())  # uv's messages are multi-line trees
        self.hint = hint

    def __str__(self) -> str:
        first = f"{self.doing}: {self.why}" if self.why else self.doing
        return f"{first}\n{self.hint}" if self.hint else first


class SettingsError(BentoshipError):
    """A setting is missing, invalid or misspelt.

    Args:
        mistakes: each mistake separately, where `why` lists them all.
    """

    def __init__(self, doing: str, why: str, hint: str = "", *, mistakes: Sequence[str] = ()) -> None:
        super().__init__(doing, why, hint)
        self.mistakes = mistakes or (self.why,)


class InvalidReferenceError(BentoshipError):
    """A text is not a valid image name."""


class BentoError(BentoshipError):
    """The Bento cannot be built from its sources."""


class UnsupportedBentoError(BentoshipError):
    """The Bento needs something that only a Dockerfile can do."""


class BaseImageError(BentoshipError):
    """The base system is unavailable, or unsuitable for the Bento."""


class PackagesError(BentoshipError):
    """The Python packages cannot be installed for the platform."""


class StoreError(BentoshipError):
    """An image is missing or damaged."""


class DamagedError(StoreError):
    """A cached file was damaged; it has been removed, so the next run rebuilds it."""


class RegistryError(StoreError):
    """A registry refused a request or could not be reached.

    Args:
        status: the HTTP status of the response; None when there was no response.
        temporary: whether the same request may succeed later.
        retry_after: the seconds that the registry asked to wait before retrying; 0 when it did not ask.
        retries: how often at most a retry is worthwhile; None for as long as there is patience.
    """

    def __init__(
        self,
        doing: str,
        why: str,
        hint: str = "",
        *,
        status: int | None = None,
        temporary: bool = False,
        retry_after: float = 0.0,
        retries: int | None = None,
    ) -> None:
        super().__init__(doing, why, hint)
        self.status = status
        self.temporary = temporary
        self.retry_after = retry_after
        self.retries = retries


class CloudError(BentoshipError):
    """A cloud's API refused a request, could not be reached, or no credentials for it were found."""


class EngineError(BentoshipError):
    """Docker's engine could not be reached, refused a request, or failed."""


class ProcessError(BentoshipError):
    """A required program is missing or failed."""


class VerifyError(BentoshipError):
    """A published image does not start, respond or stop as it should."""


class NotVerifiedError(BentoshipError):
    """A published image cannot be tested on this machine; that says nothing about the image."""

    exit_code = 3


def explain(error: Exception) -> str:
    """Return an error in one to three lines: our own as they are, OSErrors with the file and what to do next."""
    # The disk of an engine or of a registry that answered may be on another machine, which `clean` does not reach.
    if isinstance(error, EngineError) or (isinstance(error, RegistryError) and error.status):
        return str(error)
    if isinstance(error, BentoshipError):
        # Whatever else the hint suggests, the disk has to be cleared first.
        return f"{error.doing}: {error.why}\n{_FULL}" if "no space left" in error.why.lower() else str(error)
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}\nThis is a bug in bentoship; BENTOSHIP_DEBUG=1 shows where."
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "")
    return f"{what}\n{hint}" if hint else what


def reason(error: BaseException) -> str:
    """Return why something failed: of an OSError the system's words alone, else the error's own."""
    return getattr(error, "strerror", None) or str(error)


def causes(error: BaseException) -> list[BaseException]:
    """Return an error and its causes, outermost to innermost.

    Some libraries (requests, urllib3, google-auth) pass the cause as an argument of the error; otherwise it is the one
    that Python chains.
    """
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        argument = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        context = None if current.__suppress_context__ else current.__context__
        current = argument or current.__cause__ or context
    return chain


_FULL = "Free up disk space; `invoke clean` removes what can be rebuilt."

_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: "Give your user read and write access, or set XDG_CACHE_HOME to another folder.",
    errno.EROFS: "Set XDG_CACHE_HOME to a writable folder.",
}

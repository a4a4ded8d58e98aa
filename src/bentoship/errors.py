"""Everything that can go wrong and that a user can do something about.

    BentoshipError
    ├── SettingsError           a setting is missing, wrong or misspelt
    ├── InvalidReferenceError   a text is not the name of an image
    ├── BentoError              the Bento cannot be built
    ├── UnsupportedBentoError   the Bento needs a Dockerfile
    ├── BaseImageError          the base system cannot be had
    ├── PackagesError           the Python packages cannot be installed for the platform
    ├── StoreError              an image is not where it should be, or is damaged
    │   ├── DamagedError        what lay in a cache was damaged, and is removed
    │   └── RegistryError       a registry refused, or could not be reached
    ├── CloudError              a cloud's API refused, or could not be reached
    ├── EngineError             Docker's engine cannot be reached, or refused
    ├── ProcessError            a program that is needed is missing, or failed
    ├── VerifyError             a published image does not do what it has to
    └── NotVerifiedError        a published image cannot be tried on this machine

An error says what was being done, why it failed (in the failing program's own words), and what to do next.
"""

import errno
from collections.abc import Sequence


class BentoshipError(Exception):
    """A failure that is the user's to mend, told in one to three lines.

    Args:
        doing: what was being done, as a phrase that "failed" could follow ("pull python:3.11-slim").
        why: the cause, in the words of the server or program that gave it.
        hint: what to do next; may be empty.
    """

    exit_code = 1
    """What a task ends with."""

    def __init__(self, doing: str, why: str, hint: str = "") -> None:
        super().__init__(doing, why, hint)
        self.doing = doing
        self.why = " ".join(why.split())  # uv draws trees
        self.hint = hint

    def __str__(self) -> str:
        first = f"{self.doing}: {self.why}" if self.why else self.doing
        return f"{first}\n{self.hint}" if self.hint else first


class SettingsError(BentoshipError):
    """A setting is missing, wrong or misspelt.

    Args:
        mistakes: each for itself, where `why` lists them.
    """

    def __init__(self, doing: str, why: str, hint: str = "", *, mistakes: Sequence[str] = ()) -> None:
        super().__init__(doing, why, hint)
        self.mistakes = mistakes or (self.why,)


class InvalidReferenceError(BentoshipError):
    """A text is not the name of an image."""


class BentoError(BentoshipError):
    """The Bento cannot be built from its sources."""


class UnsupportedBentoError(BentoshipError):
    """The Bento asks for what only a Dockerfile can do."""


class BaseImageError(BentoshipError):
    """The base system cannot be had, or does not fit the Bento."""


class PackagesError(BentoshipError):
    """The Python packages cannot be installed for the platform."""


class StoreError(BentoshipError):
    """An image is not where it should be, or is damaged."""


class DamagedError(StoreError):
    """What lay in a cache was damaged; it is removed, so that the next run rebuilds it."""


class RegistryError(StoreError):
    """A registry refused, or could not be reached.

    Args:
        status: the HTTP status of the answer; None when there was none.
        temporary: whether the same request may succeed later.
        retry_after: the seconds that the registry asked to wait before it; 0 when it did not.
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
    ) -> None:
        super().__init__(doing, why, hint)
        self.status = status
        self.temporary = temporary
        self.retry_after = retry_after


class CloudError(BentoshipError):
    """A cloud's API refused, or could not be reached, or knows no account of ours."""


class EngineError(BentoshipError):
    """Docker's engine cannot be reached, refused, or failed."""


class ProcessError(BentoshipError):
    """A program that is needed is missing, or failed."""


class VerifyError(BentoshipError):
    """A published image does not start, answer, or end as it has to."""


class NotVerifiedError(BentoshipError):
    """A published image cannot be tried on this machine, which says nothing about the image."""

    exit_code = 3


def explain(error: Exception) -> str:
    """Return a failure in one to three lines: ours as they are, the system's with the file and what to do about it."""
    # The disk of an engine or of a registry that answered may be another machine's, and is not cleaned from here.
    if isinstance(error, EngineError) or (isinstance(error, RegistryError) and error.status):
        return str(error)
    if isinstance(error, BentoshipError):
        # Whatever else may fix such a failure, room has to be made first.
        return f"{error.doing}: {error.why}\n{_FULL}" if "no space left" in error.why.lower() else str(error)
    if not isinstance(error, OSError):
        return f"{type(error).__name__}: {error}\nThis is a fault of bentoship; BENTOSHIP_DEBUG=1 shows where."
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
    hint = _HINTS.get(error.errno or 0, "")
    return f"{what}\n{hint}" if hint else what


def causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it came from, outermost to innermost.

    Libraries hand a cause on among the arguments (requests, urllib3, google-auth); otherwise it is what Python keeps.
    """
    chain: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in chain:
        chain.append(current)
        argument = next((arg for arg in current.args if isinstance(arg, BaseException)), None)
        context = None if current.__suppress_context__ else current.__context__
        current = argument or current.__cause__ or context
    return chain


_FULL = "Make room on the disk; `invoke clean` removes what can be made again."

_HINTS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: "Let your user read and write there, or set XDG_CACHE_HOME to another folder.",
    errno.EROFS: "Set XDG_CACHE_HOME to a folder that can be written.",
}

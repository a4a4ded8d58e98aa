"""Everything that can go wrong and that a user can do something about.

    BentoshipError
    ├── SettingsError        a setting is missing, wrong or misspelt
    ├── InvalidReferenceError   not the name of an image
    ├── BentoError           the Bento cannot be built
    ├── UnsupportedBentoError the Bento needs a Dockerfile
    ├── BaseImageError       the base system cannot be had
    ├── PackagesError        the Python packages cannot be installed for the platform
    ├── StoreError           an image is not where it should be, or is damaged
    │   └── RegistryError    a registry refused, or could not be reached
    └── ProcessError         a program that is needed is missing, or failed

An error says what was being done, why it failed (in the words of whoever said so), and what to do next.
"""


class BentoshipError(Exception):
    """A failure that is the user's to mend, told in one to three lines.

    Args:
        doing: what was being done, as a phrase that "failed" could follow ("pull python:3.11-slim").
        why: the cause, in the words of the server or program that gave it.
        hint: what to do next; may be empty.
    """

    def __init__(self, doing: str, why: str, hint: str = "") -> None:
        super().__init__(doing, why, hint)
        self.doing = doing
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        first = f"{self.doing}: {self.why}" if self.why else self.doing
        return f"{first}\n{self.hint}" if self.hint else first


class SettingsError(BentoshipError):
    """A setting is missing, wrong or misspelt."""


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


class RegistryError(StoreError):
    """A registry refused, or could not be reached.

    Args:
        status: the HTTP status of the answer; None when there was none.
        codes: the error codes that the registry gave (OCI distribution spec, "Error Codes").
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
        codes: tuple[str, ...] = (),
        temporary: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(doing, why, hint)
        self.status = status
        self.codes = codes
        self.temporary = temporary
        self.retry_after = retry_after


class ProcessError(BentoshipError):
    """A program that is needed is missing, or failed."""

"""Addresses without what must neither be printed nor packed."""

import hashlib
import re
from collections.abc import Mapping

_USER_INFO = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://) (?P<user>[^\s/?#:@'"`<>]*) (?::[^\s/?#'"`<>]*)? @""",
    re.IGNORECASE | re.VERBOSE,
)


def without_user_info(text: str) -> str:
    """Return a text without users and passwords in its URLs; an SSH URL keeps its user, who is part of the address."""
    return _USER_INFO.sub(_address, text)


def _address(match: re.Match[str]) -> str:
    keeps_user = match["scheme"].lower().endswith("ssh://") and match["user"]
    return f"{match['scheme']}{match['user']}@" if keeps_user else match["scheme"]


def with_variables(text: str) -> tuple[str, Mapping[str, str]]:
    """Return a text with a variable in place of the user and the password of each URL, and the values of these.

    A URL that refers to a variable itself stays as it is, and so does one of SSH. The name of a variable depends on the
    rest of the URL, and not on the password.
    """
    values: dict[str, str] = {}

    def replaced(match: re.Match[str]) -> str:
        user_info = match[0].removeprefix(match["scheme"]).removesuffix("@")
        if "${" in user_info or match["scheme"].lower().endswith("ssh://"):
            return match[0]
        rest = re.split(r"""[\s'"`<>]""", text[match.end() :], maxsplit=1)[0]
        name = f"BENTOSHIP_URL_{hashlib.sha256(rest.encode()).hexdigest()[:12].upper()}"
        values.setdefault(name, user_info)
        return f"{match['scheme']}${{{name}}}@"

    return _USER_INFO.sub(replaced, text), values


def without_passwords(text: str) -> str:
    """Return a text without users and passwords in its URLs, but with the variables that stand for them."""
    return _USER_INFO.sub(lambda match: match[0] if "${" in match[0] else _address(match), text)

"""Addresses without what must neither be printed nor packed."""

import re

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

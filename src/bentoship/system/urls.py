"""Addresses without what must neither be printed nor packed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from urllib.parse import unquote

_USER_INFO = re.compile(
    r"""(?P<scheme>[a-z][a-z0-9+.-]*://) (?P<user>[^\s/?#:@'"`<>]*) (?::[^\s/?#'"`<>]*)?
    @ (?!sha256:[0-9a-f]{64}(?![\w@]))""",  # which is the digest of an image: bentoship://NAME@sha256:…
    re.IGNORECASE | re.VERBOSE,
)

_END = r"""[\s'"`<>]"""
_QUERY = re.compile(r"""[?#][^\s#'"`<>]*""")
"""What follows the path of a URL, and its fragment, each with its mark. Libraries also print it without the scheme."""

_AND = re.compile(r"(&amp;|\\u0026|&)")  # the first as HTML has it, the second as Go's JSON does
_PUNCTUATION = ").,:;!]"
"""What ends a sentence rather than a URL."""

_SECRET = re.compile(
    r"(?:.*(?:token|secret|passw(?:or)?d|passphrase|signature|credentials?|(?:api|access|private|subscription)[_-]?key)"
    r"|(?:.*[_.-])?(?:sig|auth|authorization|pass|pwd|pw|jwt)|AWSAccessKeyId)=.+"
    r"|key=[\w-]{20,}",
    re.IGNORECASE | re.DOTALL,
)
"""A parameter that gives access; "key" is also what a store calls a file."""

_SIGNATURE = re.compile(r"(?:sig|.*signature)=.+", re.IGNORECASE | re.DOTALL)
_SIGNED = re.compile(
    r"(?:X-Amz-.*|X-Goog-.*|GoogleAccessId|Key-Pair-Id|Policy|Expires"
    r"|s[ierstvp]|ss|srt|spr|sip|sdd|sks|skv|skt|ske|skoid|sktid|saoid|suoid|scid|ses)=.*",
    re.IGNORECASE | re.DOTALL,
)
"""What belongs to a signature and changes with it: of Amazon, Google, CloudFront and Azure (a SAS)."""


def without_secrets(text: str) -> str:
    """Return a text without users, passwords, tokens and signatures in its URLs.

    An SSH URL keeps its user, who is part of the address.
    """
    if not any(mark in text for mark in "@?#"):
        return text
    return _QUERY.sub(_without_parameters, _USER_INFO.sub(_address, text))


def without_passwords(text: str) -> str:
    """Return a text without the secrets in its URLs, but with the variables that stand for them."""
    text = _USER_INFO.sub(lambda match: match[0] if "${" in match[0] else _address(match), text)
    return _QUERY.sub(lambda match: _without_parameters(match, keep="${"), text)


def with_variables(text: str) -> tuple[str, Mapping[str, str]]:
    """Return a text with a variable in place of each secret in its URLs, and the values of these.

    A URL that refers to a variable itself stays as it is, and so does one of SSH. The name of a variable depends on the
    rest of the URL, and not on the secret.
    """
    values: dict[str, str] = {}

    def variable(rest: str, name: str, value: str) -> str:
        digest = hashlib.sha256(without_secrets(rest).encode()).hexdigest()[:12]
        name = f"BENTOSHIP_URL_{digest}{name}".upper()
        values.setdefault(name, value)
        return f"${{{name}}}"

    def user_replaced(match: re.Match[str]) -> str:
        user_info = match[0].removeprefix(match["scheme"]).removesuffix("@")
        if "${" in user_info or match["scheme"].lower().endswith("ssh://"):
            return match[0]
        rest = re.split(_END, match.string[match.end() :], maxsplit=1)[0]
        return f"{match['scheme']}{variable(rest, '', user_info)}@"

    def query_replaced(match: re.Match[str]) -> str:
        before = re.split(_END, match.string[: match.start()])[-1]
        query, parts = _parts(match)
        secrets = _secrets_in(parts[::2]) if "://" in before else []
        rest = f"{without_secrets(before).partition('://')[2]}{match[0]}"
        for number, one in enumerate(parts):
            name, _, value = one.partition("=")
            if one in secrets and "${" not in value:
                suffix = re.sub(r"\W", "_", unquote(name), flags=re.ASCII)
                parts[number] = f"{name}={variable(rest, f'_{suffix}', value)}"
        return f"{query[0]}{''.join(parts)}{match[0][len(query) :]}"

    return _QUERY.sub(query_replaced, _USER_INFO.sub(user_replaced, text)), values


def _address(match: re.Match[str]) -> str:
    keeps_user = match["scheme"].lower().endswith("ssh://") and match["user"]
    return f"{match['scheme']}{match['user']}@" if keeps_user else match["scheme"]


def _parts(match: re.Match[str]) -> tuple[str, list[str]]:
    """Return a query without punctuation at its end; and its parameters, with what separates them in between."""
    query = match[0][0] + match[0][1:].rstrip(_PUNCTUATION)
    return query, _AND.split(query[1:])


def _secrets_in(parameters: Iterable[str]) -> list[str]:
    """Return those parameters ("NAME=VALUE") of a query that must not be shown."""
    plain = {one: f"{unquote(one.partition('=')[0])}={one.partition('=')[2]}" for one in parameters if "=" in one}
    is_signed = any(map(_SIGNATURE.fullmatch, plain.values()))
    return [one for one, text in plain.items() if _SECRET.fullmatch(text) or (is_signed and _SIGNED.fullmatch(text))]


def _without_parameters(match: re.Match[str], *, keep: str = "\n") -> str:
    """Return a query without its secrets. Args: match: of it; keep: what stands in those that may stay."""
    query, parts = _parts(match)
    secrets = [one for one in _secrets_in(parts[::2]) if keep not in one]
    if not secrets:
        return match[0]
    kept = "".join(parts[1:2]).join(one for one in parts[::2] if one not in secrets)
    return (f"{query[0]}{kept}" if kept else "") + match[0][len(query) :]

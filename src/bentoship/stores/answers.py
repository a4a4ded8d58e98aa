"""Errors from a registry's responses, in its own words, with what to do next (OCI distribution spec, "Error Codes")."""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import responses

import urllib3

from bentoship.errors import RegistryError
from bentoship.image.document import parse_json
from bentoship.stores.credentials import Credentials

TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses after which the same request may succeed; those from 520 on are of networks that deliver content."""

DOUBTS = 3
"""How often to try again what is refused because of an accident on the way, or for good: that cannot be seen."""

_DOUBTFUL_CODES = frozenset(
    {"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "MANIFEST_BLOB_UNKNOWN", "DIGEST_INVALID", "SIZE_INVALID"}
)
"""The registry lost an upload, does not see a blob yet that someone else may be pushing at the same time, or got
something other than what was sent: what we send is checked before its last byte leaves."""

TAG_TAKEN = "The tag belongs to another image and cannot be moved; leave it out: IMAGE_TAGS={version},{commit}"
"""The hint for a tag that cannot be moved; the tags {version} and {commit} are new for each image."""

_MAX_BODY = 64 << 10
_MAX_LINE = 300


def refusal(doing: str, host: str, response: urllib3.BaseHTTPResponse, account: Credentials | None) -> RegistryError:
    """Return the error for a response with an error status.

    Args:
        doing: what was being done.
        host: the registry's host, with its port.
        response: its response; the body is read and the connection closed.
        account: the account used; None for an anonymous request.
    """
    try:
        body = response.read(_MAX_BODY)
    except urllib3.exceptions.HTTPError:
        body = b""
    finally:
        response.close()
    message, codes = _parsed(body.decode("utf-8", "replace"))
    doubtful = not _DOUBTFUL_CODES.isdisjoint(codes)
    status = f"HTTP {response.status} {responses.get(response.status, '')}".strip()
    return RegistryError(
        doing,
        f"{message} ({status})" if message else f"{host} responded with {status}",
        _hint(response.status, codes, message, host, account),
        status=response.status,
        temporary=not _is_full(message) and (response.status in TEMPORARY or doubtful),
        retry_after=_seconds(response.headers.get("Retry-After", "")),
        retries=DOUBTS if doubtful else None,
    )


def _parsed(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the message of an error response on one line, and its error codes."""
    try:
        document = parse_json(text)
    except ValueError:
        # Proxies respond with HTML pages, of which the text is enough.
        return _line(re.sub(r"(?s)<(title|style|script)\b.*?</\1>|<[^>]*>", " ", text)), ()
    if not isinstance(document, dict):
        return _line(text), ()
    errors = document.get("errors")
    if isinstance(errors, list) and errors and all(isinstance(error, dict) for error in errors):
        codes = tuple(str(error.get("code", "")) for error in errors)
        return _line("; ".join(_error_words(error) for error in errors)), codes
    # The fields that token servers and proxies use instead (RFC 6749, 5.2).
    messages = (document.get(key) for key in ("error_description", "message", "details", "error"))
    return _line(next((message for message in messages if isinstance(message, str)), text)), ()


def _error_words(error: dict[str, object]) -> str:
    """Return one error as text: its code, its message, and its detail where that adds to them."""
    code, message, detail = (error.get(key) or "" for key in ("code", "message", "detail"))
    if not isinstance(detail, str):
        # The detail mostly repeats the request, except for errors without a code of their own.
        detail = json.dumps(detail, ensure_ascii=False) if code == "UNKNOWN" else ""
    return ": ".join(str(part) for part in (code, message, detail) if part)


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_LINE else f"{line[:_MAX_LINE]}…"


def _hint(status: int, codes: tuple[str, ...], message: str, host: str, account: Credentials | None) -> str:
    lower = message.lower()
    if "http request to an https server" in lower or "plain http request was sent to https" in lower:
        return f"{host} speaks TLS, not HTTP: use https://{host}/… as the registry."
    if status in (401, 403):
        if not account:
            return f"No credentials for {host} were found. Log in: docker login {host}"
        if status == 403 and account.rights:
            return account.rights
        login = account.login or f"If that account has the permission, log in again: docker login {host}"
        return f"The account used is {account.account}. {login}"
    if "immutab" in lower:
        return TAG_TAKEN
    if status == 404 and "NAME_UNKNOWN" in codes:
        return "There is no such repository. Check the name; some registries require creating it first."
    if status == 404 and "MANIFEST_UNKNOWN" in codes:
        return "There is no such tag or digest in the repository."
    if _is_full(message):
        return "The registry's disk is full: free up space there."
    if status == 413:
        return "The registry, or a proxy in front of it, limits the size of uploads: raise that limit."
    if status == 429:
        return "The registry limits the rate of requests: wait a while, or log in for a higher limit."
    return "The registry reported an internal error: try again later." if status in TEMPORARY else ""


def _is_full(message: str) -> bool:
    """Return whether the registry ran out of disk space; some report only the error number (ENOSPC)."""
    return bool(re.search(r'(?i)no space left|"err":\s*28\b', message))


def _seconds(retry_after: str) -> float:
    """Return the seconds to wait by a Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3)."""
    if retry_after.isdecimal():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0

"""Secrets in what a Bento packs: found in the contents of files, by the rules of detect-secrets and a few more."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pathspec import PathSpec

from bentoship.bento import secret_forms
from bentoship.bento.content import image_files
from bentoship.bento.packing import SECRETS_IGNORED, spec_of
from bentoship.bento.values import BuildContext, Env
from bentoship.bento.versions import installed_version
from bentoship.errors import BentoError
from bentoship.image.document import parse_json
from bentoship.system import records
from bentoship.system.values import dataclass

_INLINE = "pragma: allowlist secret"
"""The comment that allows a line, as in detect-secrets (detect_secrets/filters/allowlist.py)."""

# These rules are left out: they take longer than all others together, or match what is no secret.
_LEFT_OUT = frozenset(
    {
        "Artifactory Credentials", "Cloudant Credentials", "IBM Cloud IAM Key", "IBM COS HMAC Credentials",
        "Public IP (ipv4)", "SoftLayer Credentials",
    }
)  # fmt: skip

_BASIC_AUTH = "Basic Auth Credentials"

_LONG = 4000
"""Characters. A longer line is searched in pieces, since some rules take the square of its length."""

_MOST_BINARY = 4 << 20
"""Bytes of a binary file that are searched."""

_DER = ("*.der", "*.key", "*.p8", "*.pk8")
"""The names of files that may be a private key in DER."""

_OVERLAP = 400
"""Characters that two pieces of a line have in common; longer than what a rule needs to see."""


@dataclass(frozen=True)
class Finding:
    """A secret that was found, without the secret.

    Args:
        file: the path of the file in the Bento's sources.
        line: its number, from 1; 0 for the whole file.
        kind: what it is, such as "Private Key".
    """

    file: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.kind}" if self.line else f"{self.file}: {self.kind}"


@dataclass(frozen=True)
class _Rule:
    kind: str
    pattern: re.Pattern[str]
    names: PathSpec[Any] | None

    def applies_to(self, name: str) -> bool:
        return self.names is None or self.names.match_file(name)


class Scanner:
    """Searches what Bentos of a project pack for secrets.

    Args:
        context: what they are built from.
    """

    def __init__(self, context: BuildContext) -> None:
        self._allowed = spec_of([*context.secrets_allowed, *_lines_of(context.folder / SECRETS_IGNORED)])
        self._stores = spec_of(list(secret_forms.KEY_STORES))
        self._der = spec_of(list(_DER))
        self._rules = [
            *_library_rules(context.records),
            *(_Rule(k, re.compile(p), spec_of(n.split()) if n else None) for k, p, n in secret_forms.RULES),
        ]

    def refuse(self, bento: Path, envs: Iterable[Env], named: Mapping[str, Mapping[str, str]]) -> None:
        """Raise BentoError if there is a secret in what an image gets from a Bento, or in what has a name there.

        Args:
            bento: the Bento's folder.
            envs: the variables that the image will have.
            named: its labels and arguments, by what they are called.
        """
        found = [
            finding
            for name, content in image_files(bento, version="").items()
            for finding in self.search(name.removeprefix("src/"), content)
        ]
        found += [one for env in envs for one in self._in_value("variable", env.name, env.value)]
        found += [
            one
            for what, values in named.items()
            for name, value in values.items()
            for one in self._in_value(what, name, value)
        ]
        _raise(found)

    def refuse_files(self, files: Mapping[str, Path]) -> None:
        """Raise BentoError if there is a secret in a file. Args: files: by their names in the project."""
        _raise([finding for name, file in files.items() for finding in self.search(name, file)])

    def refuse_metadata(self, files: Mapping[str, bytes], values: Mapping[str, Mapping[str, object]]) -> None:
        """Raise BentoError if there is a secret in what an image says of itself.

        Args:
            files: what it is read from, by their names in the project.
            values: what it says, by their names, by those of their files; a list may be there as its JSON.
        """
        found = [finding for name, content in files.items() for finding in self.search(name, content)]
        for file, texts in values.items():
            if found or self._allowed.match_file(file):
                continue
            allowed = [line for line in files[file].decode("utf-8", "replace").splitlines() if _INLINE in line]
            for name, value in _leaves(texts.items()):
                if not any(value in line for line in allowed):
                    found += [replace(one, file=f"{file}: {one.file}") for one in self._in_value("value", name, value)]
        _raise(found, _HINT_OF_METADATA)

    def search(self, name: str, content: Path | bytes) -> list[Finding]:
        """Return what is found in a file. Of a binary file, only what has a fixed form.

        Args:
            name: its path in the project.
            content: where it is, or what is in it.
        """
        if self._allowed.match_file(name):
            return []
        if self._stores.match_file(name):
            return [Finding(name, 0, "key store")]
        data = content if isinstance(content, bytes) else content.read_bytes()
        text = _text(data)
        found = {Finding(name, 0, kind) for kind in self._in_binary(name, data, is_binary=text is None)}
        rules = [rule for rule in self._rules if rule.applies_to(name)]
        found |= {Finding(name, line, kind) for line, kind in _matches(rules, text or "")}
        return sorted(found, key=lambda finding: (finding.line, finding.kind))

    def _in_binary(self, name: str, data: bytes, *, is_binary: bool) -> Iterator[str]:
        """Yield the kinds of secrets in a binary file: fixed forms, keys, and the names in an archive.

        Args:
            name: as for `search`.
            data: what is in it. A key in DER and an archive may look like a text.
            is_binary: whether it is none for certain.
        """
        if secret_forms.MODELS.match_file(name):
            return
        if self._der.match_file(name) and secret_forms.is_der_key(data):
            yield "Private Key"
        yield from (f"an archive with {member}" for member in secret_forms.secrets_in_archive(data))
        if is_binary:
            text = data[:_MOST_BINARY].decode("latin-1")
            yield from (kind for _, kind in _matches([r for r in self._rules if r.kind in secret_forms.FIXED], text))
            yield from ["Private Key"] if secret_forms.PEM_KEY.search(text) else []

    def _in_value(self, what: str, name: str, value: str) -> Iterator[Finding]:
        """Yield what is found in a value that has a name. Args: what: it is called."""
        if not value or secret_forms.is_placeholder(value):
            return
        if kinds := [finding.kind for finding in self.search("", value.encode())]:
            yield Finding(f"the {what} {name}", 0, kinds[0])
        elif secret_forms.is_secret(name, value):
            yield Finding(f"the {what} {name}", 0, "a value under the name of a secret")


_HINT_OF_FILES = (
    "Everyone who can pull the image could read it. Leave the file out (`exclude` or .bentoignore), or set the "
    "variable when the container starts."
)
_HINT_OF_METADATA = (
    "Everyone who can pull the image could read it, as what the file says is published with the image. Put the secret "
    "into a variable."
)


def _raise(found: Sequence[Finding], hint: str = _HINT_OF_FILES) -> None:
    if found:
        shown = "; ".join(map(str, found[:5])) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        otherwise = (
            f"If it is no secret, name the file in SECRETS_ALLOWED or in {SECRETS_IGNORED}, or end the line with "
            f"`# {_INLINE}`."
        )
        raise BentoError("Check for secrets", f"the image would hold {shown}", f"{hint}\n{otherwise}")


def _leaves(values: Iterable[tuple[str, object]]) -> Iterator[tuple[str, str]]:
    """Yield the texts and numbers among values, and in their lists, as texts by their names.

    Numbers under the name of a token are left out: they count tokens, or name one of a vocabulary.
    """
    found = [*values]
    while found:
        name, value = found.pop()
        inner = _listed(value)
        if isinstance(inner, Mapping):
            found += [(f"{name}.{key}", one) for key, one in inner.items()]
        elif isinstance(inner, Iterable) and not isinstance(inner, str | bytes):
            found += [(name, one) for one in inner]
        elif isinstance(inner, str) or not (isinstance(inner, bool | None) or "token" in name.lower()):
            yield name, str(inner)


def _listed(value: object) -> object:
    """Return a value, or the list that it is the JSON of."""
    if isinstance(value, str) and value.startswith("["):
        with suppress(ValueError):
            return parse_json(value)
    return value


def _library_rules(kept: Path) -> list[_Rule]:
    """Return the rules of the installed detect-secrets that search for the form of a secret, not for random text."""
    file = kept / "rules" / f"detect-secrets-{installed_version('detect_secrets')}.json"
    found = records.read_as(file, _rules)
    if not found:
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class
        from detect_secrets.plugins.base import RegexBasedDetector

        detectors: Mapping[str, Any] = get_mapping_from_secret_type_to_class()
        patterns = [
            [kind, pattern.pattern, pattern.flags & ~re.UNICODE]
            for kind, detector in sorted(detectors.items())
            if issubclass(detector, RegexBasedDetector) and kind not in _LEFT_OUT
            for pattern in detector.denylist
        ]
        records.keep(file, patterns)
        found = _rules(patterns)
    return found


def _rules(patterns: Iterable[Sequence[Any]]) -> list[_Rule]:
    return [_Rule(kind, re.compile(pattern, flags), None) for kind, pattern, flags in patterns]


def _is_harmless(rule: _Rule, match: re.Match[str]) -> bool:
    """Return whether a match is a placeholder, or is allowed by a comment in its line."""
    end = match.string.find("\n", match.end())
    line = match.string[match.string.rfind("\n", 0, _start(match)) + 1 : end if end >= 0 else None]
    if _INLINE in line:
        return True
    value = match[1] if rule.kind == _BASIC_AUTH else match.groupdict().get("value") or ""
    return secret_forms.is_placeholder(value.partition(" #")[0].strip(" \t'\""))


def _matches(rules: Sequence[_Rule], text: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the kind of what is found in a text."""
    for first, piece in _pieces(text):
        for rule in rules:
            for match in rule.pattern.finditer(piece):
                if not _is_harmless(rule, match):
                    yield first + piece.count("\n", 0, _start(match)), rule.kind


def _start(match: re.Match[str]) -> int:
    return match.start("at" if "at" in match.re.groupindex else 0)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield the pieces in which a text is searched, each with the number of its first line."""
    if max(map(len, text.split("\n"))) <= _LONG:
        yield 1, text
        return
    for number, line in enumerate(text.split("\n"), 1):
        for start in range(0, max(len(line), 1), _LONG - _OVERLAP):
            yield number, line[start : start + _LONG]


def _text(content: bytes) -> str | None:
    """Return the text of a file, in whichever encoding; None for a binary file."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    head = content[:8192]
    if b"\0" not in head:
        return content.decode("latin-1")
    for encoding, zeros, others in (("utf-16-le", head[1::2], head[::2]), ("utf-16-be", head[::2], head[1::2])):
        if zeros.count(0) > 0.8 * len(zeros) and not others.count(0):
            return content.decode(encoding, errors="replace")
    return None


def _lines_of(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []

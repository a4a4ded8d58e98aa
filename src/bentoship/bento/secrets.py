"""Secrets in what a Bento packs: found in the contents of files, by the rules of detect-secrets and a few more."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import PathSpec

from bentoship.bento.content import image_files
from bentoship.bento.packing import SECRETS_IGNORED, spec_of
from bentoship.bento.values import BuildContext, Env
from bentoship.bento.versions import installed_version
from bentoship.errors import BentoError
from bentoship.system import records

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

# What detect-secrets 1.5 lacks: the kind, what matches, and the names of the files in which it does.
_MORE = (
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{30,}", ""),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}", ""),
    ("Google refresh token", r'"refresh_token"\s*:\s*"[^"]{16,}"', ""),
    ("GitHub Token", r"\bgithub_pat_[A-Za-z0-9_]{50,}", ""),
    ("Anthropic API key", r"\bsk-ant-[A-Za-z0-9_-]{20,}", ""),
    ("OpenAI Token", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,}", ""),
    ("Vault token", r"\bhv[sbr]\.[A-Za-z0-9_-]{20,}", ""),
    ("AWS Access Key", r"(?i)\baws_secret_access_key\s*[=:]\s*['\"]?[0-9a-z/+]{40}(?![0-9a-z/+])", ""),
    ("Private Key", r"BEGIN ENCRYPTED PRIVATE KEY|BEGIN PRIVATE KEY BLOCK", ""),
    ("npm credentials", r"(?m)^(?:.*:)?_(?:authToken|auth|password)[ \t]*=[ \t]*(?!\$\{)\S{8,}", ".npmrc"),
    ("password hash", r"(?m)^[^:\s]+:(?:\$[0-9a-z]+\$|\{[A-Z0-9]+\})\S+", "*htpasswd*"),
    ("Docker login", r'"(?:auth|identitytoken)"\s*:\s*"[^"]{8,}"', ".dockercfg *docker*.json config.json"),
    ("Kubernetes credentials", r"(?m)^\s*(?:- )?(?:client-key-data|token|password):[ \t]*\S{8,}", "*kubeconfig*"),
    ("Vault token", r"\A\s*\S{20,}\s*\Z", ".vault-token"),
    ("PostgreSQL password", r"(?m)^[^#\s:][^:]*:[^:]*:[^:]*:[^:]*:\S+", ".pgpass"),
    (
        "secret variable",
        r"(?im)^\s*(?:export\s+)?\w*(?:passw(?:or)?d|secret|token|api_?key|access_?key|private_?key|credentials?)(?:_\w+)?"
        r"[ \t]*=[ \t]*['\"]?(?![$<{'\"\s#])\S{4,}",
        "*.env .envrc",
    ),
    (
        "Terraform secret",
        r'(?i)"\w*(?:password|secret|token|private_?key|access_?key)\w*"\s*:\s*"[^"]{4,}"',
        "*.tfstate *.tfstate.* *.tfvars.json",
    ),
)  # fmt: skip

_KEY_STORES = ("*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.ppk")
"""The names of files that hold private keys in a binary form."""

_SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:passw(?:or)?d|secret|token|api_?key|access_?key|private_?key|credentials)(?:_|$)"
)

_PLACEHOLDER = re.compile(r"(?i)[<{$%*].*|\\?\*+|x+|\.+|pass|passwd|password|secret|token|pw|pwd|your\S*|changeme")

_LONG = 4000
"""Characters. A longer line is searched in pieces, since some rules take the square of its length."""

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
        self._stores = spec_of(list(_KEY_STORES))
        self._rules = [
            *_library_rules(context.records),
            *(_Rule(k, re.compile(p), spec_of(n.split()) if n else None) for k, p, n in _MORE),
        ]

    def refuse(self, bento: Path, envs: Iterable[Env]) -> None:
        """Raise BentoError if there is a secret in what an image gets from a Bento, or in its variables.

        Args:
            bento: the Bento's folder.
            envs: the variables that the image will have.
        """
        found = [
            finding
            for name, content in image_files(bento, version="").items()
            for finding in self.search(name.removeprefix("src/"), content)
        ]
        _raise([*found, *self._in_variables(envs)])

    def refuse_files(self, files: Mapping[str, Path]) -> None:
        """Raise BentoError if there is a secret in a file. Args: files: by their names in the project."""
        _raise([finding for name, file in files.items() for finding in self.search(name, file)])

    def search(self, name: str, content: Path | bytes) -> list[Finding]:
        """Return what is found in a file. Binary files are not searched, but known by their names.

        Args:
            name: its path in the project.
            content: where it is, or what is in it.
        """
        if self._allowed.match_file(name):
            return []
        if self._stores.match_file(name):
            return [Finding(name, 0, "key store")]
        text = _text(content if isinstance(content, bytes) else content.read_bytes())
        rules = [rule for rule in self._rules if rule.applies_to(name)]
        found = {
            Finding(name, first + piece.count("\n", 0, match.start()), rule.kind)
            for first, piece in _pieces(text)
            for rule in rules
            for match in rule.pattern.finditer(piece)
            if not _is_harmless(rule, match)
        }
        return sorted(found, key=lambda finding: (finding.line, finding.kind))

    def _in_variables(self, envs: Iterable[Env]) -> Iterator[Finding]:
        for env in envs:
            if not env.value or _PLACEHOLDER.fullmatch(env.value):
                continue
            if kinds := [finding.kind for finding in self.search("", env.value.encode())]:
                yield Finding(f"the variable {env.name}", 0, kinds[0])
            elif _SECRET_NAME.search(env.name):
                yield Finding(f"the variable {env.name}", 0, "a value under the name of a secret")


def _raise(found: Sequence[Finding]) -> None:
    if found:
        shown = "; ".join(map(str, found[:5])) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        hint = (
            "Everyone who can pull the image could read it. Leave the file out (`exclude` or .bentoignore), or set the "
            "variable when the container starts.\nIf it is no secret, name the file in "
            f"SECRETS_ALLOWED or in {SECRETS_IGNORED}, or end the line with `# {_INLINE}`."
        )
        raise BentoError("Check for secrets", f"the image would hold {shown}", hint)


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
    line = match.string[match.string.rfind("\n", 0, match.start()) + 1 : end if end >= 0 else None]
    if _INLINE in line:
        return True
    return rule.kind == _BASIC_AUTH and bool(_PLACEHOLDER.fullmatch(match[1]))


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """Yield the pieces in which a text is searched, each with the number of its first line."""
    if max(map(len, text.split("\n"))) <= _LONG:
        yield 1, text
        return
    for number, line in enumerate(text.split("\n"), 1):
        for start in range(0, max(len(line), 1), _LONG - _OVERLAP):
            yield number, line[start : start + _LONG]


def _text(content: bytes) -> str:
    """Return the text of a file, in whichever encoding; empty for a binary file."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", errors="replace")
    return "" if b"\0" in content[:8192] else content.decode("latin-1")


def _lines_of(file: Path) -> list[str]:
    return file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []

"""Addresses of images in YAML and JSON, bentoship://NAME[:TAG], and replacing them in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import yaml

from bentoship.errors import BentoshipError
from bentoship.image.document import parse_json
from bentoship.system.values import dataclass

SCHEME = "bentoship://"

_JSON_TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
_BOM = "\ufeff"
_MAX_DEPTH = 500
_OPENING = (
    yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken,
)  # fmt: skip
_CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)


@dataclass(frozen=True)
class Address:
    """An address in a text.

    Args:
        value: the address, with the scheme.
        start, end: where it is in the text, in characters, without any quotes.
        is_plain: whether it is a plain scalar of YAML: neither quoted nor a block.
        line: its line, counted from 1.
    """

    value: str
    start: int
    end: int
    is_plain: bool
    line: int

    @property
    def image(self) -> str:
        """Return the name of the image, with its tag or digest if it has one."""
        return self.value.removeprefix(SCHEME)


def find(text: str, name: str) -> list[Address]:
    """Return the addresses in a text, in order: every value that begins with the scheme.

    Args:
        text: JSON, or YAML of any number of documents.
        name: the name of the file, for errors.

    Raises: BentoshipError when it is neither.
    """
    if SCHEME not in text:
        return []
    return [Address(*found, line=text.count("\n", 0, found[1]) + 1) for found in _values(text, name)]


def replaced(text: str, found: Sequence[Address], by: Mapping[str, str]) -> str:
    """Return a text with its addresses replaced.

    Args:
        text: the text.
        found: its addresses, in order.
        by: the replacements, by the addresses' values.
    """
    parts, last = [], 0
    for one in found:
        value = by[one.value]
        # The host of [::1]:5000/image would begin a list.
        value = f'"{value}"' if one.is_plain and value.startswith("[") else value
        parts += [text[last : one.start], value]
        last = one.end
    return "".join([*parts, text[last:]])


def joined(texts: Sequence[str]) -> str:
    """Return the texts of several files as one stream of YAML documents."""
    stream = ""
    for text in texts:
        if stream:
            text = text.removeprefix(_BOM)
            stream += "" if stream.endswith("\n") else "\n"
            stream += "" if _begins_document(text) else "---\n"
        stream += text
    return stream


def _begins_document(text: str) -> bool:
    """Return whether a text begins with `---`, after empty lines and comments."""
    return bool(re.match(r"(?:[ \t]*(?:#[^\n]*)?\r?\n)*---(?:\s|\Z)", text))


def _values(text: str, name: str) -> Iterator[tuple[str, int, int, bool]]:
    """Yield the values that begin with the scheme, each as the fields of an Address except its line."""
    try:
        parse_json(text.removeprefix(_BOM))
    except ValueError:
        yield from _of_yaml(text, name)
        return
    # YAML contains JSON, except that it allows no tabs between tokens.
    for match in _JSON_TEXT.finditer(text):
        value = json.loads(match[0])
        if value.startswith(SCHEME):
            yield value, match.start() + 1, match.end() - 1, False


def _of_yaml(text: str, name: str) -> Iterator[tuple[str, int, int, bool]]:
    skipped = len(_BOM) if text.startswith(_BOM) else 0
    try:
        for token in _tokens(text[skipped:]):
            if not isinstance(token, yaml.ScalarToken) or not token.value.startswith(SCHEME):
                continue
            value = token.value.rstrip("\n")
            start, end = token.start_mark.index + skipped, token.end_mark.index + skipped
            if token.style in ("'", '"'):
                yield value, start + 1, end - 1, False
            elif token.style in ("|", ">"):
                start = max(text.find(value, start, end), start)
                yield value, start, start + len(value), False
            else:
                yield value, start, end, True
    except (yaml.YAMLError, ValueError) as error:
        raise _not_yaml(error, name) from error


def _tokens(text: str) -> Iterator[yaml.Token]:
    """Yield the tokens of YAML, not its nodes: a token of an alias is small, whatever the alias stands for.

    Raises: yaml.YAMLError; ValueError when it is nested too deeply, which takes the scanner minutes.
    """
    depth = 0
    for token in yaml.scan(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        yield token


def _not_yaml(error: Exception, name: str) -> BentoshipError:
    mark = getattr(error, "problem_mark", None)
    where = f"{name}, line {mark.line + 1}" if mark else name
    why = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    return BentoshipError(f"Read {where}", f"it is not YAML: {why}", "Templates have to be rendered first.")

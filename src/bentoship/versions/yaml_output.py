"""Writing YAML for Kubernetes: the same text each time, which means the same in YAML 1.1 and 1.2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import yaml

_PLAIN = re.compile(r"[A-Za-z/][\w./@:-]*[\w/]|[A-Za-z/]|\d+(m|[KMGT]i)", re.ASCII)
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"})


def to_yaml(documents: Sequence[Any]) -> str:
    """Return values as a stream of documents, each with `---` before it."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, explicit_start=True, sort_keys=False, default_flow_style=False, width=1 << 20
    )


class _Dumper(yaml.SafeDumper):
    """A dumper without aliases, which indents lists."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML writes 12345e67 and y without quotes, which kubectl reads as a number and as true.
    is_plain = _PLAIN.fullmatch(text) and text.lower() not in _WORDS
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if is_plain else '"')


_Dumper.add_representer(str, _text)

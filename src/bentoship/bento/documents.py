"""Parsing the files of experiments, in JSON, TOML or YAML, as DVC parses them."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

import yaml

from bentoship.errors import reason
from bentoship.system.documents import DEPTH, parse_yaml


def parse(name: str, content: bytes) -> dict[str, Any]:
    """Return the values of a document by name; none for an empty one.

    Args:
        name: the name of its file, whose suffix tells its format.
        content: its content.

    Raises: ValueError, with why it cannot be parsed.
    """
    suffix = PurePath(name).suffix.lower()
    kind = {".json": "JSON", ".toml": "TOML"}.get(suffix, "YAML")
    try:
        text = content.decode("utf-8-sig")
        parsed = _PARSERS[kind](text) if text.strip() else {}
        _refuse_depth(parsed)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 ({reason(error)})") from error
    except (json.JSONDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"it is not {kind}: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        position = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"it is not YAML: {position}{getattr(error, 'problem', error)}") from error
    except RecursionError as error:
        raise ValueError(f"it is nested more than {DEPTH} deep") from error
    if not isinstance(parsed, Mapping | None):
        found = {"list": "a list", "str": "a text"}.get(type(parsed).__name__, "a single value")
        raise ValueError(f"it holds {found}, not names with their values")
    return dict(parsed or {})


def _refuse_depth(value: object) -> None:
    """Raise ValueError for values that are nested too deeply to walk through."""
    level = [value]
    for _ in range(DEPTH + 1):
        inner = [one.values() if isinstance(one, Mapping) else one for one in level if isinstance(one, Mapping | list)]
        level = [value for values in inner for value in values]
    if level:
        raise ValueError(f"it is nested more than {DEPTH} deep")


class _Yaml12(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # the one in C is faster
    """A loader of what YAML 1.2 takes for numbers and booleans, as DVC does: `1e-3` is a number, and `no` is a text.

    It is the core schema (yaml.org/spec/1.2.2, 10.3.2), with `1_000` for a number and `<<` to merge, as in 1.1.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # as PyYAML declares it

    def construct_number(self, node: Any) -> int | float:
        """Return the number of a scalar."""
        text = str(self.construct_scalar(node)).replace("_", "").lower()
        try:
            return int(text, 0 if text.startswith(("0x", "0o")) else 10)
        except ValueError:
            return float(text.replace(".inf", "inf").replace(".nan", "nan"))

    def construct_ordered(self, node: Any) -> list[Any]:
        """Return the members of a set, in their order: Python's own has another one in each process."""
        return list(self.construct_mapping(node, deep=True))


_SCHEMA = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("tag:yaml.org,2002:null", r"null|Null|NULL|~|", "nN~\0"),
    ("tag:yaml.org,2002:merge", r"<<", "<"),
)
for _tag, _pattern, _first in _SCHEMA:
    _starts = [char if char != "\0" else "" for char in _first]
    _Yaml12.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _starts)
for _tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
    _Yaml12.add_constructor(_tag, _Yaml12.construct_number)
_Yaml12.add_constructor("tag:yaml.org,2002:set", _Yaml12.construct_ordered)

_PARSERS: dict[str, Callable[[str], Any]] = {
    "JSON": json.loads,
    "TOML": tomllib.loads,
    "YAML": lambda text: parse_yaml(text, _Yaml12),
}

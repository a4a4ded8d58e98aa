"""Indexes that a project names for its packages, and how uv gets to know those of single ones where it is called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bentoship.errors import PackagesError
from bentoship.packages.requirements import INDEXES, bare, canonical_name, is_pylock, lines
from bentoship.packages.uv_settings import absolute, with_password
from bentoship.system.documents import read_text
from bentoship.system.files import OWN, temporary_folder

_KEYS = ("name", "url", "default", "explicit", "format", "authenticate", "ignore-error-codes", "cache-control")
"""What decides where an index is and how it is read (docs.astral.sh/uv/reference/settings#index)."""

_NAMING = re.compile(r"tool\.uv\.index|index\s*=")


def indexes_in(pyproject: Path, others: Iterable[Path] = ()) -> str:
    """Return what a project says of indexes, as a pyproject.toml does; empty for nothing.

    These are the indexes in `tool.uv.index`, entries of `tool.uv.sources` that name one, and those of a pylock.toml,
    which win. BentoML reads none of them, unless it packs the pyproject.toml, but people who name an index mean it.

    Args:
        pyproject: the project's pyproject.toml, which need not exist.
        others: files of requirements; a pylock.toml among them counts.

    Raises: PackagesError when the pyproject.toml has another form.
    """
    sources, indexes = _of_pyproject(pyproject)
    addresses: dict[str, str] = {}
    for file in sorted({file for file in others if is_pylock(file)}):
        from bentoship.packages.pylock import sources_in  # rarely needed

        with suppress(OSError, ValueError):  # whatever reads its packages says what is wrong with it
            found, named = sources_in(file)
            sources |= found
            addresses |= named
    indexes += [{"name": name, "url": address, "explicit": True} for name, address in addresses.items()]
    return _toml(dict(sorted(sources.items())), indexes) if sources or indexes else ""


def _of_pyproject(pyproject: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    try:
        text = read_text(pyproject)
    except (OSError, UnicodeDecodeError):
        return {}, []
    if not _NAMING.search(text):
        return {}, []
    import tomllib  # rarely needed

    try:
        uv = tomllib.loads(text).get("tool", {}).get("uv", {})
        sources = {canonical_name(name): _entries(said) for name, said in uv.get("sources", {}).items()}
        sources = {name: entries for name, entries in sources.items() if entries}
        used = {entry["index"] for entries in sources.values() for entry in entries}
        known = [one for one in uv.get("index", []) if one.get("name") in used or not one.get("explicit")]
        indexes = [{key: one[key] for key in _KEYS if key in one} for one in known]
        return sources, absolute("index", indexes, pyproject.parent)
    except tomllib.TOMLDecodeError:
        return {}, []  # what BentoML takes for its configuration has been read before
    except (AttributeError, TypeError) as error:
        doing = f"Read tool.uv in {pyproject.name}"
        raise PackagesError(
            doing, f"a value is not of its type ({error})", "Fix it, or set UV_NO_SOURCES=1."
        ) from error


def _entries(said: Any) -> list[dict[str, str]]:
    """Return those sources of a package that are an index; an extra or a group is none of a Bento's."""
    entries = said if isinstance(said, list) else [said]
    named = [entry for entry in entries if "index" in entry and not entry.keys() & {"extra", "group"}]
    return [{key: entry[key] for key in ("index", "marker") if key in entry} for entry in named]


def indexes_of(bento: Path) -> str:
    """Return what is kept beside a Bento's requirements of `indexes_in`; empty for nothing."""
    file = bento / "env" / "python" / INDEXES
    return read_text(file) if file.is_file() else ""


@contextmanager
def naming_indexes(indexes: str, requirements: str, command: Sequence[str]) -> Iterator[list[str]]:
    """Yield words for a command of uv by which it gets what is required from the indexes that are named for it.

    uv takes an index for a single package from a pyproject.toml alone, for what that requires itself; it then holds for
    the package wherever else it is required. So there is one for the time of the call.

    Args:
        indexes: of `indexes_in`, or empty; variables stand for its passwords.
        requirements: what else the command reads.
        command: its own words.
    """
    if not indexes:
        yield []
        return
    import tomllib  # rarely needed

    uv = tomllib.loads(indexes)["tool"]["uv"]
    plain = (bare(line) for line in lines(requirements) if "@" not in line.partition(";")[0])
    named = [line for line in plain if canonical_name(line) in uv.get("sources", {})]
    if not named:
        yield []
        return
    sources = {name: uv["sources"][name] for name in map(canonical_name, named)}
    used = {entry["index"] for entries in sources.values() for entry in entries}
    known = [with_password(one) for one in uv.get("index", []) if one.get("name") in used]
    with temporary_folder(None, OWN) as folder:  # it may have passwords
        file = folder / "pyproject.toml"
        file.touch(0o600)
        file.write_text(_toml(sources, [{**one, "explicit": True} for one in known], named), "utf-8")
        try:
            yield [str(file)] if "compile" in command else ["-r", str(file)]
        finally:
            file.unlink()


def _toml(
    sources: Mapping[str, Any], indexes: Sequence[Mapping[str, Any]], required: Sequence[str] | None = None
) -> str:
    import tomli_w  # rarely needed

    project = {"name": "your-project", "version": "0", "dependencies": list(required)} if required else None
    uv = {"sources": sources, "index": list(indexes)}
    content = {"project": project, "tool": {"uv": {key: value for key, value in uv.items() if value}}}
    return tomli_w.dumps({key: value for key, value in content.items() if value})

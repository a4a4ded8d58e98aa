"""Requirements files as users write them, read by pip's rules, and written out as one list of plain lines."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pip_requirements_parser as pip

from bentoship.packages.pylock import requirements_in
from bentoship.packages.requirements import (
    VARIABLE,
    RequirementsError,
    canonical_name,
    decoded,
    hashed,
    is_pylock,
    variables,
)
from bentoship.packages.uv_settings import format_options
from bentoship.system.documents import LIST, read_bytes
from bentoship.system.process import environment
from bentoship.system.text import size
from bentoship.system.urls import without_secrets
from bentoship.system.values import dataclass

_SECONDS = 60.0
"""How long a server may take to answer."""

# Comments end with their line, also where pip goes on after a backslash: a requirement would be lost.
_END_OF_COMMENT = re.compile(r"(?m)((?:^|[ \t])#.*?)[\\ \t]+$")
_FLAGS = {
    "no_index": "--no-index",
    "pre": "--pre",
    "prefer_binary": "--prefer-binary",
    "require_hashes": "--require-hashes",
}
_VALUES = {"trusted_hosts": "--trusted-host", "no_binary": "--no-binary", "only_binary": "--only-binary"}
_ALL = ":all:"
_EACH = "all packages would be built, numpy and others included; name those that have to be"
_OF_REQUIREMENTS = {"hashes", "editables"}


def flattened(path: Path) -> str:
    """Return a requirements file with included files in place, and constraints and folders by absolute paths.

    Variables are put in, except in addresses, which uv completes: they may hold a token. Of a pylock.toml it is what
    that has locked.

    Raises: RequirementsError, which names the file and the line.
    """
    if is_pylock(path):
        try:
            return _text(requirements_in(path.resolve()))
        except (OSError, ValueError) as error:
            raise RequirementsError(f"{_shown(str(path.resolve()))}: {error}") from error
    return _text(_statements(str(path.resolve()), ()))


def with_constraints(text: str, folder: Path) -> tuple[str, str]:
    """Return requirements without the constraints that they name, and the content of all these.

    Args:
        text: requirement lines, which may include files.
        folder: where relative paths start.

    Raises: RequirementsError.
    """
    plain: list[str] = []
    limits: list[str] = []
    place = str(folder / "bentofile.yaml")
    for line in _parsed(text, place, ()):
        option, _, target = line.partition(" ")
        if option == "-c":
            for one in _statements(target, ()):
                # An option in a file of constraints counts for all (pip does so, too).
                (plain if one.startswith("-") else limits).append(one)
        else:
            plain.append(line)
    return _text(_with_formats([*plain, *format_options()])), _text(limits)


def _with_formats(lines: Sequence[str]) -> list[str]:
    """Return lines with what they say of wheels and sources at the end, in a form that uv takes for what pip does.

    To pip, the later of two options counts (`handle_mutual_excludes` in its format_control.py). If wheels are
    preferred, only wheels are taken, but for the packages that are to be built: uv knows nothing in between.

    Raises: RequirementsError.
    """
    chosen: dict[str, set[str]] = {"--only-binary": set(), "--no-binary": set()}
    others = []
    for line in lines:
        option, _, value = line.partition(" ")
        if option not in chosen:
            others.append(line)
            continue
        (other,) = (names for name, names in chosen.items() if name != option)
        for name in filter(None, value.split(",")):
            if name in {_ALL, ":none:"}:
                chosen[option].clear()
            if name == _ALL:
                other.clear()
            if name != ":none:":
                other.discard(canonical_name(name))
                chosen[option].add(canonical_name(name) or name)
    if _ALL in chosen["--no-binary"]:
        raise RequirementsError(f"uv's settings say no-binary (UV_NO_BINARY), which is not supported: {_EACH}")
    if "--prefer-binary" in others:
        others.remove("--prefer-binary")
        chosen["--only-binary"].add(_ALL)
    return [*others, *(f"{option} {name}" for option, names in chosen.items() for name in sorted(names))]


def _text(statements: Iterator[str] | Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in statements)


def _statements(place: str, above: Sequence[str]) -> Iterator[str]:
    """Yield what a file says, in lines of one form each.

    Args:
        place: its absolute path, or its address.
        above: those that include it.
    """
    if place not in above:
        yield from _parsed(_content(place), place, (*above, place))


def _parsed(text: str, place: str, above: Sequence[str]) -> Iterator[str]:
    known = environment(names=variables(text))
    parse = pip.get_line_parser()
    for number, line in pip.preprocess(_END_OF_COMMENT.sub(r"\1", text)):
        if line.startswith("#"):
            continue
        where = f"{_shown(place)}, line {number}" if above else f"the requirement {_shown(line)!r}"
        try:
            requirement, options, rest = parse(_completed(line, known))
            statement = _Statement(requirement.strip(), _given(options), rest, place)
            included = list(statement.included())
            found = [] if included else list(statement.lines())
        except RequirementsError:
            raise
        except Exception as error:  # the parser raises many kinds, some of them Exception itself
            why = str(error).strip().removeprefix("pip_requirements_parser: error: ")
            raise RequirementsError(f"{where}: {why or type(error).__name__}") from error
        for target in included:
            try:
                yield from _statements(target, above)
            except OSError as error:
                raise RequirementsError(f"{where}: {_reason(error, target)}") from error
        yield from found


def _completed(line: str, known: dict[str, str]) -> str:
    """Return a line with its variables put in, except in addresses. Raises ValueError when one is not set."""

    def value(match: re.Match[str]) -> str:
        return known[match[1]]

    if missing := sorted(variables(line) - known.keys()):
        raise ValueError(f"${{{missing[0]}}} is not set; set it in the environment or in .env")
    words = re.split(r"(\s+)", line)
    return "".join(word if "://" in word else VARIABLE.sub(value, word) for word in words)


def _given(options: Any) -> dict[str, Any]:
    """Return the options that a line has, by their names in the parser; older ones, which pip ignores, are left out."""
    return {name: value for name, value in vars(options).items() if value and name not in pip.LEGACY_OPTIONS_DEST}


@dataclass(frozen=True)
class _Statement:
    """A line of a file.

    Args:
        requirement: what it requires; empty for options.
        options: by their names in the parser.
        rest: words after the options.
        place: the file that it stands in.
    """

    requirement: str
    options: dict[str, Any]
    rest: Sequence[str]
    place: str

    def included(self) -> Iterator[str]:
        """Yield the files that it includes."""
        yield from (self._place(name) for name in self._values("requirements"))

    def lines(self) -> Iterator[str]:
        """Yield it in one form. Raises ValueError."""
        if self.requirement:
            if others := self.options.keys() - _OF_REQUIREMENTS:
                raise ValueError(f"an option that cannot follow a requirement: {pip.OPT_BY_OPTIONS_DEST[min(others)]}")
            pip.build_install_req(self.requirement)
            yield hashed(self.requirement, tuple(dict.fromkeys(self.options.get("hashes", ()))))
            return
        yield from (f"-e {name}" for name in self.options.get("editables", ()))
        yield from (f"-c {self._place(name)}" for name in self._values("constraints"))
        if index := self.options.get("index_url"):
            yield f"--index-url {self._folder(index.lstrip('='))}"
        yield from (f"--extra-index-url {self._folder(one)}" for one in self._values("extra_index_urls"))
        yield from (f"--find-links {self._folder(one)}" for one in self._values("find_links"))
        if any(_ALL in one.split(",") for one in self._values("no_binary")):
            raise ValueError(f"--no-binary {_ALL} is not supported: {_EACH}")
        yield from (f"{option} {one}" for name, option in _VALUES.items() for one in self._values(name))
        yield from (option for name, option in _FLAGS.items() if name in self.options)

    def _values(self, name: str) -> list[str]:
        values = [value.lstrip("=") for value in self.options.get(name, ())]
        # uv takes a path with a space for one without quotes, too.
        if self.rest and name in {"requirements", "constraints", "find_links"} and len(values) == 1:
            return [" ".join([*values, *self.rest])]
        return values

    def _place(self, name: str) -> str:
        """Return the absolute path or the address of a file that the line names."""
        if name.startswith("file:"):
            return str(pip.url_to_path(name))
        if _is_address(name) or _is_address(self.place):
            return urllib.parse.urljoin(self.place, name)
        return str((Path(self.place).parent / Path(name).expanduser()).resolve())

    def _folder(self, name: str) -> str:
        """Return the address of packages; a folder beside the file by its absolute path."""
        if "://" in name or _is_address(self.place):
            return name
        found = (Path(self.place).parent / Path(name).expanduser()).resolve()
        return (found.as_uri() if " " in str(found) else str(found)) if found.exists() else name


def _is_address(place: str) -> bool:
    return place.lower().startswith(("http://", "https://"))


def _content(place: str) -> str:
    """Return the text of a file or an address. Raises RequirementsError, or OSError when it cannot be had."""
    try:
        return decoded(_downloaded(place) if _is_address(place) else read_bytes(Path(place), LIST))
    except (UnicodeError, LookupError) as error:
        raise RequirementsError(f"{_shown(place)}: {error}; save it as UTF-8") from error


def _downloaded(address: str) -> bytes:
    with answered(address) as answer:
        content: bytes = answer.read(LIST + 1)
    if len(content) > LIST:
        raise RequirementsError(f"{_shown(address)}: it is larger than {size(LIST)}")
    return content


def answered(address: str) -> Any:
    """Return the answer of an address, which may have variables and a password. Raises OSError, or KeyError."""
    known = environment(names=variables(address))
    complete = VARIABLE.sub(lambda match: known[match[1]], address)
    parts = urllib.parse.urlsplit(complete)
    user_info, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl())
    if at:
        secret = base64.b64encode(urllib.parse.unquote(user_info).encode()).decode()
        request.add_header("Authorization", f"Basic {secret}")
    return urllib.request.urlopen(request, timeout=_SECONDS)


def _reason(error: OSError, target: str) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"{_shown(target)} cannot be downloaded: {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"{_shown(target)} cannot be downloaded: {error.reason}"
    return f"{_shown(target)} cannot be read: {error.strerror or error}"


def _shown(place: str) -> str:
    """Return a file's path from the current folder, or an address without its password, for messages."""
    if "://" in place:
        return without_secrets(place)
    path, here = Path(place), Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else place

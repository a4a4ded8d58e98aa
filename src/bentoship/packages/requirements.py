"""Requirements files: what they say of packages, apart from where those are downloaded."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

LOCK_PLATFORM = "linux/amd64"
"""What a Bento is locked for whatever it is published for: an image must not depend on which others are made."""

# BentoML depends on uv to make locks and environments, which a served image never does (20 MB compressed).
NEVER_SERVED = frozenset({"uv"})

# A constraint narrows what a lock may choose; an exact lock shows its effect, and needs it no more.
_ADDRESS = (
    "-c ", "--constraint", "--index-url", "-i ", "--extra-index-url", "--find-links", "-f ", "--trusted-host",
    "--no-index",
)  # fmt: skip
_INCLUDE = re.compile(r"^(?P<option>-r|-c|--requirement|--constraint)[ =]?\s*(?P<path>\S+)")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_EXACT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?\s*==\s*[^*,;\s]+\s*(;.*)?$")


def lines(text: str) -> list[str]:
    """Return the meaningful lines: no comments, continuations joined, no spaces around."""
    joined = re.sub(r"\\\n", " ", text)
    stripped = (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    return [line for line in stripped if line]


def portable_lines(text: str) -> list[str]:
    """Return what is required, sorted, without addresses (which may hold a password) and what an image never needs."""
    kept = (line for line in lines(text) if not line.startswith(_ADDRESS))
    return sorted({line for line in kept if canonical_name(line) not in NEVER_SERVED})


def address_lines(text: str) -> list[str]:
    """Return the lines that say where packages are downloaded from, and what else matters only for locking."""
    return [line for line in lines(text) if line.startswith(_ADDRESS)]


def is_exact(line: str) -> bool:
    """Return whether a line leaves no choice of version."""
    return bool(_EXACT.match(line))


def is_closed(asked: str, locked: str) -> bool:
    """Return whether requirements are fully pinned: they name every package of their lock with its exact version."""
    exact = {canonical_name(line) for line in lines(asked) if is_exact(line)}
    return {canonical_name(line) for line in portable_lines(locked)} <= exact


def canonical_name(line: str) -> str:
    """Return the canonical name (PEP 503) of the package that a line requires; empty for anything else."""
    found = _NAME.match(line)
    return re.sub(r"[-_.]+", "-", found.group()).lower() if found else ""


def local_file(line: str, folder: Path) -> Path | None:
    """Return the file that a line names instead of a version, usually a wheel; None when it names none.

    Args:
        line: a requirement ("./wheels/tool-1.0-py3-none-any.whl", "tool @ file:///…").
        folder: what its path starts from.
    """
    _, at, address = line.partition("@")
    path = folder / unquote((address if at else line).partition(";")[0].strip().removeprefix("file://"))
    return path if path.is_file() else None


def paths_start(bento: Path) -> Path:
    """Return the folder that the paths in a Bento's requirements start from.

    It is where BentoML locks them (_bentoml_sdk/images.py): among the sources since 1.4.36. Before, it moved their
    folder `wheels` away from there, to that of the requirements.
    """
    own = bento / "env" / "python"
    return own if (own / "wheels").is_dir() else bento / "src"


def with_includes(path: Path) -> list[Path]:
    """Return a requirements file and those that it includes, each once; a missing file is listed, not an error."""
    found: list[Path] = []
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.append(file)
        if file.is_file():
            included = (_INCLUDE.match(line) for line in lines(file.read_text("utf-8", errors="replace")))
            waiting += [(file.parent / match["path"]).resolve() for match in included if match]
    return found


def flattened(path: Path) -> str:
    """Return a requirements file with included files in place, and constraints named by their absolute paths.

    Raises: OSError when one of them is missing.
    """
    return "".join(f"{line}\n" for line in _flattened(path.resolve(), ()))


def _flattened(path: Path, above: tuple[Path, ...]) -> Iterator[str]:
    for line in lines(path.read_text("utf-8")):
        included = _INCLUDE.match(line)
        target = (path.parent / included["path"]).resolve() if included else None
        if not included or target is None:
            yield line
        elif included["option"] in {"-c", "--constraint"}:
            yield f"-c {target}"
        elif target not in above:
            yield from _flattened(target, (*above, path))

"""What requirements say of packages, apart from where those are downloaded: their lines, once each is by itself."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote

from bentoship.system.documents import LIST, read_bytes

LOCK_PLATFORM = "linux/amd64"
"""What a Bento is locked for whatever it is published for: an image must not depend on which others are made."""

# BentoML depends on uv to make locks and environments, which a served image never does (20 MB compressed).
NEVER_SERVED = frozenset({"uv"})

CONSTRAINTS = "constraints.txt"
"""The file beside a Bento's requirements with the content of those that they name as constraints."""

INDEXES = "indexes.toml"
"""The file beside a Bento's requirements with what its project says of indexes."""

_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*")
_EXACT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[^]]*\])?\s*===?\s*[^*,;\s]+\s*(;.*)?$")
_HASH = re.compile(r"\s--hash[ =]\s*(\S+)")
_COMMENT = re.compile(r"(?m)(^|[ \t])#.*$")
# What may name another file. It may find too much, which does no harm: pip's rules decide when it is read.
_INCLUDE = re.compile(r"(?m)^\s*(?:-[rc]|--req\w*|--c\w*)(?:\s*=\s*|\s*)(?P<path>\S.*?)\s*$")
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
# The longer marks first: UTF-32's begins as UTF-16's does.
_MARKS = {
    codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF32_LE: "utf-32-le", codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be",
}  # fmt: skip
_CODING = re.compile(rb"\A(?:.*\n)?#.*?coding[:=]\s*([-\w.]+)")


class RequirementsError(ValueError):
    """A requirements file cannot be read; the message begins with its name and a line."""


def is_pylock(path: Path) -> bool:
    """Return whether a file is a lock in the standard form, by its name (PEP 751)."""
    first, *middle, last = path.name.split(".") if path.suffix else ["", ""]
    return first == "pylock" and last == "toml" and len(middle) <= 1


def decoded(data: bytes) -> str:
    """Return the text of a requirements file: by its mark (Windows' editors and shells), its PEP 263 line, or UTF-8.

    Raises: UnicodeError, or LookupError for an unknown encoding.
    """
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding)
    named = _CODING.match(data)
    return data.decode(named[1].decode() if named else "utf-8")


def lines(text: str) -> list[str]:
    """Return the meaningful lines: no comments, continuations joined, no spaces around."""
    joined = re.sub(r"\\\r?\n", " ", _COMMENT.sub("", text))
    return [line for one in joined.splitlines() if (line := one.strip())]


def portable_lines(text: str) -> list[str]:
    """Return what is required, sorted, without options (which may hold a password) and what an image never needs."""
    kept = (hashed(bare(line), hashes(line)) for line in lines(text) if not _is_option(line))
    return sorted({line for line in kept if canonical_name(line) not in NEVER_SERVED})


def address_lines(text: str) -> list[str]:
    """Return the lines that say where packages are downloaded from, and what else matters only for getting them."""
    included = ("-r", "--requirement")
    return [line for line in lines(text) if _is_option(line) and not line.startswith(included)]


def built_names(options: Sequence[str]) -> set[str]:
    """Return the canonical names of the packages that are built although they have wheels. Args: options: lines."""
    return {canonical_name(line.removeprefix("--no-binary ")) for line in options if line.startswith("--no-binary ")}


def _is_option(line: str) -> bool:
    return line.startswith("-") and not re.match(r"(-e|--editable)[ =]", line)


def bare(line: str) -> str:
    """Return a line without the hashes that a package has to have."""
    return re.split(r"\s--hash\b", line, maxsplit=1)[0].rstrip()


def hashes(line: str) -> tuple[str, ...]:
    """Return the hashes that a line asks for, such as "sha256:…"."""
    return tuple(_HASH.findall(line))


def hashed(line: str, digests: Sequence[str]) -> str:
    """Return a line that asks for one of some hashes; as it is when there are none."""
    return " ".join([line, *(f"--hash={digest}" for digest in digests)])


def with_hashes(locked: Sequence[str], asked: str) -> list[str]:
    """Return the lines of a lock with the hashes that were asked for, which no lock of uv's repeats.

    Args:
        locked: requirement lines.
        asked: what was locked. Where it names a package more than once, as for two systems, each hash is good.
    """
    wanted: dict[str, list[str]] = {}
    for line in lines(asked):
        wanted.setdefault(subject(line), []).extend(hashes(line))
    return [hashed(bare(one), sorted({*hashes(one), *wanted.get(subject(one), ())})) for one in locked]


def with_all_hashes(locked: str, asked: str) -> str:
    """Return the text of a lock with the hashes that were asked for; its options come first."""
    kept = [line for line in lines(locked) if not _is_option(line)]
    return "".join(f"{line}\n" for line in [*address_lines(locked), *with_hashes(kept, asked)])


def subject(line: str) -> str:
    """Return the canonical name of the package that a line stands for, also where it names a file."""
    file = bare(line).partition(";")[0].strip().rpartition("/")[2]
    return canonical_name(line) or canonical_name(file.partition("-")[0])


def is_exact(line: str) -> bool:
    """Return whether a line leaves no choice of version."""
    return bool(_EXACT.match(bare(line)))


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
    _, at, address = bare(line).partition("@")
    path = folder / unquote((address if at else bare(line)).partition(";")[0].strip().removeprefix("file://"))
    return path if path.is_file() else None


def requirements_of(bento: Path) -> tuple[str, str]:
    """Return what a Bento requires as it was asked for, and as BentoML has written it, mostly as a lock.

    Both have the lines for its `packed_wheels`. Where BentoML's first format has no lock, the first one is empty.
    """
    asked, written = _texts(bento)
    further = "".join(f"\n{line}\n" for line in packed_wheels(bento))
    return asked and asked + further, written + further


def packed_wheels(bento: Path) -> list[str]:
    """Return the lines for the wheels that a Bento in BentoML's first format has beside its requirements.

    These are the ones that `python.wheels` lists. Its install.sh installs them after its lock, which lacks what they
    require.
    """
    folder = bento / "env" / "python"
    if not (folder / "install.sh").is_file():
        return []
    named = "".join(_texts(bento))
    return [f"./wheels/{wheel.name}" for wheel in sorted(folder.glob("wheels/*.whl")) if wheel.name not in named]


def _texts(bento: Path) -> tuple[str, str]:
    """Return what a Bento requires as it was asked for, and as BentoML has written it.

    In BentoML's first format, what was asked for has the name that its lock has in the second one
    (PythonOptions.write_to_bento in bentoml/_internal/bento/build_config.py).
    """
    folder = bento / "env" / "python"
    asked, written = (folder / f"requirements.{kind}" for kind in ("in", "txt"))
    if (lock := folder / "requirements.lock.txt").is_file():
        asked, written = written, lock
    return asked.read_text("utf-8") if asked.is_file() else "", written.read_text("utf-8")


def paths_start(bento: Path) -> Path:
    """Return the folder that the paths in a Bento's requirements start from.

    It is where BentoML locks them (_bentoml_sdk/images.py): among the sources since 1.4.36. Before, it moved their
    folder `wheels` away from there, to that of the requirements.
    """
    own = bento / "env" / "python"
    return own if (own / "wheels").is_dir() else bento / "src"


def with_includes(path: Path) -> list[Path]:
    """Return a requirements file and those that it may include, each once; a missing file is listed, not an error.

    It is asked for before each publish, and so takes no parser's time; see `bentoship.packages.requirements_file`.
    """
    found: list[Path] = []
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.append(file)
        waiting += [(file.parent / name).resolve() for name in _included(file)]
    return found


def _included(file: Path) -> Iterator[str]:
    """Yield the paths that a file may include, with quotes taken away; nothing for a file that cannot be read."""
    for match in _INCLUDE.finditer(re.sub(r"\\\r?\n", "", text_of(file))):
        name = _COMMENT.sub("", match["path"]).strip().replace("\\ ", " ").strip("'\"")
        if "://" not in name or name.startswith("file://"):
            yield unquote(name.removeprefix("file://")) if name.startswith("file:") else name


def variables(text: str, *, addresses: bool = True) -> set[str]:
    """Return the names of the variables that requirements refer to, as in ${TOKEN}.

    Args:
        text: requirements.
        addresses: whether those in addresses count, which hold tokens: these do not decide which package comes.
    """
    return {name for word in text.split() if addresses or "://" not in word for name in VARIABLE.findall(word)}


def text_of(file: Path) -> str:
    """Return the text of a file; empty when it cannot be read."""
    try:
        return decoded(read_bytes(file, LIST))
    except (OSError, ValueError, LookupError):
        return ""


def options_for_uv(bento: Path) -> list[str]:
    """Return the lines of a Bento's requirements that say where packages are downloaded, and which may be taken."""
    found = [line for text in reversed(requirements_of(bento)) for line in address_lines(text)]
    # Constraints have shown their effect in a lock, and uv asks for all hashes or for none.
    return [line for line in dict.fromkeys(found) if not line.startswith(("-c", "--constraint", "--require-hashes"))]

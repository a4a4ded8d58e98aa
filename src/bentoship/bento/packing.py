"""Which files of a project its Bento packs, and which it never does."""

from __future__ import annotations

import ast
import hashlib
import os
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pathspec import PathSpec

from bentoship.bento.walking import walk
from bentoship.errors import BentoError
from bentoship.packages.requirements import decoded
from bentoship.system.files import digest_of
from bentoship.system.values import dataclass

CREDENTIALS = (
    ".aws/", ".docker/", ".env", ".env.*", ".git-credentials", ".gnupg/", ".kube/", ".netrc", "_netrc", ".pypirc",
    ".ssh/", "application_default_credentials.json", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa",
)  # fmt: skip
"""Patterns of what usually holds credentials, which must not reach everyone who can pull the image."""

NEVER_PACKED = (
    # What BentoML itself leaves out (BentoPathSpec in bentoml/_internal/bento/build_config.py),
    ".git", ".venv/", "venv/", "__pycache__/", ".DS_Store",
    # what this tool and others keep in a project's folder,
    ".bentoship/", ".cache/", ".dvc/", ".ipynb_checkpoints/", ".mypy_cache/", ".nox/", ".pytest_cache/",
    ".ruff_cache/", ".tox/", "node_modules/", "*.bentomodel",
    # and credentials.
    *CREDENTIALS,
)  # fmt: skip
"""Patterns that are added to a bentofile's `exclude`.

BentoML writes them into the Bento, so another pattern here changes the digest of every image.
"""

SECRETS_IGNORED = ".bentoshipignore"
"""The file of a project that names files which may hold what looks like a secret, in the syntax of .gitignore."""

_IGNORE = ".bentoignore"
NEVER_WALKED = frozenset(pattern.rstrip("/") for pattern in NEVER_PACKED)
"""Names of folders that nothing is looked for in."""

_TASKS = "tasks.py"
_IN_TASKS = re.compile(r"(?:\./)?tasks(?:\.\w+)*(?::[\w.]+)?")


@dataclass(frozen=True)
class Selection:
    """Files of a project, by their paths in it.

    Args:
        packed: the files that the Bento packs, sorted.
        linked: those of them that are links, or in a folder that is one; the files that they lead to are packed.
        withheld: the files that BentoML must leave out though they are included and not excluded: those that belong to
            the publisher, and those that a .bentoignore names; folders end in a slash.
        ignore_files: all `.bentoignore`.
        notes: sentences on what include names and is not packed.
        wrong: sentences on why the Bento cannot be packed so; empty when it can.
    """

    packed: tuple[str, ...]
    linked: frozenset[str]
    withheld: frozenset[str]
    ignore_files: tuple[str, ...]
    notes: tuple[str, ...]
    wrong: tuple[str, ...]


def select(project: Path, options: Mapping[str, Any], kept: Collection[str] = ()) -> Selection:
    """Return which files a Bento packs: include, exclude and .bentoignore mean what they mean to BentoML.

    Withheld are `.env*` files, SECRETS_IGNORED, a tasks.py for the publisher (`_is_for_the_publisher`), and a cache of
    uv's, which many CI systems have in the project (UV_CACHE_DIR=.uv-cache). So are the publisher's own cache and the
    Bento store where they are in the project: a Bento would pack itself.

    Args:
        project: the build context.
        options: of its Configuration.
        kept: of its BuildContext.

    Raises: BentoError when a .bentoignore cannot be read.
    """
    found = walk(project, {*NEVER_WALKED, *kept})
    names = found.names
    ignore_files = tuple(name for name in names if name.rpartition("/")[2] == _IGNORE)
    patterns = [str(pattern) for pattern in options.get("include") or ["*"]]
    include = spec_of(patterns)
    exclude = spec_of([*(options.get("exclude") or []), *NEVER_PACKED])
    ignores = {name.removesuffix(_IGNORE): spec_of(_text_of(project, name).splitlines()) for name in ignore_files}

    def is_ignored(name: str) -> bool:
        specs = ((at, spec) for at, spec in ignores.items() if name.startswith(at))
        return any(spec.match_file(name.removeprefix(at)) for at, spec in specs)

    def is_left_out(name: str) -> bool:
        return exclude.match_file(name) or is_ignored(name)

    included = [n for n in names if include.match_file(n) and not exclude.match_file(n)]
    chosen = [n for n in included if not is_ignored(n)]
    withheld = found.caches | {f"{place}/".removeprefix("/") for place in kept}
    withheld |= {name for name in chosen if any(part.startswith(".env") for part in name.split("/"))}
    withheld |= {*included}.difference(chosen)
    withheld |= {SECRETS_IGNORED} & set(chosen)
    packed = [name for name in chosen if name not in withheld]
    if _TASKS in packed and _is_for_the_publisher(project, str(options.get("service") or ""), packed):
        withheld.add(_TASKS)
        packed.remove(_TASKS)
    linked = frozenset(found.linked.intersection(packed))
    folders = [name for name in found.unfollowed if _names(patterns, name) and not is_left_out(f"{name}/x")]
    wrong = (*_wrong_patterns(patterns, names, {*chosen}), *wrong_links(project, linked, folders))
    notes = tuple(_notes(project, patterns, names, packed))
    return Selection(tuple(packed), linked, frozenset(withheld), ignore_files, notes, wrong)


def _text_of(project: Path, name: str) -> str:
    """Return the text of a .bentoignore, in the encodings that requirements may have. Raises BentoError."""
    try:
        return decoded((project / name).read_bytes())
    except (OSError, UnicodeError, LookupError) as error:
        raise BentoError("Pack the project's files", f"{name} cannot be read: {error}", "Save it as UTF-8.") from error


def packed_in(wheels: Path, files: Iterable[Path]) -> list[Path]:
    """Return the files whose content is in one of the wheels in a folder."""
    packed = set()
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            packed |= {hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
    return [file for file in files if packed and file.is_file() and digest_of(file) in packed]


def wrong_links(project: Path, files: Iterable[str], folders: Iterable[str] = ()) -> Iterator[str]:
    """Yield why links are not followed.

    Args:
        project: the build context.
        files: the files to pack that are links, or in a folder that is one.
        folders: the included folders that are links and lead out of the project, or around in a circle.
    """
    root = os.path.realpath(project)
    for name in folders:
        yield f"{name} is a link to {os.path.realpath(project / name)}, out of the project or around to itself"
    for name in sorted(files):
        target = os.path.realpath(project / name)
        if not os.path.isfile(target):  # noqa: PTH113  # a text
            yield f"{name} is a link that leads to no file ({target})"
        elif not target.startswith(f"{root}/"):
            yield f"{name} is a link that leads out of the project ({target})"
        elif may_hold_credentials(target.removeprefix(f"{root}/")):
            yield f"{name} is a link to {target.removeprefix(f'{root}/')}, which is never packed"


def _wrong_patterns(patterns: Iterable[str], names: Iterable[str], chosen: Collection[str]) -> Iterator[str]:
    """Yield patterns with ./ in front, which match nothing, unless other patterns match the files that they mean."""
    for pattern in patterns:
        plain = re.sub(r"^(\./)+", "", pattern)
        spec = spec_of([plain] if plain != pattern else [])
        if lost := next((name for name in names if name not in chosen and spec.match_file(name)), ""):
            yield f"{lost} is not packed, since `{pattern}` in include matches nothing: write `{plain}`"


def _notes(project: Path, patterns: Iterable[str], names: Collection[str], packed: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each file or folder that include names and that is not packed."""
    for pattern in patterns:
        plain = pattern.strip("/")
        is_packed = plain in packed or any(name.startswith(f"{plain}/") for name in packed)
        if is_packed or re.search(r"[*?\[!#]", pattern):
            continue
        spec = spec_of([pattern])
        matched = [name for name in names if spec.match_file(name)]
        if not matched and not (project / plain).exists():
            yield f"{pattern} is in include, but does not exist"
        elif (matched or plain in NEVER_WALKED) and not set(matched) & set(packed):
            yield f"{pattern} is left out although it is in include: {_why_left_out(pattern)}"


def may_hold_credentials(name: str) -> bool:
    """Return whether a file is never packed since it may hold credentials. Args: name: its path in the project."""
    return bool(spec_of([*CREDENTIALS, ".env*"]).match_file(name))


def _why_left_out(pattern: str) -> str:
    name = pattern.rstrip("/")
    is_secret = may_hold_credentials(name) or may_hold_credentials(f"{name}/x")
    return "what may hold credentials is never packed" if is_secret else "it is excluded, or never packed"


def _names(patterns: Iterable[str], folder: str) -> bool:
    """Return whether patterns choose something in a folder: all of it, or what they name in it."""
    named = any(pattern.lstrip("/").startswith(f"{folder}/") for pattern in patterns)
    return named or bool(spec_of(list(patterns)).match_file(f"{folder}/x"))


def spec_of(patterns: list[str]) -> PathSpec[Any]:
    """Return what patterns mean to BentoML."""
    return PathSpec.from_lines("gitwildmatch", patterns)


def _is_for_the_publisher(project: Path, service: str, packed: Iterable[str]) -> bool:
    """Return whether the project's tasks.py imports invoke or bentoship, and the service has no use for it.

    The sources tell, since an import may wait until a request comes (as of Celery's tasks): the service itself, and the
    modules that another packed file imports or names in a text (`import_module("tasks")`).
    """
    imported = {name.partition(".")[0] for name in _modules_named(project / _TASKS, texts=False)}
    if not imported & {"invoke", "bentoship"} or _IN_TASKS.fullmatch(service):
        return False
    others = (project / name for name in packed if name.endswith(".py") and name != _TASKS)
    return not any(_IN_TASKS.fullmatch(name) for file in others for name in _modules_named(file, b"tasks", texts=True))


def _modules_named(file: Path, word: bytes = b"", *, texts: bool) -> Iterator[str]:
    """Yield the absolute names of the modules that a source imports; none where it is no Python or lacks a word.

    Args:
        file: the source.
        word: spares the parsing of most files.
        texts: whether its texts are yielded, too.
    """
    try:
        source = file.read_bytes()
        tree = ast.parse(source if word in source else b"")
    except (OSError, SyntaxError, ValueError):  # a link to nowhere; another Python; a null byte
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or ""
        elif texts and isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value

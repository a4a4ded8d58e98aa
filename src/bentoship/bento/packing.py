"""Which files of a project its Bento packs, and which it never does."""

import ast
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import PathSpec

NEVER_PACKED = (
    # What BentoML itself leaves out (BentoPathSpec in bentoml/_internal/bento/build_config.py),
    ".git", ".venv/", "venv/", "__pycache__/", ".DS_Store",
    # what this tool and others keep in a project's folder,
    ".bentoship/", ".cache/", ".dvc/", ".ipynb_checkpoints/", ".mypy_cache/", ".nox/", ".pytest_cache/",
    ".ruff_cache/", ".tox/", "node_modules/", "*.bentomodel",
    # and credentials, which must not reach everyone who can pull the image.
    ".aws/", ".docker/", ".env", ".env.*", ".git-credentials", ".gnupg/", ".kube/", ".netrc", "_netrc", ".pypirc",
    ".ssh/", "application_default_credentials.json", "id_dsa", "id_ecdsa", "id_ed25519", "id_rsa",
)  # fmt: skip
"""Patterns that are added to a bentofile's `exclude`.

BentoML writes them into the Bento, so another pattern here changes the digest of every image.
"""

_IGNORE = ".bentoignore"
_NEVER_WALKED = frozenset(pattern.rstrip("/") for pattern in NEVER_PACKED)
# What uv puts into its cache; others' caches have the tag, too (bford.info/cachedir), and may be packed on purpose.
_CACHE_TAG = "CACHEDIR.TAG"
_IN_UVS_CACHE = re.compile(r"(archive|builds|interpreter|sdists|simple|wheels)-v\d+")
_TASKS = "tasks.py"
_IN_TASKS = re.compile(r"(?:\./)?tasks(?:\.\w+)*(?::[\w.]+)?")


@dataclass(frozen=True)
class Selection:
    """Files of a project, by their paths in it.

    Args:
        packed: the files that the Bento packs, sorted.
        withheld: the files that BentoML would pack, but that belong to the publisher; folders end in a slash.
        ignore_files: all `.bentoignore`.
    """

    packed: tuple[str, ...]
    withheld: frozenset[str]
    ignore_files: tuple[str, ...]


def select(project: Path, options: Mapping[str, Any]) -> Selection:
    """Return which files a Bento packs: include, exclude and .bentoignore mean what they mean to BentoML.

    Withheld are `.env*` files, a tasks.py for the publisher (`_is_for_the_publisher`), and a cache of uv's, which many
    CI systems have in the project (UV_CACHE_DIR=.uv-cache).

    Args:
        project: the build context.
        options: the content of bentofile.yaml.
    """
    names, caches = _names_below(project)
    ignore_files = tuple(name for name in names if name.rpartition("/")[2] == _IGNORE)
    include = _spec(options.get("include") or ["*"])
    exclude = _spec([*(options.get("exclude") or []), *NEVER_PACKED])
    ignores = {
        name.removesuffix(_IGNORE): _spec((project / name).read_text("utf-8", errors="replace").splitlines())
        for name in ignore_files
    }

    def is_ignored(name: str) -> bool:
        specs = ((at, spec) for at, spec in ignores.items() if name.startswith(at))
        return any(spec.match_file(name.removeprefix(at)) for at, spec in specs)

    chosen = [n for n in names if include.match_file(n) and not exclude.match_file(n) and not is_ignored(n)]
    withheld = caches | {name for name in chosen if any(part.startswith(".env") for part in name.split("/"))}
    packed = [name for name in chosen if name not in withheld]
    if _TASKS in packed and _is_for_the_publisher(project, str(options.get("service") or ""), packed):
        withheld.add(_TASKS)
        packed.remove(_TASKS)
    return Selection(tuple(packed), frozenset(withheld), ignore_files)


def _spec(patterns: list[str]) -> PathSpec[Any]:
    return PathSpec.from_lines("gitwildmatch", patterns)


def _names_below(folder: Path) -> tuple[list[str], set[str]]:
    """Return the paths of the files below a folder, relative to it, and those of uv's caches.

    Neither these nor folders that are never packed are walked.
    """
    # Texts: a path object for each of hundreds of files takes longer than to find it.
    names: list[str] = []
    caches: set[str] = set()
    for root, folders, files in os.walk(folder):
        if _CACHE_TAG in files and any(map(_IN_UVS_CACHE.fullmatch, folders)) and root != str(folder):
            folders.clear()
            caches.add(f"{root}/".removeprefix(f"{folder}/"))
            continue
        folders[:] = set(folders) - _NEVER_WALKED
        names += (f"{root}/{file}".removeprefix(f"{folder}/") for file in files)
    return sorted(names), caches


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

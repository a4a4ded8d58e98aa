"""Assembling an image from a base and a Bento: which layers it has, and how each is built."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from bentoship.assembly.config import BENTO_PATH, HOME, UID, USER, annotations_for, config_for
from bentoship.assembly.recipe import Recipe
from bentoship.bases import Base
from bentoship.bases.facts import Facts
from bentoship.bento import Bento, Model
from bentoship.bento.content import image_files
from bentoship.errors import StoreError
from bentoship.image.layer import Entry, Layer, Stream, folder, size_of, symlink, tar_stream, whole_tree
from bentoship.image.manifest import Image, image_of
from bentoship.layers.cache import LayerCache, measured
from bentoship.packages.requirements import bare
from bentoship.packages.target import VENV
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.records import key_of

if TYPE_CHECKING:
    from bentoship.packages.install import Staged

# Increase it when the content of a layer changes for the same inputs, so that cached layers are rebuilt.
RECIPE = "3"


def assemble(
    recipe: Recipe,
    base: Base,
    cache: LayerCache,
    scratch: Path,
    *,
    reporter: StepReporter = SILENT,
    staged: Staged | None = None,
) -> Image:
    """Assemble the image of a recipe; the blobs of its layers are in the cache.

    Args:
        recipe: the recipe.
        base: the base that it names.
        cache: the cache of layers, found again by their inputs.
        scratch: a folder for temporary files.
        reporter: receives the progress.
        staged: the packages, if their installation has already begun.

    Raises:
        BaseImageError: the base lacks what the Bento needs.
        PackagesError: its packages cannot be installed for the base.
    """
    bento, lock = recipe.bento, recipe.lock
    if lock.deviations:
        reporter.say(f"some packages have other versions for {recipe.platform}: {', '.join(lock.deviations)}")
    packages = recipe.made_packages(cache)
    if packages is None:
        from bentoship.packages.layers import package_layers  # mostly all packages were made before

        packages = package_layers(recipe.job(base, cache), lock.installed, scratch, reporter, staged)
    layers = [
        *base.layers,
        *system_layer(bento, base, cache),
        *packages,
        *(layer for model in bento.models for layer in model_layer(model, cache, reporter)),
        *source_layer(bento, cache, reporter),
    ]
    return image_from(recipe, base, layers)


def image_from(recipe: Recipe, base: Base, layers: Sequence[Layer]) -> Image:
    """Return the image of a recipe whose layers are built."""
    settings = config_for(recipe.bento, base, [*map(bare, recipe.lock.lines)])
    return image_of(layers, settings, base.platform, annotations_for(recipe.bento, base))


def model_key(model: Model) -> str:
    """Return the cache key of a model's layer, from the sizes and times of its files, not gigabytes of content."""
    return key_of("model", RECIPE, model.tag, *map(_state, _model(model)))


def _state(entry: Entry) -> str:
    info = entry.content.stat() if isinstance(entry.content, Path) else None
    return f"{entry.path} {entry.target} {info and (info.st_size, info.st_mtime_ns)}"


def model_layer(model: Model, cache: LayerCache, reporter: StepReporter = SILENT) -> tuple[Layer, ...]:
    """Return the layer with a model; one that does not compress is streamed from the model store instead of cached."""

    def made() -> Iterator[Layer]:
        entries, title = list(model_entries(model)), f"model {model.tag}"
        compresses, total = _compresses(entries), size_of(entries)
        with reporter.task(f"{'compressing' if compresses else 'reading'} {title}", total=total) as task:
            if compresses:
                yield cache.write(entries, title, "model", task.advance)
            else:
                layer = measured(lambda: tar_stream(entries), title, "model", task.advance)
                yield replace(layer, stream=_model_stream(model))

    try:
        return cache.make(model_key(model), made, stream=_model_stream(model))
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        hint = f"Delete it (`bentoml models delete {model.tag}`), and publish again, which imports it from model/."
        raise StoreError(f"Pack the model {model.tag}", f"{error.filename}: {error.strerror}", hint) from error


def made_model_layer(model: Model, cache: LayerCache) -> tuple[Layer, ...] | None:
    """Return what `model_layer` returns if that is known without reading the model, else None."""
    return cache.find(model_key(model), stream=_model_stream(model))


def _model(model: Model) -> list[Entry]:
    parents = _folders(BENTO_PATH, f"{BENTO_PATH}/models", f"{BENTO_PATH}/models/{model.name}")
    files = whole_tree(model.path, f"{BENTO_PATH}/models/{model.name}/{model.version}", uid=UID, gid=UID)
    return [*parents, *files]


def model_entries(model: Model) -> Iterator[Entry]:
    """Yield what is in the layer of a model, with the digests that its files have to have."""
    at = f"{BENTO_PATH}/models/{model.name}/{model.version}/"
    for entry in _model(model):
        yield replace(entry, sha256=model.digests.get(entry.path.removeprefix(at), ""))


def _model_stream(model: Model) -> Stream:
    def stream() -> Iterator[bytes]:
        yield from tar_stream(_model(model))  # its files are listed when the stream is read, not before

    return stream


def source_layer(bento: Bento, cache: LayerCache, reporter: StepReporter = SILENT) -> tuple[Layer, ...]:
    """Return the layer with the Bento without its models, which is the last one, and mostly small."""

    def made() -> list[Layer]:
        entries, title = _source(bento), f"source {bento.tag}"
        with reporter.task(f"compressing {title}", total=size_of(entries)) as task:
            return [cache.write(entries, title, "source", task.advance)]

    return cache.make(key_of("source", RECIPE, bento.tag, *([bento.content] if bento.content else [])), made)


def _source(bento: Bento) -> list[Entry]:
    files = image_files(bento.path)
    # By `latest` BentoML finds a model by its name alone; without it requests fail on a read-only file system.
    files |= {f"models/{model.name}/latest": model.version.encode() for model in bento.models}
    entries = [
        Entry(f"{BENTO_PATH}/{name}", mode=_mode(name, content), uid=UID, gid=UID, content=content)
        for name, content in files.items()
    ]
    # A volume mounted over an empty folder gets the folder's owner; a volume at a missing path belongs to root.
    inside = {"hf-models", *(str(parent) for name in files for parent in PurePosixPath(name).parents)} - {"."}
    return [*_folders(BENTO_PATH, *(f"{BENTO_PATH}/{path}" for path in inside)), *entries]


def _mode(name: str, content: Path | bytes) -> int:
    # BentoML's Dockerfile runs chmod on the entrypoint, which in the Bento has the mode of a file in a wheel.
    executable = name == "env/docker/entrypoint.sh" or (isinstance(content, Path) and content.stat().st_mode & 0o100)
    return 0o755 if executable else 0o644


def _folders(*paths: str) -> list[Entry]:
    """Return folders of the Bento, with their parents, which every layer has to repeat."""
    # Writable for all: BentoML keeps its state in HOME, whatever user the container runs as.
    home = [folder("home"), folder(HOME, mode=0o1777, uid=UID, gid=UID)]
    return home + [folder(path, uid=UID, gid=UID) for path in paths]


def system_layer(bento: Bento, base: Base, cache: LayerCache) -> tuple[Layer, ...]:
    """Return the layer that adds a user, a home and a virtual environment to the base."""
    # The folders that BentoML creates in its home when it starts, so that it starts on a read-only file system, too.
    state = [folder(f"{HOME}/{name}", mode=0o1777, uid=UID, gid=UID) for name in ("bentos", "envs", "models", "tmp")]
    entries = [*_user_database(base.facts), *_folders(), *state, *_virtual_environment(bento, base)]
    texts = [f"{entry.path} {entry.mode:o} {entry.content!r} {entry.target}" for entry in entries]
    return cache.make(
        key_of("system", RECIPE, *texts), lambda: [cache.write(entries, "user and environment", "system")]
    )


def _user_database(facts: Facts) -> Iterator[Entry]:
    """Yield the user database of the base, with the user as which BentoML's images run added."""
    lines = {
        "passwd": (0o644, f"{USER}:x:{UID}:{UID}::/{HOME}:/bin/bash"),
        "group": (0o644, f"{USER}:x:{UID}:"),
        "shadow": (0o640, f"{USER}:!:::::::"),
        "gshadow": (0o640, f"{USER}:!::"),
    }
    for name, (mode, line) in lines.items():
        others = [one for one in facts.users.get(name, "").splitlines() if one and not one.startswith(f"{USER}:")]
        # 42 is the group shadow (Debian policy, "9.2.2 UID and GID classes").
        group = 42 if mode == 0o640 else 0
        yield Entry(f"etc/{name}", mode=mode, gid=group, content="".join(f"{o}\n" for o in [*others, line]).encode())


def _virtual_environment(bento: Bento, base: Base) -> list[Entry]:
    """Return what `python -m venv` would create, without packages."""
    python = base.facts.python
    settings = f"home = {python.parent}\ninclude-system-site-packages = false\nversion = {bento.python_version}\n"
    return [
        Entry(f"{VENV}/pyvenv.cfg", content=settings.encode()),
        Entry(f"{VENV}/bin/activate", content=_ACTIVATE.encode()),
        symlink(f"{VENV}/bin/python", str(python)),
        symlink(f"{VENV}/bin/python3", "python"),
        symlink(f"{VENV}/bin/python{bento.python_version}", "python"),
        symlink(f"{VENV}/lib64", "lib"),
    ]


_ACTIVATE = f"""\
# Sourced by BentoML's entrypoint.
VIRTUAL_ENV=/{VENV}
export VIRTUAL_ENV
case ":$PATH:" in
    *:/{VENV}/bin:*) ;;
    *) PATH=/{VENV}/bin:$PATH ;;
esac
export PATH
unset PYTHONHOME
"""


def _compresses(files: Iterable[Entry]) -> bool:
    """Return whether compression is worth its time, judged by the start of the largest file."""
    paths = [entry.content for entry in files if isinstance(entry.content, Path)]
    largest = max(paths, key=lambda path: (path.stat().st_size, str(path)), default=None)
    if largest is None:
        return True
    from bentoship.layers.compression import MEMBER, is_worthwhile  # not for a model whose layer was made before

    with largest.open("rb") as stream:
        return is_worthwhile(stream.read(4 * MEMBER))

"""An image from a base and a Bento: which layers it has, and what its configuration says.

It keeps the contract of an image that `bentoml containerize` makes (bentoml/_internal/container/frontend/dockerfile),
so that whoever runs the one can run the other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bentoship.bases import Base, Unmade
from bentoship.bases.facts import Facts
from bentoship.bento import Bento, Model
from bentoship.bento.content import image_files
from bentoship.errors import UnsupportedBentoError
from bentoship.image.layer import Entry, Layer, Stream, folder, symlink, tar_stream, tree
from bentoship.image.manifest import Image, image_of
from bentoship.image.platforms import DEFAULT_PATH
from bentoship.layers.cache import LayerCache, measured
from bentoship.layers.compression import MEMBER, is_worthwhile
from bentoship.packages.install import VENV, Target
from bentoship.packages.layers import Job, Staged, package_layers
from bentoship.packages.locks import lock, other_versions
from bentoship.system.records import key_of

# Raise it when the content of a layer changes for the same inputs, so that those made before are made anew.
RECIPE = "3"

USER, UID = "bentoml", 1034
HOME = f"home/{USER}"
BENTO_PATH = f"{HOME}/bento"


def check(bento: Bento) -> None:
    """Refuse a Bento that cannot be put together from layers, with every reason. Raises UnsupportedBentoError."""
    if bento.needs_dockerfile:
        reasons = "; ".join(bento.needs_dockerfile)
        hint = "Drop them from the Bento, or build it with BentoML and Docker: BACKEND=docker."
        raise UnsupportedBentoError(f"Put {bento.tag} together without a Dockerfile", reasons, hint)


def assemble(
    bento: Bento,
    base: Base,
    cache: LayerCache,
    scratch: Path,
    *,
    tell: Callable[[str], None] = lambda _: None,
    staged: Staged | None = None,
) -> Image:
    """The image of a Bento; its layers' blobs lie in the cache.

    Args:
        bento: a Bento in the store.
        base: the system below it.
        cache: where layers are kept, and found again when their inputs are the same.
        scratch: a folder for what is needed only meanwhile.
        tell: told in words what takes a while, before it begins.
        staged: its packages, where somebody has begun to install them already.

    Raises:
        UnsupportedBentoError: only a Dockerfile can do what the Bento asks for.
        BaseImageError: the base lacks what the Bento needs.
        PackagesError: its packages cannot be installed for the base.
    """
    check(bento)
    target = target_of(bento, base)
    locked = lock(bento.path, target, cache.folder / "locks")
    if others := other_versions(bento.path, target, cache.folder / "locks"):
        tell(f"for {target.platform} not all packages are of the same version: {', '.join(others)}")
    layers = [
        *base.layers,
        *system_layer(bento, base, cache),
        *package_layers(Job(bento.path, base, target, cache), locked, scratch, tell, staged),
        *(layer for model in bento.models for layer in model_layer(model, cache)),
        *source_layer(bento, cache),
    ]
    return described(bento, base, locked, layers)


def described(bento: Bento, base: Base, locked: Sequence[str], layers: Sequence[Layer]) -> Image:
    """The image of a Bento whose layers are made: what it runs, and what it says of itself."""
    return image_of(layers, _config(bento, base, locked), base.platform, _annotations(bento, base))


def target_of(bento: Bento, base: Base | Unmade) -> Target:
    """What packages have to run on."""
    glibc = base.glibc if isinstance(base, Unmade) else base.facts.glibc
    return Target(base.platform, bento.python_version, glibc)


def model_key(model: Model) -> str:
    """The key of a model's layer: its files by size and time, so that gigabytes are not read to find it."""
    files = sorted(path for path in model.path.rglob("*") if path.is_file())
    states = [f"{path.relative_to(model.path)} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in files]
    return key_of("model", RECIPE, model.tag, *states)


def model_layer(model: Model, cache: LayerCache) -> tuple[Layer, ...]:
    """The layer with a model; where compression does not make it smaller, it stays where it is until it is sent."""

    def made() -> Iterator[Layer]:
        entries, title = _model(model), f"model {model.tag}"
        yield cache.write(entries, title) if _compresses(entries) else measured(_model_stream(model), title)

    return cache.make(model_key(model), made, stream=_model_stream(model))


def made_model_layer(model: Model, cache: LayerCache) -> tuple[Layer, ...] | None:
    """What `model_layer` gives, if that is known without reading the model."""
    return cache.find(model_key(model), stream=_model_stream(model))


def _model(model: Model) -> list[Entry]:
    parents = _folders(BENTO_PATH, f"{BENTO_PATH}/models", f"{BENTO_PATH}/models/{model.name}")
    files = tree(model.path, f"{BENTO_PATH}/models/{model.name}/{model.version}", uid=UID, gid=UID)
    return [*parents, *files]


def _model_stream(model: Model) -> Stream:
    def stream() -> Iterator[bytes]:
        yield from tar_stream(_model(model))  # whose files are listed when it is read, not before

    return stream


def source_layer(bento: Bento, cache: LayerCache) -> tuple[Layer, ...]:
    """The layer with the Bento without its models: last, and small."""
    return cache.make(key_of("source", RECIPE, bento.tag), lambda: [cache.write(_source(bento), f"source {bento.tag}")])


def _source(bento: Bento) -> list[Entry]:
    files = image_files(bento.path)
    # `latest` is how BentoML finds a model by its name alone; without it requests fail on a read-only system.
    files |= {f"models/{model.name}/latest": model.version.encode() for model in bento.models}
    entries = [
        Entry(f"{BENTO_PATH}/{name}", mode=_mode(name, content), uid=UID, gid=UID, content=content)
        for name, content in files.items()
    ]
    # A volume that is mounted over an empty folder gets its owner; one where there is no folder is root's.
    inside = {"hf-models", *(str(parent) for name in files for parent in PurePosixPath(name).parents)} - {"."}
    return [*_folders(BENTO_PATH, *(f"{BENTO_PATH}/{path}" for path in inside)), *entries]


def _mode(name: str, content: Path | bytes) -> int:
    # BentoML's Dockerfile runs chmod on the entrypoint, whose mode in the Bento is that of a file in a wheel.
    executable = name == "env/docker/entrypoint.sh" or (isinstance(content, Path) and content.stat().st_mode & 0o100)
    return 0o755 if executable else 0o644


def _folders(*paths: str) -> list[Entry]:
    """Folders of the Bento, with those above them as every layer has to repeat them."""
    # Writable for all: BentoML keeps its state below HOME, whatever user the container runs as.
    home = [folder("home"), folder(HOME, mode=0o1777, uid=UID, gid=UID)]
    return home + [folder(path, uid=UID, gid=UID) for path in paths]


def system_layer(bento: Bento, base: Base, cache: LayerCache) -> tuple[Layer, ...]:
    """The layer that gives the base a user, a home and a virtual environment."""
    # What BentoML makes below its home when it starts, so that it starts on a read-only system, too.
    state = [folder(f"{HOME}/{name}", mode=0o1777, uid=UID, gid=UID) for name in ("bentos", "envs", "models", "tmp")]
    entries = [*_user_database(base.facts), *_folders(), *state, *_virtual_environment(bento, base)]
    texts = [f"{entry.path} {entry.mode:o} {entry.content!r} {entry.target}" for entry in entries]
    return cache.make(key_of("system", RECIPE, *texts), lambda: [cache.write(entries, "user and environment")])


def _user_database(facts: Facts) -> Iterator[Entry]:
    """The base's users and the one that BentoML's images run as."""
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
    """What `python -m venv` would have made, without packages."""
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
    """Judged by the start of the largest file."""
    paths = [entry.content for entry in files if isinstance(entry.content, Path)]
    largest = max(paths, key=lambda path: (path.stat().st_size, str(path)), default=None)
    if largest is None:
        return True
    with largest.open("rb") as stream:
        return is_worthwhile(stream.read(4 * MEMBER))


def _env(base: Base) -> dict[str, str]:
    return dict(one.partition("=")[::2] for one in base.config.get("Env") or [])


def _config(bento: Bento, base: Base, locked: Sequence[str]) -> dict[str, Any]:
    """What a container runs, and as whom. The base's command is dropped: the entrypoint would take it as arguments."""
    path = _env(base).get("PATH", DEFAULT_PATH)
    env = {
        **_env(base),
        "PATH": f"/{VENV}/bin:{path}",
        "VIRTUAL_ENV": f"/{VENV}",
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "PYTHONIOENCODING": "UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BENTO_PATH": f"/{BENTO_PATH}",
        "BENTOML_HOME": f"/{HOME}/",
        "BENTOML_HF_CACHE_DIR": f"/{BENTO_PATH}/hf-models",
        "BENTOML_CONTAINERIZED": "true",
        **{env.name: env.value for env in bento.envs},
    }
    kept = {key: base.config[key] for key in ("Healthcheck", "Volumes", "StopSignal", "Shell") if key in base.config}
    labels = {
        **(base.config.get("Labels") or {}),
        **dict(bento.labels),
        # How the base was asked for says nothing of what it is.
        "org.bentoship.base": json.dumps(
            {k: v for k, v in base.origin.items() if k != "pinned"}, sort_keys=True, separators=(",", ":")
        ),
        "org.bentoship.packages": " ".join(locked),
    }
    return {
        **kept,
        "User": USER,
        "ExposedPorts": {"3000/tcp": {}, "3001/tcp": {}, **(base.config.get("ExposedPorts") or {})},
        "Env": [f"{name}={value}" for name, value in env.items()],
        "Entrypoint": [f"/{BENTO_PATH}/env/docker/entrypoint.sh"],
        "WorkingDir": f"/{BENTO_PATH}",
        "Labels": dict(sorted(labels.items())),
    }


def _annotations(bento: Bento, base: Base) -> dict[str, str]:
    """What the image is, readable without pulling any of it."""
    models = [{"tag": model.tag, "metadata": dict(model.metadata)} for model in bento.models]
    named = {"org.opencontainers.image.base.name": base.origin["image"]} if "image" in base.origin else {}
    digest = {"org.opencontainers.image.base.digest": base.origin["digest"]} if "digest" in base.origin else {}
    return {
        "org.opencontainers.image.title": bento.name,
        "org.opencontainers.image.version": bento.version,
        **named,
        **digest,
        "org.bentoship.bento": bento.tag,
        "org.bentoship.models": json.dumps(models, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    }

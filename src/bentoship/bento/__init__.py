"""From bentofile.yaml to a Bento in the store, and whether the one that is there is up to date."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bentoship
from bentoship.bento.content import stored_state
from bentoship.bento.inputs import input_key, input_states, lock_key, read_bentofile
from bentoship.bento.revision import revised
from bentoship.errors import BentoError
from bentoship.image.platforms import ARCHITECTURES
from bentoship.packages.requirements import LOCK_PLATFORM as LOCK_PLATFORM
from bentoship.packages.requirements import is_closed
from bentoship.system import records
from bentoship.system.files import lock, write_whole
from bentoship.system.process import environment, run

# BentoML's DEFAULT_LOCK_PLATFORM, for every host: what is locked must not depend on where.
_LOCK_GLIBC = "manylinux_2_36"


@dataclass(frozen=True)
class Model:
    """A model that a Bento packs, in the model store."""

    name: str
    version: str
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def tag(self) -> str:
        """NAME:VERSION."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Env:
    """A variable that a Bento asks for; stage is "all" or "runtime"."""

    name: str
    value: str
    stage: str


@dataclass(frozen=True)
class Bento:
    """A Bento in the store, and what it asks of its image.

    Args:
        base_image: the base that its bentofile names; empty when it names none.
        needs_dockerfile: why it cannot be put together from layers, in words; empty when it can.
        fresh: whether it was built just now.
        imported_models: tags of the models that came into the model store for it.
    """

    name: str
    version: str
    path: Path
    python_version: str
    base_image: str
    models: tuple[Model, ...]
    envs: tuple[Env, ...]
    labels: tuple[tuple[str, str], ...]
    needs_dockerfile: tuple[str, ...]
    fresh: bool = False
    imported_models: tuple[str, ...] = ()

    @property
    def tag(self) -> str:
        """NAME:VERSION."""
        return f"{self.name}:{self.version}"


@dataclass(frozen=True)
class Project:
    """What a Bento is built from, and where it is remembered.

    Args:
        folder: the build context, with bentofile.yaml in it.
        records: a folder that remembers which inputs gave which Bento.
        bentoml_home: BentoML's own folder, with the stores of Bentos and models.
        platform: what its packages are locked for.
    """

    folder: Path
    records: Path
    bentoml_home: Path
    platform: str = LOCK_PLATFORM

    @property
    def bentofile(self) -> Path:
        """What is packed."""
        return self.folder / "bentofile.yaml"

    @property
    def exported_models(self) -> list[Path]:
        """Models that come with the project, for stores that lack them."""
        return sorted((self.folder / "model").glob("*.bentomodel"))


def up_to_date(project: Project) -> Bento | None:
    """The Bento that the project's sources and models would give, if it is in the store. Raises BentoError."""
    return _recorded(project, _record(project))


def _recorded(project: Project, record: Path) -> Bento | None:
    try:
        data = records.read(record)
        bento = _from_description(data["bento"])
        latest = {name: _latest(project, name) for name in data["latest"]}
        same = latest == data["latest"] and stored_state(bento.path) == data["state"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another version
        return None
    return bento if same and all((model.path / "model.yaml").is_file() for model in bento.models) else None


def _drop_damaged(record: Path) -> None:
    """Remove the Bento of a record if it is not as it was built: BentoML builds none beside one that it cannot read."""
    if data := records.read(record):
        path = Path(data["bento"]["path"])
        if path.is_dir() and stored_state(path) != data.get("state"):
            shutil.rmtree(path)


def build(project: Project, *, begin: Callable[[], None] = lambda: None) -> Bento:
    """The Bento of the project, built when the one in the store is not up to date.

    Args:
        project: what it is built from.
        begin: called before it is built, which takes a while.

    Raises:
        BentoError: the bentofile, the service, a model or the lock does not allow it.
    """
    project.bentoml_home.mkdir(parents=True, exist_ok=True)
    project.records.mkdir(parents=True, exist_ok=True)
    with lock(project.records / "build.lock"):
        record = _record(project)
        if bento := _recorded(project, record):
            return bento
        _drop_damaged(record)
        described = _revised(project)
        if described is None:
            begin()
            described = _described(project)
        bento = _from_description(described)
        latest = {model.name: _latest(project, model.name) for model in bento.models}
        data = {"bento": described, "latest": latest, "state": stored_state(bento.path)}
        records.keep(record, data)
        write_whole(_last(project), record.name.encode())
    return _from_description(described, fresh=True)


def preview(project: Project, into: Path) -> Bento:
    """The Bento that `build` would give, without one more in the store: made in a folder when there is none up to date.

    Args:
        project: what it is built from.
        into: an empty folder, which has to stay as long as the Bento is used.

    Raises: as `build` does.
    """
    if bento := up_to_date(project):
        return bento
    return _from_description(_revised(project, into) or _described(project, into), fresh=True)


def _record(project: Project) -> Path:
    # The store is part of it: what one user's holds is not in another's.
    key = input_key(project.folder, project.bentofile, project.platform)
    store = hashlib.sha256(str(project.bentoml_home.resolve()).encode()).hexdigest()
    return project.records / f"{key}-{store[:16]}.json"


def _last(project: Project) -> Path:
    """Where it is remembered which record is that of the last build by this BentoML, from the same requirements."""
    key = lock_key(project.folder, project.bentofile, project.platform)
    return project.records / f"last-{hashlib.sha256(f'{project} {key}'.encode()).hexdigest()}"


def _revised(project: Project, into: Path | None = None) -> dict[str, Any] | None:
    """The Bento out of the one built last, without importing the service; None where that does not go."""
    try:
        record = project.records / _last(project).read_text("ascii")
        bento = _recorded(project, record)
        described = records.read(record)["bento"]
    except (OSError, ValueError, TypeError):
        return None
    # A lock that could be another one by now has to be asked for.
    if bento is None or not _is_closed(described):
        return None
    return revised(project.folder, described, input_states(project.folder, project.bentofile), into)


def _latest(project: Project, name: str) -> str:
    """The version that NAME:latest stands for, and the one that came with the project, which may be missing still."""
    try:
        stored = (project.bentoml_home / "models" / name / "latest").read_text("utf-8").strip()
    except OSError:
        stored = ""
    exported = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in project.exported_models]
    return " ".join([stored, *exported])


class _LockError(BentoError):
    """The Bento's packages cannot be locked."""


def _described(project: Project, into: Path | None = None) -> dict[str, Any]:
    """What the child tells of the Bento that it has built; without asking the index for a lock that can be no other."""
    known = project.records / f"closed-{lock_key(project.folder, project.bentofile, project.platform)}"
    if known.is_file():
        # What was downloaded for the lock may be gone, and a service may ask for packages by itself.
        with contextlib.suppress(_LockError):
            described = _build_in_child(project, into, extra={"UV_OFFLINE": "1"})
            if _is_closed(described):
                return described
        for left in into.iterdir() if into else ():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    described = _build_in_child(project, into)
    if _is_closed(described):
        project.records.mkdir(parents=True, exist_ok=True)
        known.touch()
    return described


def _is_closed(described: Mapping[str, Any]) -> bool:
    folder = Path(described["path"], "env", "python")
    try:
        return is_closed(*((folder / f"requirements.{kind}").read_text("utf-8") for kind in ("in", "txt")))
    except FileNotFoundError:
        return False


_CHILD = """\
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from bentoship.bento.child import main
main(*sys.argv[2:])
"""


def _build_in_child(
    project: Project, into: Path | None = None, *, extra: Mapping[str, str] | None = None
) -> dict[str, Any]:
    read_bentofile(project.bentofile)
    with tempfile.TemporaryDirectory(prefix="bentoship-") as scratch:
        order, answer = Path(scratch, "order.json"), Path(scratch, "answer.json")
        order.write_text(
            json.dumps(
                {
                    "project": str(project.folder.resolve()),
                    "bentofile": str(project.bentofile.resolve()),
                    "models": [str(path.resolve()) for path in project.exported_models],
                    "bentoml_home": str(project.bentoml_home),
                    "scratch": scratch,
                    "into": str(into) if into else None,
                    "lock_platform": f"{ARCHITECTURES[project.platform].machine}-{_LOCK_GLIBC}",
                }
            ),
            "utf-8",
        )
        own = {
            "BENTOML_HOME": str(project.bentoml_home),
            "BENTOML_DO_NOT_TRACK": "true",
            "UV_PYTHON": sys.executable,
            **(extra or {}),
        }
        env = environment(prefixes=("UV_", "BENTOML_", "LC_"), extra=own)
        # The publisher itself, and the service of a project with a src layout, whether installed or not. Not through
        # PYTHONPATH, which knows no folder with a colon.
        paths = [str(Path(bentoship.__file__).parents[1]), str(project.folder.resolve() / "src")]
        done = run([sys.executable, "-P", "-c", _CHILD, json.dumps(paths), order, answer], env=env, check=False)
        if not answer.is_file():
            raise BentoError("Build the Bento", f"the process that imports the service ended with {done.last_lines}")
        result = json.loads(answer.read_text("utf-8"))
    if "error" in result:
        raise _explained(result["error"], done.stderr, project.platform)
    return dict(result["bento"])


# cattrs' words for bentofile.yaml itself, Python's for its sections.
_UNKNOWN_KEY = re.compile(
    r"Extra fields in constructor for BentoBuildConfig: (?P<key>.+)"
    r"|(?P<section>\w+)Options\.__init__\(\) got an unexpected keyword argument '(?P<name>\w+)'"
)


# Where BentoML puts a Bento together, in the words of uv.
_IN_SCRATCH = re.compile(r"(?:file://)?/\S*/bentoml_bento_[^/]+/(?:src/)?")


def _explained(error: Mapping[str, str], stderr: str, platform: str) -> BentoError:
    """The child's error, with what to do about it."""
    kind, message = error["kind"], error["message"]
    doing = "Build the Bento"
    if unknown := _UNKNOWN_KEY.search(message):
        section = (unknown["section"] or "").lower()
        where = f" in its section {section}" if section else ""
        key = unknown["key"] or unknown["name"]
        return BentoError("Read bentofile.yaml", f"unknown key{where}: {key}", "Correct or remove it.")
    if "Failed to lock PyPI packages" in message:
        why = " ".join(line.strip() for line in _uv_complaint(stderr)) or message.splitlines()[0]
        hint = "Check its requirements and the network."
        if _IN_SCRATCH.search(why):
            hint = "A file that requirements name has to be included by bentofile.yaml, too."
            why = _IN_SCRATCH.sub("", why)
        return _LockError(f"Lock the Bento's Python packages for {platform}", why, hint)
    if "could not be found locally" in message or (kind == "NotFound" and "odel" in message):
        message = message.partition(" and failed to fetch")[0]
        hint = "Export it into model/ (`bentoml models export NAME:VERSION model/`), or import it into the Bento store."
        return BentoError(doing, message, hint)
    hint = "The service has to import without errors before it can be packed."
    return BentoError(doing, message, hint if "Import" in kind or ", line " in message else "")


# Of another program, which uv quotes with spaces in front.
_TRACEBACK = re.compile(
    r"(?m)^(?P<quoted>[ \t]+)Traceback \(most recent call last\):\n(?:(?P=quoted)[ \t]+.*\n|[ \t]*\n)+"
)


def _uv_complaint(stderr: str) -> Iterator[str]:
    """The part of the output that says what uv did not like: from its first × or error: to BentoML's traceback.

    Of one by what builds a package, the last line is what tells.
    """
    telling = False
    for line in _TRACEBACK.sub("", stderr).splitlines():
        telling = telling or line.lstrip().startswith(("×", "error:"))
        if line.startswith("Traceback"):
            return
        if telling and line.strip():
            yield line


def _from_description(data: Mapping[str, Any], *, fresh: bool = False) -> Bento:
    return Bento(
        name=data["name"],
        version=data["version"],
        path=Path(data["path"]),
        python_version=data["python_version"],
        base_image=data["base_image"],
        models=tuple(Model(m["name"], m["version"], Path(m["path"]), m["metadata"]) for m in data["models"]),
        envs=tuple(Env(e["name"], e["value"], e["stage"]) for e in data["envs"]),
        labels=tuple(sorted(data["labels"].items())),
        needs_dockerfile=tuple(data["needs_dockerfile"]),
        fresh=fresh,
        imported_models=tuple(data["imported_models"]) if fresh else (),
    )

"""Building a Bento in a child process: its arguments, its answer, and the errors that this may stand for."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bentoship.bento.configuration import import_environment, is_src_layout, read_configuration, wanted_base
from bentoship.bento.description import fingerprint
from bentoship.bento.failures import EXPORT, Failure, FailureKind
from bentoship.bento.questions import answer
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import bentoml_version, check_bentoml
from bentoship.errors import BentoError
from bentoship.packages.uv_output import conflict
from bentoship.system.files import private_folder, temporary_folder
from bentoship.system.process import OWN_PYTHON, for_foreign_code, run_answering
from bentoship.system.progress import SILENT, StepReporter
from bentoship.system.values import dataclass

if TYPE_CHECKING:
    from bentoship.packages.environment import Environment  # the child itself needs none

# Garbage collection takes a tenth of the import, and the process ends soon after it.
# What -P does, the program does itself: Python 3.11 is the first that has it, and an image may have an older one.
_CHILD = """\
import sys
sys.path[:] = filter(None, sys.path)
import gc, json
gc.disable()
order = json.loads(sys.argv[1])
publisher = order.pop("publisher")
sys.path.insert(0, publisher)  # for bentoship alone, of which another version may be installed
import bentoship
del sys.path[0]
sys.path[:0] = order.pop("source")
if not order.pop("alone"):
    sys.path.append(publisher)  # last: where it is installed, much else is
from bentoship.bento.child import main
main(**order)
"""


_SRC_LAYOUT = "Set python.is_src_layout to true in {place}, which puts the content of src/ where it is found."

_DOING_AND_HINT = {
    FailureKind.UNKNOWN_KEY: ("Read {place}", "Correct or remove it."),
    FailureKind.MISSING_MODEL: (
        "Build the Bento",
        f"Export it into model/ (`{EXPORT}`), or import it into the Bento store.",
    ),
    FailureKind.SERVICE: ("Build the Bento", ""),
    FailureKind.NOT_PACKED: (
        "Build the Bento",
        "Check include and exclude in {place}: the image needs it, too.",
    ),
    FailureKind.LAYOUT: ("Build the Bento", _SRC_LAYOUT),
    FailureKind.WHEEL: (
        "Pack the wheels in python.wheels",
        "Correct {place}: each is named by its path in the project, without patterns.",
    ),
    FailureKind.OTHER: ("Build the Bento", ""),
}

# The loader's words for a library of the system that a package needs.
_LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")

# What a name that os.environ lacks raises; names of other mappings are seldom written like that.
_VARIABLE = re.compile(r"KeyError: '(?P<name>[A-Z][A-Z0-9_]+)'")

# The temporary folder in which BentoML builds a Bento, as it appears in uv's messages.
_IN_SCRATCH = re.compile(r"(?:file://)?/\S*/bentoml_bento_[^/]+/(?:src/)?")

# uv's words for two requirements of BentoML: the project's, and the version that builds, which BentoML adds to each
# Bento (_freeze_python_requirements in _bentoml_sdk/images.py).
_OTHER_BENTOML = re.compile(r"\byou require bentoml(?P<one>[^\s,]+) and bentoml(?P<other>[^\s,]+)")

# A traceback of another program, which uv quotes indented.
_TRACEBACK = re.compile(
    r"(?m)^(?P<quoted>[ \t]+)Traceback \(most recent call last\):\n(?:(?P=quoted)[ \t]+.*\n|[ \t]*\n)+"
)

# BentoML's own words for it, without a place in the user's files (getattr in bentoml/_internal/service/loader.py).
_NO_CLASS = re.compile(r"AttributeError: module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'")


class LockError(BentoError):
    """The Bento's packages cannot be locked.

    Args:
        bentoml: the version of BentoML that they require, if that is the reason ("==1.4.30").
    """

    def __init__(self, doing: str, why: str, hint: str = "", *, bentoml: str = "") -> None:
        super().__init__(doing, why, hint)
        self.bentoml = bentoml


class ServiceError(BentoError):
    """The service fails when it is imported."""


class MissingPackageError(ServiceError):
    """The service needs a package that is not installed where it is imported, or another version of it."""


def build_in_child(
    context: BuildContext,
    store: Path,
    *,
    offline: bool = False,
    environment: Environment | None = None,
    reporter: StepReporter = SILENT,
) -> dict[str, Any]:
    """Build a Bento in a child process and return its description, for `Bento.from_description`.

    Args:
        context: what it is built from.
        store: the store to put it into.
        offline: whether to lock packages without access to the index.
        environment: has the packages that the service is imported with; None for those of this process.
        reporter: receives what is waited for.

    Raises:
        LockError: its packages cannot be locked.
        ServiceError: its service cannot be imported; MissingPackageError if it needs a package that is not there.
        BentoError: it cannot be built for another reason, such as a BentoML that is not supported.
    """
    built = _in_child(context, store, offline, environment, reporter=reporter)
    return {**built, "modules": dict(_with_fingerprints(context.folder, built["modules"]))}


def _with_fingerprints(project: Path, modules: Mapping[str, list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what decides of each module, which a later build compares; of none that is for another Python than this.

    That other one may have imported the service, and its syntax trees are others.
    """
    for name, run in modules.items():
        with suppress(OSError, SyntaxError, ValueError):
            yield name, {"fingerprint": fingerprint((project / name).read_bytes(), run), "run": run}


def specify_in_child(
    context: BuildContext, store: Path, *, adds_bentoml: bool, reporter: StepReporter = SILENT
) -> dict[str, Any]:
    """Build a Bento of what a service's image asks for alone, without its packages, and return its description.

    Args:
        context: what it is built from.
        store: the folder to put it into.
        adds_bentoml: whether it requires the BentoML of this process, as each Bento does that is built with it.
        reporter: receives what is waited for.

    Raises: BentoError as `build_in_child` does.
    """
    return _in_child(context, store, part="image and bentoml" if adds_bentoml else "image", reporter=reporter)


def import_in_child(context: BuildContext, *, environment: Environment | None) -> None:
    """Import a service in a child process, and build nothing.

    Args: as of `build_in_child`.

    Raises: ServiceError, or BentoError, as `build_in_child` does.
    """
    _in_child(context, context.store, environment=environment, part="import")


def _in_child(
    context: BuildContext,
    store: Path,
    offline: bool = False,
    environment: Environment | None = None,
    part: str = "",
    reporter: StepReporter = SILENT,
) -> dict[str, Any]:
    check_bentoml(environment.bentoml if environment else "")
    configuration = read_configuration(context)
    options, folder = configuration.options, context.folder.resolve()
    env = for_foreign_code(import_environment(context, options))
    private_folder(context.store)
    with temporary_folder(context.scratch, "build-") as scratch:
        own = {"TMPDIR": str(scratch)}  # what BentoML and uv leave there when they are killed goes with it
        env |= _variables(environment, env)
        env |= {**own, "BENTOML_HOME": str(context.bentoml_home), "BENTOML_DO_NOT_TRACK": "true"}
        # The Python that BentoML takes for the image's own where it names none to uv.
        own |= {"UV_PYTHON": str(environment.program) if environment else sys.executable}
        own |= {"UV_OFFLINE": "1"} if offline else {}
        order = {
            # For a service in a src layout, and for the publisher itself, whether installed or not. Not in PYTHONPATH,
            # which does not allow a folder with a colon.
            "source": [str(folder / "src")] if is_src_layout(options) else [],
            "publisher": str(Path(__file__).parents[2]),
            "alone": environment is not None,
            "python": OWN_PYTHON,
            "part": part,
            "context": asdict(replace(context, folder=folder)),
            "scratch": str(scratch),
            "store": str(store.absolute()),
        }
        command = [*_python(environment), "-c", _CHILD, json.dumps(order, default=str)]
        done = run_answering(command, env=env, answer=lambda question: answer(question, folder, own))
        result_file = Path(scratch, "answer.json")
        if not result_file.is_file():
            raise BentoError("Build the Bento", f"the process that imports the service ended with {done.last_lines}")
        result = json.loads(result_file.read_text("utf-8"))
    if "error" in result:
        raise BentoError(*result["error"])
    if "failure" in result:
        failure = _with_layout(Failure(**result["failure"]), folder)
        place = "--service or BENTO_SERVICE" if context.service else f"service in {configuration.place}"
        if named := _NO_CLASS.fullmatch(failure.message):
            why = f"the module {named['module']} has no {named['name']}"
            raise BentoError("Build the Bento", why, f"Correct {place}: it names module:Class.")
        image = _Place(configuration.place, environment, wanted_base(configuration)[1])
        raise _error_from(failure, done.stderr, context.platform, image)
    return {**result["bento"], "environment": str(environment or "")}


def _python(environment: Environment | None) -> list[str]:
    """Return the Python that imports the service; byte-code stays in an environment, also that of the publisher."""
    if environment is None:
        return [sys.executable]
    return [str(environment.program), "-X", f"pycache_prefix={environment.folder / 'byte-code'}"]


def _variables(environment: Environment | None, env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which programs find those of an environment. Args: env: the other variables."""
    if environment is None:
        return {}
    path = os.pathsep.join(filter(None, [str(environment.program.parent), env.get("PATH")]))
    return {"VIRTUAL_ENV": str(environment.folder), "PATH": path}


def _with_layout(failure: Failure, project: Path) -> Failure:
    """Return a failure as one of the layout if the module that was not found is in the project's src/."""
    found = re.search(r"No module named '([\w.]+)'", failure.message)
    names = found[1].split(".") if found else [""]
    places = (project.joinpath("src", *names), project.joinpath("src", *names[:-1], f"{names[-1]}.py"))
    is_there = failure.kind == FailureKind.SERVICE and found and any(place.exists() for place in places)
    return Failure(FailureKind.LAYOUT, failure.message) if is_there else failure


@dataclass(frozen=True)
class _Place:
    """Where what failed comes from.

    Args:
        configuration: where the user configures the Bento.
        environment: where the service was imported; None for the Python of this process.
        python: the minor version that the image has, as far as the configuration says.
    """

    configuration: str
    environment: Environment | None
    python: str

    def hint(self, failure: Failure) -> str:
        """Return what to do about a service that cannot be imported."""
        if library := _LIBRARY.search(failure.message):
            return f"Install {library[1]} on this machine, where the service is imported."
        if variable := _VARIABLE.match(failure.message):
            name = variable["name"]
            ways = f"set {name} and BUILD_ENV={name}, or give it a value in envs of {self.configuration}"
            return f"If it is a variable of the environment: {ways}. {self._where}."
        if self.environment is None and failure.missing:
            return f"{self._where}: install {failure.missing} there, or leave BUILD_PYTHON unset."
        if failure.missing and not failure.message.startswith("ImportError"):
            return f"Add the package with {failure.missing} to its requirements. {self._where}."
        return f"The service must import without errors. {self._where}."

    @property
    def _where(self) -> str:
        if self.environment:
            return f"It was imported in {self.environment}"
        other = f" in Python {OWN_PYTHON}; `uv python install {self.python}` gets the image's"
        return f"It was imported with the packages of {sys.executable}{other if self.python != OWN_PYTHON else ''}"


def _error_from(failure: Failure, stderr: str, platform: str, place: _Place) -> BentoError:
    """Return an error that says what to do."""
    if failure.kind == FailureKind.LOCK:
        why = _uv_complaint(stderr) or failure.message.splitlines()[0]
        hint = "Check its requirements and the network."
        if _IN_SCRATCH.search(why):
            hint = f"A file that the requirements name must also be included in {place.configuration}."
        if folder := re.search(r": (\S+) cause: relative URL without a base", why):
            why = f"there is no folder {folder[1]}"
            hint = "Correct --find-links or the index in the requirements."
        if re.search("Read-only file system|Permission denied", why):
            hint = "Set UV_CACHE_DIR to a writable folder."
        if other := _required_bentoml(why, bentoml_version()):
            hint = f"It must be the BentoML that bentoship runs with: `uvx --with 'bentoml{other}' bentoship publish`."
        doing = f"Lock the Bento's Python packages for {platform}{_python_of(stderr, place.environment)}"
        return LockError(doing, _IN_SCRATCH.sub("", conflict(why)), hint, bentoml=other)
    doing, hint = (text.format(place=place.configuration) for text in _DOING_AND_HINT[failure.kind])
    if failure.kind == FailureKind.SERVICE:
        kind = MissingPackageError if failure.missing else ServiceError
        return kind(doing, failure.message, place.hint(failure))
    return BentoError(doing, failure.message, hint)


def _python_of(stderr: str, environment: Environment | None) -> str:
    """Return for which Python packages were locked, by uv's command in BentoML's traceback: by default its own."""
    found = re.search(r"'--python-version', '([\d.]+)'", stderr)
    own = environment.python if environment else OWN_PYTHON
    return f", Python {found[1] if found else own}"


def _required_bentoml(why: str, own: str) -> str:
    """Return the version of BentoML that a project requires in conflict with our own ("==1.4.30"); empty for none."""
    found = _OTHER_BENTOML.search(why)
    others = [version for version in (found.groups() if found else ()) if version != f"=={own}"]
    return others[0] if len(others) == 1 else ""


def _uv_complaint(stderr: str) -> str:
    """Return uv's error message on one line: from its first × or error: to BentoML's traceback.

    Of the traceback of a package's build, only the last line is kept.
    """
    lines = takewhile(lambda line: not line.startswith("Traceback"), _TRACEBACK.sub("", stderr).splitlines())
    complaint = dropwhile(lambda line: not line.lstrip().startswith(("×", "error:")), lines)
    return " ".join(line.strip() for line in complaint if line.strip()).removeprefix("error: ")

"""Building a Bento in a child process: its arguments, its answer, and the errors that this may stand for."""

import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from bentoship.bento.configuration import import_environment, is_src_layout, read_configuration
from bentoship.bento.questions import answer
from bentoship.bento.values import BuildContext
from bentoship.bento.versions import bentoml_version, check_bentoml
from bentoship.errors import BentoError
from bentoship.packages.uv_output import conflict
from bentoship.system.files import private_folder, temporary_folder
from bentoship.system.process import for_foreign_code, run_answering

# Garbage collection takes a tenth of the import, and the process ends soon after it.
_CHILD = """\
import gc, json, sys
gc.disable()
order = json.loads(sys.argv[1])
sys.path[:0] = order.pop("source")
sys.path.append(order.pop("publisher"))  # last: where it is installed, much else is
from bentoship.bento.child import main
main(**order)
"""


class FailureKind(StrEnum):
    """The kinds of reasons why a Bento cannot be built."""

    UNKNOWN_KEY = "unknown key"
    LOCK = "lock"
    MISSING_MODEL = "missing model"
    SERVICE = "service"
    NOT_PACKED = "not packed"
    LAYOUT = "layout"
    OTHER = "other"


@dataclass(frozen=True)
class Failure:
    """The reason why a Bento could not be built.

    Args:
        kind: the kind of reason.
        message: the cause, in the words of the program that failed.
    """

    kind: FailureKind
    message: str


_SRC_LAYOUT = "Set python.is_src_layout to true in {place}, which puts the content of src/ where it is found."

_DOING_AND_HINT = {
    FailureKind.UNKNOWN_KEY: ("Read {place}", "Correct or remove it."),
    FailureKind.MISSING_MODEL: (
        "Build the Bento",
        "Export it into model/ (`bentoml models export NAME:VERSION model/`), or import it into the Bento store.",
    ),
    FailureKind.SERVICE: ("Build the Bento", "The service must import without errors."),
    FailureKind.NOT_PACKED: (
        "Build the Bento",
        "Check include and exclude in {place}: the image needs it, too.",
    ),
    FailureKind.LAYOUT: ("Build the Bento", _SRC_LAYOUT),
    FailureKind.OTHER: ("Build the Bento", ""),
}

# The temporary folder in which BentoML builds a Bento, as it appears in uv's messages.
_IN_SCRATCH = re.compile(r"(?:file://)?/\S*/bentoml_bento_[^/]+/(?:src/)?")

# uv's words for two requirements of BentoML: the project's, and the version that builds, which BentoML adds to each
# Bento (_freeze_python_requirements in _bentoml_sdk/images.py).
_OTHER_BENTOML = re.compile(r"\byou require bentoml(?P<one>[^\s,]+) and bentoml(?P<other>[^\s,]+)")

# A traceback of another program, which uv quotes indented.
_TRACEBACK = re.compile(
    r"(?m)^(?P<quoted>[ \t]+)Traceback \(most recent call last\):\n(?:(?P=quoted)[ \t]+.*\n|[ \t]*\n)+"
)


class LockError(BentoError):
    """The Bento's packages cannot be locked."""


def build_in_child(context: BuildContext, store: Path, *, offline: bool = False) -> dict[str, Any]:
    """Build a Bento in a child process and return its description, for `Bento.from_description`.

    Args:
        context: what it is built from.
        store: the store to put it into.
        offline: whether to lock packages without access to the index.

    Raises:
        LockError: its packages cannot be locked.
        BentoError: it cannot be built for another reason, such as a BentoML that is not supported.
    """
    check_bentoml()
    configuration = read_configuration(context)
    options, folder = configuration.options, context.folder.resolve()
    env = for_foreign_code(import_environment(context, options))
    private_folder(context.store)
    with temporary_folder(context.scratch, "build-") as scratch:
        own = {"TMPDIR": str(scratch)}  # what BentoML and uv leave there when they are killed goes with it
        env |= {**own, "BENTOML_HOME": str(context.bentoml_home), "BENTOML_DO_NOT_TRACK": "true"}
        own |= {"UV_PYTHON": sys.executable, **({"UV_OFFLINE": "1"} if offline else {})}
        order = {
            # For a service in a src layout, and for the publisher itself, whether installed or not. Not in PYTHONPATH,
            # which does not allow a folder with a colon.
            "source": [str(folder / "src")] if is_src_layout(options) else [],
            "publisher": str(Path(__file__).parents[2]),
            "context": asdict(replace(context, folder=folder)),
            "scratch": str(scratch),
            "store": str(store.absolute()),
        }
        command = [sys.executable, "-P", "-c", _CHILD, json.dumps(order, default=str)]
        done = run_answering(command, env=env, answer=lambda question: answer(question, folder, own))
        result_file = Path(scratch, "answer.json")
        if not result_file.is_file():
            raise BentoError("Build the Bento", f"the process that imports the service ended with {done.last_lines}")
        result = json.loads(result_file.read_text("utf-8"))
    if "error" in result:
        raise BentoError(*result["error"])
    if "failure" in result:
        failure = _with_layout(Failure(**result["failure"]), folder)
        raise _error_from(failure, done.stderr, context.platform, configuration.place)
    return dict(result["bento"])


def _with_layout(failure: Failure, project: Path) -> Failure:
    """Return a failure as one of the layout if the module that was not found is in the project's src/."""
    found = re.search(r"No module named '([\w.]+)'", failure.message)
    names = found[1].split(".") if found else [""]
    places = (project.joinpath("src", *names), project.joinpath("src", *names[:-1], f"{names[-1]}.py"))
    is_there = failure.kind == FailureKind.SERVICE and found and any(place.exists() for place in places)
    return Failure(FailureKind.LAYOUT, failure.message) if is_there else failure


def _error_from(failure: Failure, stderr: str, platform: str, place: str) -> BentoError:
    """Return an error that says what to do. Args: place: where the user configures the Bento."""
    if failure.kind == FailureKind.LOCK:
        why = _uv_complaint(stderr) or failure.message.splitlines()[0]
        hint = "Check its requirements and the network."
        if _IN_SCRATCH.search(why):
            hint = f"A file that the requirements name must also be included in {place}."
        if other := _required_bentoml(why, bentoml_version()):
            hint = f"It must be the BentoML that bentoship runs with: `uvx --with 'bentoml{other}' bentoship publish`."
        doing = f"Lock the Bento's Python packages for {platform}{_python_of(stderr)}"
        return LockError(doing, _IN_SCRATCH.sub("", conflict(why)), hint)
    doing, hint = (text.format(place=place) for text in _DOING_AND_HINT[failure.kind])
    return BentoError(doing, failure.message, hint)


def _python_of(stderr: str) -> str:
    """Return for which Python packages were locked, by uv's command in BentoML's traceback: by default ours."""
    found = re.search(r"'--python-version', '([\d.]+)'", stderr)
    return f", Python {found[1] if found else f'{sys.version_info.major}.{sys.version_info.minor}'}"


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
    return " ".join(line.strip() for line in complaint if line.strip())

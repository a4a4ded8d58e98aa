"""Building a Bento in a child process: its arguments, its answer, and the errors that this may stand for."""

import json
import re
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile, takewhile
from pathlib import Path
from typing import Any

from bentoship.bento.inputs import read_bentofile, requirement_variables
from bentoship.bento.values import BuildContext
from bentoship.errors import BentoError
from bentoship.system.process import environment, run

# Garbage collection takes a tenth of the import, and the process ends soon after it.
_CHILD = """\
import gc, json, sys
gc.disable()
order = json.loads(sys.argv[1])
sys.path.insert(0, order.pop("source"))
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


_DOING_AND_HINT = {
    FailureKind.UNKNOWN_KEY: ("Read bentofile.yaml", "Correct or remove it."),
    FailureKind.MISSING_MODEL: (
        "Build the Bento",
        "Export it into model/ (`bentoml models export NAME:VERSION model/`), or import it into the Bento store.",
    ),
    FailureKind.SERVICE: ("Build the Bento", "The service must import without errors."),
    FailureKind.OTHER: ("Build the Bento", ""),
}

# The temporary folder in which BentoML builds a Bento, as it appears in uv's messages.
_IN_SCRATCH = re.compile(r"(?:file://)?/\S*/bentoml_bento_[^/]+/(?:src/)?")

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
        BentoError: it cannot be built for another reason.
    """
    read_bentofile(context.bentofile)
    folder = context.folder.resolve()
    own = {"BENTOML_HOME": str(context.bentoml_home), "BENTOML_DO_NOT_TRACK": "true", "UV_PYTHON": sys.executable}
    extra = {**own, "UV_OFFLINE": "1"} if offline else own
    names = requirement_variables(context.folder, context.bentofile)
    env = environment(prefixes=("UV_", "BENTOML_", "LC_"), names=names, extra=extra)
    with tempfile.TemporaryDirectory(prefix="bentoship-") as scratch:
        order = {
            # For a service in a src layout, and for the publisher itself, whether installed or not. Not in PYTHONPATH,
            # which does not allow a folder with a colon.
            "source": str(folder / "src"),
            "publisher": str(Path(__file__).parents[2]),
            "context": [str(folder), str(context.records), str(context.bentoml_home)],
            "platform": context.platform,
            "scratch": scratch,
            "store": str(store.absolute()),
        }
        done = run([sys.executable, "-P", "-c", _CHILD, json.dumps(order)], env=env, check=False)
        answer = Path(scratch, "answer.json")
        if not answer.is_file():
            raise BentoError("Build the Bento", f"the process that imports the service ended with {done.last_lines}")
        result = json.loads(answer.read_text("utf-8"))
    if "failure" in result:
        raise _error_from(Failure(**result["failure"]), done.stderr, context.platform)
    return dict(result["bento"])


def _error_from(failure: Failure, stderr: str, platform: str) -> BentoError:
    if failure.kind == FailureKind.LOCK:
        why = _uv_complaint(stderr) or failure.message.splitlines()[0]
        hint = "Check its requirements and the network."
        if _IN_SCRATCH.search(why):
            hint = "A file that the requirements name must also be included in bentofile.yaml."
        return LockError(f"Lock the Bento's Python packages for {platform}", _IN_SCRATCH.sub("", why), hint)
    doing, hint = _DOING_AND_HINT[failure.kind]
    return BentoError(doing, failure.message, hint)


def _uv_complaint(stderr: str) -> str:
    """Return uv's error message on one line: from its first × or error: to BentoML's traceback.

    Of the traceback of a package's build, only the last line is kept.
    """
    lines = takewhile(lambda line: not line.startswith("Traceback"), _TRACEBACK.sub("", stderr).splitlines())
    complaint = dropwhile(lambda line: not line.lstrip().startswith(("×", "error:")), lines)
    return " ".join(line.strip() for line in complaint if line.strip())

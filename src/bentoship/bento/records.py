"""Records of builds: which inputs resulted in which Bento, and its state in the store."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoship.bento.content import file_stats, stored_state
from bentoship.bento.inputs import Inputs, input_key, requirements_key
from bentoship.bento.states import state_of
from bentoship.bento.values import Bento, BuildContext
from bentoship.system import records


def record_of(context: BuildContext, inputs: Inputs) -> Path:
    """Return the file of the record for some inputs, which need not exist."""
    # The store is part of the name, since another user's store does not have the same Bentos.
    key = records.key_of(input_key(inputs, context.platform), *sorted(context.secrets_allowed))
    store = hashlib.sha256(str(context.bentoml_home.resolve()).encode()).hexdigest()
    return context.records / f"{key}-{store[:16]}.json"


def last_record(context: BuildContext, inputs: Inputs) -> Path:
    """Return the file of the record of the last build with this BentoML, requirements, service and variables.

    It need not exist.
    """
    key = records.key_of(str(context), requirements_key(context), inputs.settings)
    return context.records / f"last-{key}.json"


def closed_marker(context: BuildContext) -> Path:
    """Return the marker file that exists if these requirements are fully pinned, so that only one lock is possible."""
    return context.records / f"closed-{requirements_key(context)}"


def described_bento(context: BuildContext, record: Path) -> dict[str, Any] | None:
    """Return a record's description of its Bento; None unless Bento and models are in the store, unchanged.

    What its service reads on import has to be unchanged, too.
    """

    def unchanged(data: Mapping[str, Any]) -> dict[str, Any] | None:
        description: dict[str, Any] = data["bento"]
        bento = Bento.from_description(description)
        latest = {name: _latest_model(context, name) for name in data["latest"]}
        same = latest == data["latest"] and stored_state(bento.path) == data["state"]
        read, kept = description["read"].items(), context.kept
        same = same and all(state_of(context.folder, name, kept) == state for name, state in read)
        return description if same and all(map(_is_unchanged, description["models"])) else None

    try:
        return records.read_as(record, unchanged)
    except OSError:  # the Bento is being replaced
        return None


def keep(context: BuildContext, inputs: Inputs, description: Mapping[str, Any]) -> None:
    """Write the record of a Bento that was just built, as that of its inputs and as that of the last build."""
    latest = {model["name"]: _latest_model(context, model["name"]) for model in description["models"]}
    state = stored_state(Path(description["path"]))
    for file in (record_of(context, inputs), last_record(context, inputs)):
        records.keep(file, {"bento": description, "latest": latest, "state": state})


def _latest_model(context: BuildContext, name: str) -> str:
    """Return the version of NAME:latest, and the state of the project's own models, which may not be imported yet."""
    try:
        stored = (context.bentoml_home / "models" / name / "latest").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        stored = ""
    exported = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in context.exported_models]
    return " ".join([stored, *exported])


def _is_unchanged(model: Mapping[str, Any]) -> bool:
    """Return whether no file of a model in the store was written or removed since the Bento was built."""
    stats = {name: list(values) for name, values in file_stats(Path(model["path"])).items()}
    return bool(stats == model["stats"])

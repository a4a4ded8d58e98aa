"""What is remembered of builds: which inputs gave which Bento, and how that lay in the store."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bentoship.bento.content import stored_state
from bentoship.bento.inputs import input_key, requirements_key
from bentoship.bento.values import Bento, BuildContext
from bentoship.system import records


def record_of(context: BuildContext) -> Path:
    """Return the record of the sources as they are now, which need not be there. Raises BentoError."""
    # The store is part of it: what one user's holds is not in another's.
    key = input_key(context.folder, context.bentofile, context.platform)
    store = hashlib.sha256(str(context.bentoml_home.resolve()).encode()).hexdigest()
    return context.records / f"{key}-{store[:16]}.json"


def last_record(context: BuildContext) -> Path:
    """Return the record of the last build by this BentoML, from the same requirements, which need not be there."""
    key = requirements_key(context.folder, context.bentofile, context.platform)
    return context.records / f"last-{records.key_of(str(context), key)}.json"


def closed_marker(context: BuildContext) -> Path:
    """Return the file that is there when these requirements have been seen to allow but one lock."""
    return context.records / f"closed-{requirements_key(context.folder, context.bentofile, context.platform)}"


def described_bento(context: BuildContext, record: Path) -> dict[str, Any] | None:
    """Return a record's description of its Bento; None unless that is in the store as it was built, with its models."""
    try:
        data = records.read(record)
        description: dict[str, Any] = data["bento"]
        bento = Bento.from_description(description)
        latest = {name: _latest_model(context, name) for name in data["latest"]}
        same = latest == data["latest"] and stored_state(bento.path) == data["state"]
    except (OSError, ValueError, KeyError, TypeError):  # none, or of another version
        return None
    return description if same and all((model.path / "model.yaml").is_file() for model in bento.models) else None


def keep(context: BuildContext, record: Path, description: Mapping[str, Any]) -> None:
    """Write the record of a Bento that was built just now, which makes it the last one, too."""
    latest = {model["name"]: _latest_model(context, model["name"]) for model in description["models"]}
    state = stored_state(Path(description["path"]))
    for file in (record, last_record(context)):
        records.keep(file, {"bento": description, "latest": latest, "state": state})


def _latest_model(context: BuildContext, name: str) -> str:
    """Return the version that NAME:latest stands for, and the project's own models, which may not be imported yet."""
    try:
        stored = (context.bentoml_home / "models" / name / "latest").read_text("utf-8").strip()
    except OSError:
        stored = ""
    exported = [f"{path.name} {path.stat().st_size} {path.stat().st_mtime_ns}" for path in context.exported_models]
    return " ".join([stored, *exported])

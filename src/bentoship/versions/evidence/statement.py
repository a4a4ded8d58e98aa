"""Statements about images, in in-toto's form: the provenance, and the results of tests (in-toto/attestation, spec/v1).

They are stored as Docker Scout and BuildKit do it: the statement itself as the blob of an artifact, whose annotation
names what it is about.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import field
from datetime import datetime
from typing import Any

from bentoship.image import keys
from bentoship.image.artifact import Artifact, Blob
from bentoship.image.descriptor import Descriptor
from bentoship.image.document import to_json
from bentoship.system.values import dataclass
from bentoship.versions.times import rfc3339

_STATEMENT = "https://in-toto.io/Statement/v1"
_TEST = "bentoship verify"
_TEST_TYPE = "https://bentoship.org/verify/v1"
"""What the test's name and the annotations of its configuration mean; docs/registry.md describes it."""


def statement(
    about: Mapping[str, Descriptor],
    predicate: str,
    content: Mapping[str, Any],
    *,
    made: datetime,
    annotations: Mapping[str, str] | None = None,
) -> Artifact:
    """Return a statement, as an artifact that refers to the first of what it is about.

    Args:
        about, predicate, content: as of `encoded`.
        made: when it was made.
        annotations: further ones, which lists of referrers show, too.
    """
    named = {keys.PREDICATE: predicate}
    *_, word, _ = predicate.split("/")  # before the version
    return Artifact(
        keys.STATEMENT_TYPE,
        [Blob(keys.STATEMENT_TYPE, encoded(about, predicate, content), {**named, keys.TITLE: f"{word}.intoto.json"})],
        {**named, keys.CREATED: rfc3339(made), **(annotations or {})},
        next(iter(about.values())),
    )


def encoded(about: Mapping[str, Descriptor], predicate: str, content: Mapping[str, Any]) -> bytes:
    """Return the JSON of a statement.

    Args:
        about: manifests by their names; the first is the image or index itself.
        predicate: the URI of what it says of them.
        content: what it says.
    """
    subjects = [{"name": name, "digest": {"sha256": one.hex}} for name, one in about.items()]
    return to_json({"_type": _STATEMENT, "subject": subjects, "predicateType": predicate, "predicate": content})


@dataclass(frozen=True)
class Result:
    """How a test of an image ended.

    Args:
        works: whether it passed.
        failed: what it failed at; empty when it passed.
        runner: what ran it; empty when that is not known.
        measured: what was measured, by name.
    """

    works: bool
    failed: str = ""
    runner: str = ""
    measured: Mapping[str, float | str] = field(default_factory=dict)


def test_result(about: Mapping[str, Descriptor], result: Result, *, made: datetime) -> Artifact:
    """Return the statement of a test's result. Args: about, made: as of `statement`; result: how it ended."""
    passed, failed = ([_TEST], []) if result.works else ([], [_TEST])
    details = {**result.measured, **({"failed": result.failed} if result.failed else {})}
    content = {
        "result": "PASSED" if result.works else "FAILED",
        # A resource descriptor has to have a URI, a digest or content (in-toto/attestation, spec/v1).
        "configuration": [{"name": result.runner or "unknown", "uri": _TEST_TYPE, "annotations": details}],
        "passedTests": passed,
        "warnedTests": [],
        "failedTests": failed,
    }
    memory = result.measured.get("memoryBytes")
    shown = {keys.VERIFIED: str(result.works).lower(), **({keys.MEMORY: str(memory)} if memory else {})}
    return statement(about, keys.TEST_RESULT, content, made=made, annotations=shown)


def identity(said: Mapping[str, Any]) -> object:
    """Return a value that is equal for statements that say the same; in provenance, its types and source count."""
    kind = said.get("predicateType")
    content: Any = said.get("predicate")
    if kind == keys.PROVENANCE:
        # What others have signed with the same key may have any form.
        with suppress(LookupError, TypeError, AttributeError):
            made = content["buildDefinition"]
            sources = [one for one in made.get("resolvedDependencies", []) if one.get("name") == "source"]
            return kind, made.get("buildType"), sources
    return kind, content


def subjects(said: Mapping[str, Any]) -> set[str]:
    """Return the digests, in hex, of what a statement is about."""
    found = set()
    listed = said.get("subject")
    for one in listed if isinstance(listed, list) else ():
        with suppress(LookupError, TypeError):  # of another kind, such as a commit
            found.add(str(one["digest"]["sha256"]))
    return found

"""Telling GitHub Actions about a publish: a summary for people, and outputs for later steps.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands#environment-files
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from bentoship.bento import Bento
from bentoship.commands.markdown import block, code, table
from bentoship.commands.terminal import sent
from bentoship.commands.versions import read_versions
from bentoship.commands.versions_table import metric_cells
from bentoship.errors import BentoshipError, reason
from bentoship.image.descriptor import short
from bentoship.project import Published, Run
from bentoship.system.text import size
from bentoship.versions.comparing import Comparison, compare

_MOST_ROWS = 200

_PREFERRED = "production"
"""The promoted name to compare with if there are several."""


def write(run: Run, published: Published, bento: Bento, line: str) -> None:
    """Write the summary and the outputs into the files that GitHub Actions names; a failure is only reported.

    Args:
        run: the run.
        published: what was published.
        bento: the Bento.
        line: the command that runs the image.
    """
    settings = run.project.settings
    if settings.output_file:
        _append(run, settings.output_file, outputs(published, bento))
    if settings.summary_file:
        _append(run, settings.summary_file, summary(published, bento, line, _compared(run, published)))


def _append(run: Run, file: Path, text: str) -> None:
    """Add a text to a file in one write: publishes of other projects may be appending to the same file."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o600)
        try:
            os.write(descriptor, text.encode(errors="backslashreplace"))
        finally:
            os.close(descriptor)
    except OSError as error:
        run.reporter.say("summary", f"{file} was not written: {reason(error)}")


def outputs(published: Published, bento: Bento) -> str:
    """Return the outputs of the step, each value between two marks that it cannot contain."""
    image = published.pushed
    values = {
        "reference": str(published.reference),
        "image": published.reference.repository,
        "digest": image.digest,
        "tags": "\n".join(str(reference.tag) for reference in published.tags),
        "bento": str(bento.tag),
        "version": bento.version,
        "models": "\n".join(str(model.tag) for model in bento.models),
        "size": str(image.sent + image.there),
        "sent": str(image.sent),
    }
    return "".join(_output(name, value) for name, value in values.items())


def _output(name: str, value: str) -> str:
    mark = f"end-{secrets.token_hex(16)}"
    return f"{name}<<{mark}\n{value}\n{mark}\n"


def summary(published: Published, bento: Bento, line: str, compared: Comparison | None) -> str:
    """Return the summary of a publish, in Markdown.

    Args:
        published: what was published.
        bento: the Bento.
        line: the command that runs the image.
        compared: the promoted version and the published one; None where there is nothing to compare.
    """
    image = published.pushed
    tags = ", ".join(code(str(reference.tag)) for reference in published.tags)
    facts = [
        f"- digest: {code(image.digest)}",
        f"- tags: {tags}",
        f"- Bento: {code(str(bento.tag))}",
        *(f"- model: {code(str(model.tag))}" for model in bento.models[:_MOST_ROWS]),
        f"- {sent(published)}",
    ]
    layers = [(size(layer.size), layer.outcome, code(layer.title)) for layer in image.layers[:_MOST_ROWS]]
    if len(image.layers) > len(layers):
        layers.append(("", "", f"and {len(image.layers) - len(layers)} more"))
    parts = [
        f"### Published {code(published.reference.repository)}",
        "\n".join(facts),
        *(_metrics(compared) if compared else ()),
        table(("size:", "", "layer"), layers),
        block(line, "sh"),
    ]
    return "\n\n".join(parts) + "\n\n"


def _metrics(compared: Comparison) -> Iterator[str]:
    """Yield the metrics of a version against those of the promoted one."""
    promoted, metrics = compared.old, compared.metrics[:_MOST_ROWS]
    name = ", ".join(map(code, promoted.promoted))
    if metrics:
        rows = [(code(metric.name), *metric_cells(metric)) for metric in metrics]
        yield table(("metric", f"{name}, {code(short(promoted.digest))}:", "this image:", "difference:", ""), rows)


def _compared(run: Run, published: Published) -> Comparison | None:
    """Compare the promoted version with the published one; None where nothing else is promoted, or it is not known."""
    try:
        versions = read_versions(run, published.tags[0])
    except BentoshipError as error:
        run.reporter.say("summary", f"without the promoted version: {error.why}")
        return None
    own = next((one for one in versions if one.digest == published.pushed.digest), None)
    others = [one for one in versions if one.promoted and one is not own]
    promoted = min(others, key=lambda one: (_PREFERRED not in one.promoted, sorted(one.promoted)), default=None)
    return compare(promoted, own, run.project.settings.metrics_lower) if promoted and own else None

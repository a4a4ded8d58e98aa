"""Verifying that a published image works."""

import functools
from dataclasses import replace

from bentoship.bento import Bento
from bentoship.commands.described import described
from bentoship.commands.publish import publish
from bentoship.commands.terminal import result
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once
from bentoship.system.process import environment
from bentoship.verify.choice import all_runners, usable_runners
from bentoship.verify.proof import Proof
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import Sample, project_sample


@once
def verify(run: Run) -> None:
    """Verify the image in the registry, under the first tag of push, and print its reference on stdout."""
    run.reporter.say("auth", run.provider.login())
    bento = described(run, "verify")
    repository = run.repository(bento)
    tag = run.project.tags(bento.version)[0]
    root = run.registry(repository, push=False).resolve(tag)
    run.reporter.say("verify", f"verifying {root.digest}, which {repository.with_tag(tag)} stands for")
    reference = repository.with_digest(root.digest)
    _prove(run, reference, root, bento)
    result(str(reference))


@once
def publish_verified(run: Run) -> None:
    """Publish, then verify the image in the registry."""
    reference = publish(run).reference
    _prove(run, reference, run.registry(reference, push=False).resolve(str(reference.digest)), described(run, "verify"))


def _prove(run: Run, reference: ImageReference, root: Descriptor, bento: Bento) -> None:
    """Verify an image in the registry, and print the result."""
    sample = project_sample(run.project.folder, run.project.settings.verify_request)
    for line in proven(run, reference, root, bento, sample).lines:
        run.reporter.say("verify", line)


def tried(run: Run, reference: ImageReference) -> Proof:
    """Return what an image in the registry answers to the sample request, whichever answer is expected.

    Args: run: the run; reference: the image, by digest.

    Raises: as `proven`.
    """
    sample = project_sample(run.project.folder, run.project.settings.verify_request)
    root = run.registry(reference, push=False).resolve(str(reference.digest))
    return proven(run, reference, root, described(run, "verify"), sample and replace(sample, expected=...))


def proven(run: Run, reference: ImageReference, root: Descriptor, bento: Bento, sample: Sample | None) -> Proof:
    """Return what a verification of an image in the registry finds, with the best runner of this machine.

    Args:
        run: the run.
        reference: the image, by digest.
        root: its manifest or index.
        bento: says which variables it needs.
        sample: the request to send; None for none.

    Raises: as bentoship.verify.proof.verify.
    """
    provider, settings = run.provider, run.project.settings
    store = run.registry(reference, push=False)
    wanted = bento.wanted_variables
    known = environment(names=wanted)
    given = {name: known.get(name, value) for name, value in wanted.items() if value or name in known}
    image = RemoteImage(reference, root, store, store.plain_http, provider.credentials(), settings.scratch, given)
    say = functools.partial(run.reporter.say, "verify")
    with run.reporter.task("verify"):
        runners = usable_runners(all_runners(as_root=settings.verify_as_root), say)
        return check(image, runners, sample, say)

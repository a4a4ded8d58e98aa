"""What can be done with an image that was published: prove that it works."""

import functools

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.commands.publish import publish
from bentoship.commands.terminal import result
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once
from bentoship.system.files import temporary_folder
from bentoship.verify.choice import usable_runners
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import project_sample


@once
def verify(run: Run) -> None:
    """Prove that the image in the registry works, as push has named it, and print its reference on stdout."""
    run.reporter.say("auth", run.provider.login())
    bento = _described(run)
    repository = run.repository(bento)
    store = run.registry(repository, push=False)
    reference = repository.with_digest(store.resolve(run.project.tags(bento.version)[0]).digest)
    _prove(run, reference)
    result(str(reference))


@once
def publish_verified(run: Run) -> None:
    """All of it, and the proof that what is in the registry now works."""
    _prove(run, publish(run).reference)


def _prove(run: Run, reference: ImageReference) -> None:
    """Try an image that is in the registry, by the first way that this machine has."""
    provider, settings = run.provider, run.project.settings
    store = run.registry(reference, push=False)
    root = store.resolve(str(reference.digest))
    image = RemoteImage(reference, root, store, store.plain_http, provider.credentials(), settings.scratch)
    sample = project_sample(run.project.folder, settings.verify_request)
    say = functools.partial(run.reporter.say, "verify")
    with run.reporter.task("verify"):
        proof = check(image, usable_runners(tell=say), sample, say)
    for line in proof.lines:
        say(line)


def _described(run: Run) -> Bento:
    """The Bento's name and version; nothing is built for them where the service itself can tell."""
    if bento := bentos.up_to_date(run.project.build_context):
        return bento
    run.reporter.say("verify", "asking the service for its name")
    with temporary_folder(run.project.settings.scratch, "described-") as folder:
        return bentos.preview(run.project.build_context, folder)

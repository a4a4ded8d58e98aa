"""Verifying that a published image works."""

import functools

from bentoship.bento import Bento
from bentoship.commands.described import described
from bentoship.commands.publish import publish
from bentoship.commands.terminal import result
from bentoship.errors import VerifyError
from bentoship.evidence import cosign
from bentoship.evidence.signing import verifier_of
from bentoship.evidence.statement import Result
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once
from bentoship.publishing.attesting import attest_result
from bentoship.system.process import environment
from bentoship.system.text import counted
from bentoship.verify.choice import all_runners, usable_runners
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import project_sample


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
    """Verify an image in the registry, with the best runner of this machine, and print the result."""
    provider, settings = run.provider, run.project.settings
    store = run.registry(reference, push=False)
    if verifier := verifier_of(settings.signing_public_key, settings.signing_key):
        count = cosign.check(store, root, verifier)
        run.reporter.say(
            "verify", f"its signature is right, and so are those of {counted(count, 'statement')} about it"
        )
    wanted = bento.wanted_variables
    known = environment(names=wanted)
    given = {name: known.get(name, value) for name, value in wanted.items() if value or name in known}
    image = RemoteImage(reference, root, store, store.plain_http, provider.credentials(), settings.scratch, given)
    sample = project_sample(run.project.folder, settings.verify_request)
    say = functools.partial(run.reporter.say, "verify")
    with run.reporter.task("verify"):
        runners = usable_runners(all_runners(as_root=settings.verify_as_root), say)
        try:
            proof = check(image, runners, sample, say)
        except VerifyError as error:
            attest_result(run, reference, root, Result(False, f"{error.doing}: {error.why}"))
            raise
    for line in proof.lines:
        say(line)
    measured: dict[str, float | str] = {"readyAfterSeconds": round(proof.seconds, 1), "answer": proof.answer}
    if proof.memory:
        measured["memoryBytes"] = proof.memory.size
    attest_result(run, reference, root, Result(True, runner=proof.runner, measured=measured))

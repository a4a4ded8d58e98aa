"""Verifying that a published image works."""

import functools
import sys

from bentoship.bento import Bento
from bentoship.commands.described import described
from bentoship.commands.publish import publish
from bentoship.commands.report import show_why
from bentoship.commands.terminal import result
from bentoship.errors import VerifyError
from bentoship.evidence import cosign
from bentoship.evidence.signing import verifier_of
from bentoship.evidence.statement import Result
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once
from bentoship.publishing.attesting import attest_result
from bentoship.publishing.rebuilding import rebuild
from bentoship.system.process import environment
from bentoship.system.text import counted
from bentoship.verify.choice import all_runners, usable_runners
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import project_sample


@once
def verify(run: Run) -> None:
    """Verify the image in the registry, under the first tag of push, and print its reference on stdout."""
    reference, root, bento = _published(run)
    _prove(run, reference, root, bento)
    result(str(reference))


@once
def verify_rebuilt(run: Run) -> None:
    """Rebuild the image in the registry from its commit, and compare the digests; print its reference on stdout.

    Raises: VerifyError when it is another image.
    """
    reference, root, _ = _published(run)
    _check_signature(run, reference, root)
    rebuilt = rebuild(run, reference, root)
    if rebuilt.reasons:
        show_why(rebuilt.reasons, run.project.settings.platforms, to=sys.stderr)
        why = f"it gives {rebuilt.digest}"
        raise VerifyError(f"Rebuild {root.digest} from the commit {rebuilt.commit[:12]}", why, _OTHERWISE)
    run.reporter.say("verify", f"the commit {rebuilt.commit[:12]}, rebuilt, gives the same digest {rebuilt.digest}")
    result(str(reference))


_OTHERWISE = (
    "The lines above say what differs. A base or packages that were updated since are no fault of the image; pin them "
    "to have the same again."
)


def _published(run: Run) -> tuple[ImageReference, Descriptor, Bento]:
    """Return the image in the registry under the first tag of push, by its digest, and its Bento."""
    run.reporter.say("auth", run.provider.login())
    bento = described(run, "verify")
    repository = run.repository(bento)
    tag = run.project.tags(bento.version)[0]
    root = run.registry(repository, push=False).resolve(tag)
    run.reporter.say("verify", f"verifying {root.digest}, which {repository.with_tag(tag)} stands for")
    return repository.with_digest(root.digest), root, bento


@once
def publish_verified(run: Run) -> None:
    """Publish, then verify the image in the registry."""
    reference = publish(run).reference
    _prove(run, reference, run.registry(reference, push=False).resolve(str(reference.digest)), described(run, "verify"))


def _prove(run: Run, reference: ImageReference, root: Descriptor, bento: Bento) -> None:
    """Verify an image in the registry, with the best runner of this machine, and print the result."""
    provider, settings = run.provider, run.project.settings
    store = run.registry(reference, push=False)
    _check_signature(run, reference, root)
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
            # Not why: that has lines of the service's log, which may say anything.
            attest_result(run, reference, root, Result(False, error.doing))
            raise
    for line in proof.lines:
        say(line)
    measured: dict[str, float | str] = {"readyAfterSeconds": round(proof.seconds, 1)}
    if proof.memory:
        measured["memoryBytes"] = proof.memory.size
    attest_result(run, reference, root, Result(True, runner=proof.runner, measured=measured))


def _check_signature(run: Run, reference: ImageReference, root: Descriptor) -> None:
    """Check an image's signature, where there is a key for that. Raises VerifyError, SettingsError, StoreError."""
    settings = run.project.settings
    if verifier := verifier_of(settings.signing_public_key, settings.signing_key):
        count = cosign.check(run.registry(reference, push=False), root, verifier)
        said = f"its signature is right, and so are those of {counted(count, 'statement')} about it"
        run.reporter.say("verify", said)

"""Verifying that a published image works."""

import functools
import sys
from dataclasses import replace

from bentoship.bento import Bento
from bentoship.commands.publish import publish
from bentoship.commands.report import show_why
from bentoship.commands.repository import current_bento
from bentoship.commands.terminal import result
from bentoship.commands.versions import published
from bentoship.errors import VerifyError
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Run, once
from bentoship.publishing.attesting import attest_result
from bentoship.publishing.rebuilding import rebuild
from bentoship.system.process import environment
from bentoship.system.text import counted
from bentoship.verify.choice import all_runners, usable_runners
from bentoship.verify.proof import Proof
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import Sample, project_sample
from bentoship.versions.evidence.signatures import check_by
from bentoship.versions.evidence.statement import Result


def verify(run: Run, version: str = "") -> None:
    """Verify an image in the registry, and print its reference on stdout.

    Args: run: the run; version: as of `published`.
    """
    reference, root, bento = _published(run, version)
    _prove(run, reference, root, bento)
    result(str(reference))


def verify_rebuilt(run: Run, version: str = "") -> None:
    """Rebuild an image in the registry from its commit, and compare the digests; print its reference on stdout.

    Args: run: the run; version: as of `published`.

    Raises: VerifyError when it is another image.
    """
    reference, root, _ = _published(run, version)
    _check_signature(run, reference, root)
    rebuilt = rebuild(run, reference, root)
    if rebuilt.reasons:
        show_why(rebuilt.reasons, run.project.settings.platforms, to=sys.stderr)
        why = f"the result is {rebuilt.digest}"
        raise VerifyError(f"Rebuild {root.digest} from the commit {rebuilt.commit[:12]}", why, _OTHERWISE)
    run.reporter.say("verify", f"rebuilding the commit {rebuilt.commit[:12]} gives the same digest {rebuilt.digest}")
    result(str(reference))


_OTHERWISE = (
    "The lines above say what differs. If the base or packages were updated since, the image is not at fault; pin them "
    "to get the same ones again."
)


def _published(run: Run, version: str) -> tuple[ImageReference, Descriptor, Bento]:
    reference, root, bento = published(run, "verify", version)
    name = version or run.project.tags(bento.version)[0]
    whose = "" if "sha256:" in name else f", to which {name} points"
    run.reporter.say("verify", f"verifying {root.digest}{whose}")
    return reference, root, bento


@once
def publish_verified(run: Run) -> None:
    """Publish, then verify the image in the registry."""
    reference = publish(run).reference
    _prove(
        run, reference, run.registry(reference, push=False).resolve(str(reference.digest)), current_bento(run, "verify")
    )


def _prove(run: Run, reference: ImageReference, root: Descriptor, bento: Bento) -> None:
    """Verify an image in the registry, print the result, and attach it to the image."""
    _check_signature(run, reference, root)
    sample = project_sample(run.project.folder, run.project.settings.verify_request)
    try:
        proof = proven(run, reference, root, bento, sample)
    except VerifyError as error:
        # Not why: that has lines of the service's log, which may say anything.
        attest_result(run, reference, root, Result(False, error.doing))
        raise
    for line in proof.lines:
        run.reporter.say("verify", line)
    measured: dict[str, float | str] = {"readyAfterSeconds": round(proof.seconds, 1)}
    if proof.memory:
        measured["memoryBytes"] = proof.memory.size
    attest_result(run, reference, root, Result(True, runner=proof.runner, measured=measured))


def tried(run: Run, reference: ImageReference) -> Proof:
    """Return what an image in the registry answers to the sample request, whichever answer is expected.

    Args: run: the run; reference: the image, by digest.

    Raises: as `proven`.
    """
    sample = project_sample(run.project.folder, run.project.settings.verify_request)
    root = run.registry(reference, push=False).resolve(str(reference.digest))
    _check_signature(run, reference, root)
    return proven(run, reference, root, current_bento(run, "verify"), sample and replace(sample, expected=...))


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


def _check_signature(run: Run, reference: ImageReference, root: Descriptor) -> None:
    """Check an image's signature, where it is set whose it has to be. Raises VerifyError, SettingsError, StoreError."""
    settings = run.project.settings
    who = (settings.signing_identity, settings.signing_issuer) if settings.signing_identity else None
    trust = settings.sigstore_trust_config
    if check_signature := check_by(settings.signing_public_key, settings.signing_key, who=who, trust=trust):
        count = check_signature(run.registry(reference, push=False), root)
        others = f", and so are those of {counted(count, 'statement')} about it" if count else ""
        run.reporter.say("verify", f"its signature is valid{others}")
    elif settings.signing:
        run.reporter.say("verify", "its signature is not checked: set SIGNING_IDENTITY and SIGNING_ISSUER for that")

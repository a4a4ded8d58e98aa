"""What can be done with an image that was published: prove that it works."""

from __future__ import annotations

import functools

from bentoship import bento as bentos
from bentoship.bento import Bento
from bentoship.commands import terminal as console
from bentoship.image.reference import ImageReference
from bentoship.project import Workspace, provider, registry_store, repository, tags
from bentoship.publishing import build, once, publish
from bentoship.system.files import temporary_folder
from bentoship.system.network import is_loopback
from bentoship.verify.choice import usable_runners
from bentoship.verify.proof import verify as check
from bentoship.verify.runner import RemoteImage
from bentoship.verify.sample import project_sample


@once
def verify(where: Workspace) -> None:
    """Prove that the image in the registry works, as push has named it, and print its reference on stdout."""
    console.say("auth", provider(where).login())
    bento = _described(where)
    target = repository(where, bento)
    store = registry_store(where, target, push=False)
    reference = target.with_digest(store.resolve(tags(where, bento.version)[0]).digest)
    _prove(where, reference)
    console.result(str(reference))


@once
def publish_verified(where: Workspace) -> None:
    """All of it, and the proof that what is in the registry now works."""
    pushed = publish(where)
    _prove(where, repository(where, build(where)).with_digest(pushed.digest))


def _prove(where: Workspace, reference: ImageReference) -> None:
    """Try an image that is in the registry, by the first way that this machine has."""
    whose, settings = provider(where), where.settings
    store = registry_store(where, reference, push=False)
    plain = is_loopback(reference.host) if whose.plain_http is None else whose.plain_http
    root = store.resolve(str(reference.digest))
    image = RemoteImage(reference, root, store, plain, whose.credentials(), settings.cache / "scratch")
    sample = project_sample(where.folder, settings.verify_request)
    tell = functools.partial(console.say, "verify")
    proof = check(image, usable_runners(tell=tell), sample, tell)
    for line in proof.lines:
        console.say("verify", line)


def _described(where: Workspace) -> Bento:
    """The Bento's name and version; nothing is built for them where the service itself can tell."""
    if bento := bentos.up_to_date(where.project):
        return bento
    console.say("verify", "asking the service for its name")
    with temporary_folder(where.settings.cache / "scratch", "described-") as folder:
        return bentos.preview(where.project, folder)

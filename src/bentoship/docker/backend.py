"""Images by BentoML and Docker's engine, as one makes them by hand; tagged and pushed through the engine's API."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bentoship.backend import Built, LayerSummary, Pushed
from bentoship.bento import Bento
from bentoship.docker.build import Workplace, build
from bentoship.docker.connection import Engine, auth_config, error_from_message, error_in
from bentoship.errors import EngineError, RegistryError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, LAYER_GZIP, Descriptor
from bentoship.image.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.answers import TAG_TAKEN
from bentoship.stores.credentials import Credentials
from bentoship.stores.graph import children, read_image, read_manifest
from bentoship.stores.transfer import Progress

_OUTCOMES = {"Pushed": "sent", "Layer already exists": "present", "Mounted from": "mounted"}
"""What the engine says of a layer in the end, and what that means."""

# An engine's last word; those with containerd's store say it in no other way.
_DIGEST = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: \d+$")


@dataclass(frozen=True)
class DockerBackend:
    """Builds, keeps and pushes in an engine.

    Args:
        engine: gives the engine, or raises EngineError.
        name: what a Bento's image is called in the engine: "NAME:latest".
        workplace: what building needs.
        registry: opens a repository to look what is there.
        credentials: the account to push as; None for nobody.
    """

    engine: Callable[[], Engine]
    name: Callable[[Bento], str]
    workplace: Workplace
    registry: Callable[[ImageReference], Store]
    credentials: Callable[[], Credentials | None]

    def containerize(self, bento: Bento) -> Built:
        """Build the image of a Bento; the engine has it under its name then."""
        engine, name = self.engine(), self.name(bento)
        doing = f"Build {name}"
        with engine.doing(doing):
            before = engine.identity(name)
        build(engine, bento, name, self.workplace)
        with engine.doing(doing):
            identity = engine.identity(name)
            if before != identity:
                engine.forget(before)
            history = reversed(engine.client.api.history(identity))
            layers = tuple(LayerSummary(_title(step["CreatedBy"]), step["Size"]) for step in history if step["Size"])
        return Built(identity, layers)

    def outlook(self, bento: Bento) -> str:
        """Return what would be built: only building tells which layers there will be."""
        return f"BentoML and Docker's engine at {self.engine().endpoint.host} would build {self.name(bento)}"

    def load(self, image: Built, name: str) -> str:
        """Return that there is nothing to do."""
        return f"{name} is in Docker's engine, which has built it"

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Name the image in the engine as the registry will, registry and all."""
        engine = self.engine()
        for reference in references:
            with engine.doing(f"Tag the image {reference}"):
                before = engine.identity(str(reference))
                engine.client.api.tag(image.digest, reference.repository, reference.tag or "latest")
                if before != image.digest:
                    engine.forget(before)

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Have the engine send what the registry lacks, tag by tag, and see what the registry has then."""
        engine, store = self.engine(), self.registry(references[0])
        outcomes: dict[str, str] = {}
        digest = ""
        for reference in references:
            digest = self._push_one(engine, reference, outcomes, progress)
            there = store.resolve(reference.tag or "latest").digest
            if digest and there != digest:
                raise StoreError(f"Push {reference}", f"{digest} was sent, but the registry has {there}", "Push again.")
            digest = there
        # Podman says nothing of layers; other engines are silent of those that they had no need to look at.
        silent = "" if engine.is_podman and not outcomes else "present"
        layers = tuple(_layers(store, digest, outcomes, silent))
        sent = sum(layer.size for layer in layers if layer.outcome == "sent")
        return Pushed(digest, layers, sent, sum(layer.size for layer in layers) - sent)

    def _push_one(self, engine: Engine, reference: ImageReference, outcomes: dict[str, str], progress: Progress) -> str:
        """Push one name. Returns: the digest that the engine tells; empty when it tells none."""
        doing = f"Push {reference}"
        layers = _Layers(progress)
        digest = ""
        with engine.doing(doing), engine.reaching(reference.host):
            account = self.credentials()
            events = engine.client.api.push(
                reference.repository,
                reference.tag or "latest",
                stream=True,
                decode=True,
                auth_config=auth_config(account, reference.host),
            )
            for event in events:
                if (message := error_in(event)) is not None:
                    raise _denial(doing, message, reference.host, account)
                if match := _DIGEST.search(str(event.get("status", ""))):
                    digest = match[1]
                if event.get("id"):
                    layers.see(event)
                    for words, outcome in _OUTCOMES.items():
                        if str(event.get("status", "")).startswith(words):
                            # A layer that the first tag sent is there for the others.
                            outcomes.setdefault(event["id"], outcome)
        if not digest and not engine.is_podman:
            raise EngineError(
                doing, f"the engine at {engine.endpoint.host} ended in the middle", "Start it and push again."
            )
        return digest


class _Layers:
    """Tells from an engine's events how a push goes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, Descriptor] = {}
        self._done: dict[str, int] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        """Hand one event on."""
        identity, detail = str(event["id"]), event.get("progressDetail") or {}
        if detail.get("total") and identity not in self._known:
            self._known[identity] = Descriptor(LAYER_GZIP, f"sha256:{identity}", int(detail["total"]))
            self._progress.begin([self._known[identity]])
        layer, pushed = self._known.get(identity), event.get("status") == "Pushed"
        if layer is not None and (detail or pushed):
            # What goes over is a little more than the content that the total was measured by.
            done = layer.size if pushed else min(int(detail.get("current", 0)), layer.size)
            self._progress.advance(layer, done - self._done.get(identity, 0))
            self._done[identity] = done


def _denial(doing: str, message: str, host: str, account: Credentials | None) -> RegistryError | EngineError:
    """Return the error for what a registry refused, in its words, which the engine handed on, with what to do."""
    lower = message.lower()
    if "no space left" in lower:
        return error_from_message(doing, message)
    known = (account.rights or account.login) if account else ""
    hints = {
        r"denied|unauthorized|authentication|no basic auth|forbidden": known
        or f"Log in with an account that may push: docker login {host}",
        r"immutab": TAG_TAKEN,
        r"server gave http response to https client|does not look like a tls handshake": (
            f"Let the engine speak HTTP to {host}: insecure-registries in daemon.json (podman: registries.conf)."
        ),
        r"connection refused|no such host": (
            f"It is the engine that has to reach {host}; on another machine localhost is another registry."
        ),
        # Of such an answer engines hand on no more than the status.
        r": 5\d\d ": "The registry has a trouble of its own: try again later.",
    }
    return RegistryError(doing, message, next((hints[words] for words in hints if re.search(words, lower)), ""))


def _layers(store: Store, digest: str, outcomes: Mapping[str, str], silent: str) -> Iterator[LayerSummary]:
    """Yield the layers as the registry has them, with what became of each; `silent` where the engine did not say."""
    root = store.resolve(digest)
    if root.media_type in INDEX_TYPES:  # a builder that adds attestations puts the image first
        root = children(read_manifest(store, root))[0]
    for layer in read_image(store, root).layers:
        # By which of the two an engine calls a layer depends on its store.
        names = (name[7:19] for name in (layer.diff_id, layer.descriptor.digest))
        outcome = next((outcomes[name] for name in names if name in outcomes), silent)
        yield LayerSummary(_title(layer.title), layer.size, outcome)


def _title(created_by: str) -> str:
    """Return what made a layer, in few words."""
    words = re.sub(r"^(RUN )?(\|\d+ .*)?/bin/sh -c (#\(nop\) )?|# buildkit$", "", created_by)
    words = " ".join(re.sub(r"--mount=\S+|--chown=\S+", " ", words).split()) or "base"
    return words if len(words) <= 60 else f"{words[:59]}…"

"""The backend that builds images with BentoML and Docker, as by hand, and tags and pushes through the engine's API."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bentoship.backend import Built, LayerSummary, Pushed
from bentoship.bento import Bento
from bentoship.docker.build import BuildOptions, build
from bentoship.docker.connection import Engine, auth_config, error_from_message, error_in
from bentoship.errors import EngineError, RegistryError, StoreError
from bentoship.image.descriptor import INDEX_TYPES, LAYER_GZIP, Descriptor
from bentoship.image.progress import Progress
from bentoship.image.reference import ImageReference
from bentoship.stores import Store
from bentoship.stores.answers import TAG_TAKEN
from bentoship.stores.credentials import Credentials
from bentoship.stores.graph import children, read_image, read_manifest
from bentoship.system.text import cut
from bentoship.system.values import dataclass

_OUTCOMES = {"Pushed": "sent", "Layer already exists": "present", "Mounted from": "mounted"}
"""The engine's final status of a layer, and the outcome that it stands for."""

# An engine's last status; engines with containerd's store report the digest in no other way.
_DIGEST = re.compile(r": digest: (sha256:[0-9a-f]{64}) size: \d+$")


@dataclass(frozen=True)
class DockerBackend:
    """A backend that builds, keeps and pushes images in an engine.

    Args:
        engine: returns the engine, or raises EngineError.
        name: returns the name of a Bento's image in the engine: "NAME:latest".
        options: the options of a build.
        registry: opens a repository to read what was pushed.
        credentials: returns the account to push with; None for anonymous.
        labels: returns the labels of a Bento's image.
    """

    engine: Callable[[], Engine]
    name: Callable[[Bento], str]
    options: BuildOptions
    registry: Callable[[ImageReference], Store]
    credentials: Callable[[], Credentials | None]
    labels: Callable[[Bento], Mapping[str, str]] = lambda _: {}

    def containerize(self, bento: Bento) -> Built:
        """Build the image of a Bento in the engine, under its name."""
        engine, name = self.engine(), self.name(bento)
        doing = f"Build {name}"
        with engine.doing(doing):
            before = engine.identity(name)
        build(engine, bento, name, self.labels(bento), self.options)
        with engine.doing(doing):
            identity = engine.identity(name)
            if before != identity:
                engine.forget(before)
            history = reversed(engine.client.api.history(identity))
            layers = tuple(LayerSummary(_title(step["CreatedBy"]), step["Size"]) for step in history if step["Size"])
        return Built(identity, layers)

    def outlook(self, bento: Bento) -> str:
        """Return a sentence on what would be built; the layers are known only after building."""
        return f"BentoML and Docker's engine at {self.engine().endpoint.host} would build {self.name(bento)}"

    def load(self, image: Built, name: str) -> str:
        """Do nothing: the engine has built the image."""
        return f"{name} is already in Docker's engine, which built it"

    def tag(self, image: Built, references: Sequence[ImageReference]) -> None:
        """Tag the image in the engine with its full names, including the registry."""
        engine = self.engine()
        for reference in references:
            with engine.doing(f"Tag the image {reference}"):
                before = engine.identity(str(reference))
                engine.client.api.tag(image.digest, reference.repository, reference.tag or "latest")
                if before != image.digest:
                    engine.forget(before)

    def push(self, image: Built, references: Sequence[ImageReference], progress: Progress) -> Pushed:
        """Have the engine push the image, tag by tag, and read back what the registry has.

        Raises: EngineError, RegistryError, or StoreError when a tag does not point at what was pushed.
        """
        engine, store = self.engine(), self.registry(references[0])
        outcomes: dict[str, str] = {}
        digest = ""
        for reference in references:
            digest = self._push_one(engine, reference, outcomes, progress)
            there = store.resolve(reference.tag or "latest").digest
            if digest and there != digest:
                raise StoreError(f"Push {reference}", f"{digest} was sent, but the registry has {there}", "Push again.")
            digest = there
        # Podman does not report layers; other engines do not report those that they did not have to check.
        silent = "" if engine.is_podman and not outcomes else "present"
        layers = tuple(_layers(store, digest, outcomes, silent))
        sent = sum(layer.size for layer in layers if layer.outcome == "sent")
        return Pushed(digest, layers, sent, sum(layer.size for layer in layers) - sent)

    def _push_one(self, engine: Engine, reference: ImageReference, outcomes: dict[str, str], progress: Progress) -> str:
        """Push one tag. Returns: the digest that the engine reports; empty when it reports none."""
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
                            # A layer that was sent for the first tag already exists for the others.
                            outcomes.setdefault(event["id"], outcome)
        if not digest and not engine.is_podman:
            raise EngineError(
                doing, f"the engine at {engine.endpoint.host} stopped during the push", "Start it and push again."
            )
        return digest


class _Layers:
    """The progress of a push, read from an engine's events."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._known: dict[str, Descriptor] = {}
        self._done: dict[str, int] = {}

    def see(self, event: Mapping[str, Any]) -> None:
        """Report the progress in an event."""
        identity, detail = str(event["id"]), event.get("progressDetail") or {}
        if detail.get("total") and identity not in self._known:
            self._known[identity] = Descriptor(LAYER_GZIP, f"sha256:{identity}", int(detail["total"]))
            self._progress.begin([self._known[identity]])
        layer, pushed = self._known.get(identity), event.get("status") == "Pushed"
        if layer is not None and (detail or pushed):
            # Slightly more is sent than the content by which the total was measured.
            done = layer.size if pushed else min(int(detail.get("current", 0)), layer.size)
            self._progress.advance(layer, done - self._done.get(identity, 0))
            self._done[identity] = done


def _denial(doing: str, message: str, host: str, account: Credentials | None) -> RegistryError | EngineError:
    """Return the error for a registry's refusal, in its words as the engine passed them on, with what to do next."""
    lower = message.lower()
    if "no space left" in lower:
        return error_from_message(doing, message)
    known = (account.rights or account.login) if account else ""
    hints = {
        r"denied|unauthorized|authentication|no basic auth|forbidden": known
        or f"Log in with an account that may push: docker login {host}",
        r"immutab": TAG_TAKEN,
        r"server gave http response to https client|does not look like a tls handshake": (
            f"Allow the engine to use HTTP with {host}: insecure-registries in daemon.json (podman: registries.conf)."
        ),
        r"connection refused|no such host": (
            f"The engine itself has to reach {host}; on another machine, localhost is that machine."
        ),
        # Engines pass on nothing but the status of such a response.
        r": 5\d\d ": "The registry reported an internal error: try again later.",
    }
    return RegistryError(doing, message, next((hints[words] for words in hints if re.search(words, lower)), ""))


def _layers(store: Store, digest: str, outcomes: Mapping[str, str], silent: str) -> Iterator[LayerSummary]:
    """Yield the layers that the registry has, each with its outcome; `silent` where the engine did not report one."""
    root = store.resolve(digest)
    if root.media_type in INDEX_TYPES:  # a builder that adds attestations puts the image first
        root = children(read_manifest(store, root))[0]
    for layer in read_image(store, root).layers:
        # An engine names a layer by one of the two, depending on its store.
        names = (name[7:19] for name in (layer.diff_id, layer.descriptor.digest))
        outcome = next((outcomes[name] for name in names if name in outcomes), silent)
        yield LayerSummary(_title(layer.title), layer.size, outcome)


def _title(created_by: str) -> str:
    """Return a short form of the command that created a layer."""
    words = re.sub(r"^(RUN )?(\|\d+ .*)?/bin/sh -c (#\(nop\) )?|# buildkit$", "", created_by)
    words = " ".join(re.sub(r"--mount=\S+|--chown=\S+", " ", words).split()) or "base"
    return cut(words, 60)

"""Printing the Kubernetes objects of a published image as YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bentoship.assembly.config import UID
from bentoship.commands.terminal import Terminal, result
from bentoship.commands.versions import published
from bentoship.errors import BentoshipError, StoreError
from bentoship.image import keys
from bentoship.image.manifest import Image
from bentoship.image.platforms import platform_fields
from bentoship.image.reference import ImageReference
from bentoship.project import Run, begin
from bentoship.stores.artifacts import referrers
from bentoship.stores.graph import manifests_of, read_image
from bentoship.system.network import is_loopback
from bentoship.system.values import dataclass
from bentoship.versions import knative, kubernetes
from bentoship.versions.contents import NO_PLATFORM
from bentoship.versions.kubernetes import Deployed, Resources, Server
from bentoship.versions.yaml_output import to_yaml

_MEMORY = re.compile(r"(?=.*[1-9])\d{1,15}(\.\d{1,3})?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?")
_CPU = re.compile(r"(?=.*[1-9])(\d{1,6}(\.\d{1,3})?|\d{1,9}m)")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}$)(\*\.)?{_LABEL}(\.{_LABEL})*")
_SECRET = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")
_BYTES = re.compile(r"[1-9]\d{0,14}")


@dataclass(frozen=True)
class Options:
    """The options of `manifest`, as the user wrote them; empty for the default.

    Args:
        version: the image's tag, digest, promoted name, or whole reference.
        memory: the memory of a container, as a Kubernetes quantity.
        cpu: its processors, likewise.
        replicas: the number of containers.
        hpa: MIN-MAX, the least and the most containers.
        ingress: a host name.
        pull_secret: the name of a Secret.
        knative: whether to print a Knative Service.
    """

    version: str = ""
    memory: str = ""
    cpu: str = ""
    replicas: str = ""
    hpa: str = ""
    ingress: str = ""
    pull_secret: str = ""
    knative: bool = False


def show(folder: Path, options: Options) -> None:
    """Print the objects for a published image of a project, as YAML on stdout.

    Args:
        folder: the project's.
        options: the options.

    Raises: BentoshipError.
    """
    unnamed = _deployed(options)
    with closing(begin(folder, Terminal())) as run:
        server = _server(run, options)
        deployed = replace(unnamed, name=kubernetes.object_name(server.image.path.rpartition("/")[2]))
        made = [knative.service(server, deployed)] if options.knative else kubernetes.objects(server, deployed)
        for line in _notes(server, deployed, options):
            run.reporter.say("manifest", line)
    result(to_yaml(made).rstrip("\n"))


def _deployed(options: Options) -> Deployed:
    """Return how the service is to run, still without a name. Raises BentoshipError for an invalid option."""
    _check("memory", options.memory, _MEMORY, "a quantity such as 512Mi or 2Gi")
    _check("cpu", options.cpu, _CPU, "a number of processors, such as 500m or 2")
    _check("replicas", options.replicas, re.compile(r"\d{1,6}"), "a number")
    _check("ingress", options.ingress, _HOST, "a host name such as models.example.com")
    _check("pull-secret", options.pull_secret, _SECRET, "the name of a Secret")
    if options.knative and options.ingress:
        why = "Knative gives each service an address by itself"
        raise BentoshipError("Read the option --ingress", why, "Leave it out, or leave out --knative.")
    if options.hpa and options.replicas:
        raise BentoshipError(
            "Read the option --replicas", "with --hpa their number is not fixed", "Leave one of them out."
        )
    scale = _range(options.hpa, least=0 if options.knative else 1) if options.hpa else None
    replicas = int(options.replicas) if options.replicas else None
    return Deployed("", replicas, scale, options.ingress, options.pull_secret)


def _check(name: str, text: str, allowed: re.Pattern[str], what: str) -> None:
    if text and not allowed.fullmatch(text):
        raise BentoshipError(f"Read the option --{name}", f"{text!r} is not {what}")


def _range(text: str, *, least: int) -> tuple[int, int]:
    found = re.fullmatch(r"(\d{1,6})-([1-9]\d{0,5})", text)
    if not found or not least <= int(found[1]) <= int(found[2]):
        hint = f"Examples are 1-5 and 2-10; the least is {least}."
        raise BentoshipError("Read the option --hpa", f"{text!r} is not MIN-MAX", hint)
    return int(found[1]), int(found[2])


def _server(run: Run, options: Options) -> Server:
    """Return the image, and what its containers need. Raises BentoshipError."""
    reference, root, bento = published(run, "manifest", options.version)
    store = run.registry(reference, push=False)
    manifests = manifests_of(store, root)
    if not manifests:
        raise StoreError(f"Read {reference}", NO_PLATFORM)
    fields = [platform_fields(platform) for platform in manifests]
    architectures = sorted({each["architecture"] for each in fields if each["os"] == "linux"})
    image = read_image(store, next(iter(manifests.values())))
    return Server(
        reference,
        UID,
        _resources(run, options, reference, image),
        # BentoML's tags have at most two names of 63 characters; annotations of other images may have anything.
        image.annotations.get(keys.BENTO, "")[:127],
        image.annotations.get(keys.VERSION, ""),
        tuple(sorted(bento.wanted_variables)),
        architectures,
    )


def _resources(run: Run, options: Options, reference: ImageReference, image: Image) -> Resources:
    """Return what a container needs. Args: reference: the image, by digest; image: one of its manifests."""
    if options.memory:
        return Resources(options.memory, options.memory, options.cpu)
    measured = _measured(run, reference)
    models = sum(layer.size for layer in image.layers if layer.kind == "model")
    needed = replace(kubernetes.resources(measured=measured, models=models), cpu=options.cpu)
    if measured is None:
        run.reporter.say(
            "manifest", f"memory is a guess, {needed.memory}; set it with --memory, or measure it with `invoke verify`"
        )
    return needed


def _measured(run: Run, reference: ImageReference) -> int | None:
    """Return the bytes of memory that an image used, the most of all measurements; None without any."""
    try:
        found = referrers(run.registry(reference, push=False), str(reference.digest), keys.STATEMENT_TYPE)
    except StoreError as error:
        run.reporter.say("manifest", f"its measurements cannot be read: {error.why}")
        return None
    return max(
        (int(text) for one in found if _BYTES.fullmatch(text := one.annotations.get(keys.MEMORY, ""))), default=None
    )


def _notes(server: Server, deployed: Deployed, options: Options) -> list[str]:
    """Return what to know and do before the objects are created."""
    notes = [f"{server.image} as {deployed.name}"]
    if is_loopback(server.image.host):
        notes.append(f"{server.image.host} is a registry of this machine, which others cannot pull from")
    if not server.variables:
        return notes
    if options.knative:
        named: Mapping[str, str] = knative.secrets(server, deployed)
        return [
            *notes,
            *(f"{name} comes from the secret {secret}, its version or key `latest`" for name, secret in named.items()),
        ]
    values = "".join(f" --from-literal={name}=…" for name in server.variables)
    secret = kubernetes.secret_name(deployed)
    return [*notes, f"create its Secret first: kubectl create secret generic {secret}{values}"]

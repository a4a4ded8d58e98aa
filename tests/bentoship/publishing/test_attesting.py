"""What is attached to an image, in the real distribution registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from bentoship.assembly.backend import DirectBackend, Workplace
from bentoship.backend import Built
from bentoship.bases.interpreter import host_platform
from bentoship.bento import Bento
from bentoship.commands.verify import tried
from bentoship.errors import SettingsError, StoreError, VerifyError
from bentoship.image import keys
from bentoship.image.artifact import Artifact
from bentoship.image.descriptor import Descriptor
from bentoship.image.platforms import manifests_by_platform
from bentoship.image.progress import SilentProgress
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Published, Run, Transfer
from bentoship.publishing.attesting import attest, attest_result
from bentoship.settings import load
from bentoship.stores.artifacts import Referrer, attach, referrers
from bentoship.stores.listing import tags
from bentoship.stores.registry import RegistryStore
from bentoship.system.progress import SILENT, Task
from bentoship.versions.evidence import bundles, cosign
from bentoship.versions.evidence.keyless import Identity, verifier
from bentoship.versions.evidence.reading import document, is_sbom, is_statement
from bentoship.versions.evidence.signing import signer
from bentoship.versions.evidence.statement import Result
from tests.support.repositories import commit
from tests.support.sigstore_parts.authority import GITHUB
from tests.support.sigstore_parts.services import WORKFLOW, Sigstore
from tests.support.synthetic import GivenBases, laid_out, synthetic_base
from tests.support.versions import detach


class Said:
    """A reporter that keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, step: str, text: str) -> None:
        """Keep a line."""
        self.lines.append(f"{step}: {text}")

    def task(self, step: str, title: str = "", **_: Any) -> AbstractContextManager[Task]:
        """Drop the progress."""
        return SILENT.task(title)

    def transfer(self, step: str, titles: Mapping[str, str]) -> AbstractContextManager[Transfer]:
        """Drop the progress."""
        return nullcontext(_Transfer())

    def pushed(self, image: Published) -> None:
        """Drop it."""


class _Transfer(SilentProgress):
    seconds = 0.0


@dataclass
class Made:
    """An image in a registry, and what has published it."""

    project: Project
    published: Published
    built: Built
    bento: Bento
    said: Said = field(default_factory=Said)

    @property
    def run(self) -> Run:
        """A run of its own."""
        return Run(self.project, self.said)

    def attest(self, **settings: Any) -> None:
        """Attach to it what is to be attached by some settings."""
        project = Project(self.project.folder, replace(self.project.settings, **settings))
        with closing(Run(project, self.said)) as run:
            attest(run, self.published, self.built, self.bento, "mark")

    @property
    def store(self) -> RegistryStore:
        """The registry."""
        return RegistryStore(self.published.tags[0], push=True)

    @property
    def root(self) -> Descriptor:
        """Its manifest or index."""
        return self.store.resolve(self.built.digest)

    @property
    def attached(self) -> list[Referrer]:
        """What refers to it."""
        return referrers(self.store, self.built.digest)

    def kinds(self) -> list[str]:
        """The kinds of what refers to it."""
        return sorted(one.annotations.get(keys.PREDICATE, one.artifact_type) for one in self.attached)


Publish = Callable[..., Made]


def _never(*_: object) -> NoReturn:
    raise AssertionError


@pytest.fixture
def publish(tmp_path: Path, repository: ImageReference) -> Iterator[Publish]:
    """Returns an image in the registry, for some platforms, of a project in a Git repository."""
    with ExitStack() as stack:

        def made(*platforms: str) -> Made:
            folder = tmp_path / "project"
            folder.mkdir()
            (folder / "service.py").touch()
            commit(folder)
            settings = load(
                folder,
                {
                    "HOME": str(tmp_path),
                    "XDG_CACHE_HOME": str(tmp_path / "cache"),
                    "PLATFORMS": ",".join(platforms),
                    "REGISTRY": f"http://{repository.host}",
                },
            )
            project, bento = Project(folder, settings), laid_out(tmp_path / "bento")
            project.hide_layout()
            run = stack.enter_context(closing(Run(project, Said())))
            bases = {name: synthetic_base(tmp_path / "bases", run.layers, platform=name) for name in platforms}
            place, store = Workplace(run.layers, run.layout, settings.scratch), RegistryStore(repository, push=True)
            backend = DirectBackend(place, platforms, lambda _: GivenBases(bases), lambda _: store, _never)
            built, names = backend.containerize(bento), (repository.with_tag("latest"),)
            backend.tag(built, names)
            return Made(project, Published(backend.push(built, names, SilentProgress()), names), built, bento)

        yield made


def test_everything_is_attached_once(publish: Publish) -> None:
    """Again only from another commit, whose provenance is another; the SBOM stays the same."""
    made = publish("linux/amd64")
    made.attest()
    assert made.said.lines[-1] == "attest: attached the provenance and an SBOM"
    assert made.kinds() == [keys.SBOM_TYPE, keys.PROVENANCE]
    made.attest()
    assert made.said.lines[-1] == "attest: everything is attached already"
    assert made.kinds() == [keys.SBOM_TYPE, keys.PROVENANCE]
    (made.project.folder / "README.md").touch()
    second = commit(made.project.folder)
    made.attest()
    assert made.said.lines[-1] == "attest: attached the provenance"
    provenance = document(made.store, made.root, "provenance", is_statement(keys.PROVENANCE))
    source = provenance["predicate"]["buildDefinition"]["resolvedDependencies"][0]
    assert source["digest"] == {"gitCommit": second}


def test_each_platform_has_an_sbom(publish: Publish) -> None:
    """At its own manifest; the provenance is at the index, and names both."""
    made = publish("linux/amd64", "linux/arm64")
    made.attest()
    root, content = made.store.read(made.built.digest)
    provenance = document(made.store, root, "provenance", is_statement(keys.PROVENANCE))
    assert [one.annotations[keys.PLATFORMS] for one in made.attached] == ["linux/amd64,linux/arm64"]
    manifests = manifests_by_platform(content)
    assert [one["digest"]["sha256"] for one in provenance["subject"]] == [
        root.hex,
        *(manifest.hex for manifest in manifests.values()),
    ]
    assert made.kinds() == [keys.PROVENANCE]
    for platform, manifest in manifests.items():
        sbom = document(made.store, manifest, "SBOM", is_sbom)
        assert f"arch={platform.partition('/')[2]}" in sbom["metadata"]["component"]["purl"]
        assert {"tool", "stars", "libc6"} <= {one["name"] for one in sbom["components"]}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wanted", "kinds"),
    [(("sbom",), [keys.SBOM_TYPE]), (("provenance",), [keys.PROVENANCE])],
    ids=["sbom", "provenance"],
)
def test_only_what_is_wanted_is_attached(wanted: tuple[str, ...], kinds: list[str], publish: Publish) -> None:
    """As ATTESTATIONS says."""
    made = publish("linux/amd64")
    made.attest(attestations=wanted)
    assert made.kinds() == kinds


def test_a_refusal_is_reported(publish: Publish) -> None:
    """The image is published all the same; what cannot be signed is an error."""
    made = publish("linux/amd64")
    made.store.delete(made.built.digest)
    made.attest()
    assert made.said.lines[-1].startswith("attest: the image is published, but nothing is attached to it: Read sha256:")


def test_what_cannot_be_signed_is_an_error(publish: Publish, key: Path) -> None:
    """Where there is a key, the image is meant to be signed."""
    made = publish("linux/amd64")
    made.store.delete(made.built.digest)
    with pytest.raises(StoreError, match="Read sha256:"):
        made.attest(signing_key=key)


def test_an_image_and_what_is_attached_are_signed(publish: Publish, key: Path) -> None:
    """Once; also what was attached before there was a key."""
    made = publish("linux/amd64")
    made.attest()
    for _ in range(2):
        made.attest(signing_key=key)
    verifier = signer(key).verifier
    assert cosign.check(made.store, made.root, verifier) == 2
    kinds = [one["predicateType"] for one in cosign.statements(made.store, made.root, verifier)]
    assert kinds == [keys.PROVENANCE, cosign.CYCLONEDX]
    assert made.kinds() == [keys.SBOM_TYPE, keys.PROVENANCE]


def test_the_images_of_an_index_are_signed_too(publish: Publish, key: Path) -> None:
    """Each by itself, as an engine may know one of them alone; once."""
    made = publish("linux/amd64", "linux/arm64")
    made.attest(signing_key=key)
    assert made.said.lines[-1].startswith("attest: attached 3 signatures, the provenance, an SBOM for linux/")
    _, content = made.store.read(made.built.digest)
    for one in (made.root, *manifests_by_platform(content).values()):
        assert cosign.check(made.store, one, signer(key).verifier) == 1
    made.attest(signing_key=key)
    assert made.said.lines[-1] == "attest: everything is attached already"


def test_a_result_is_about_the_image_that_was_tried(publish: Publish) -> None:
    """Of an index, that is one of its images; it is attached to the index, which is what is promoted."""
    made = publish("linux/amd64", "linux/arm64")
    with closing(made.run) as run:
        attest_result(run, made.published.reference, made.root, Result(True))
    said = document(made.store, made.root, "result", is_statement(keys.TEST_RESULT))
    _, content = made.store.read(made.built.digest)
    here = host_platform()
    assert {one["name"].partition(" ")[2]: one["digest"]["sha256"] for one in said["subject"]} == {
        "": made.root.hex,
        f"({here})": manifests_by_platform(content)[here].hex,
    }


def test_an_image_is_signed_without_a_key(publish: Publish, services: Sigstore) -> None:
    """By whoever the token is of, which is said; once, and nothing is where signatures by a key are."""
    made, trust = publish("linux/amd64"), services.trust()
    for _ in range(2):
        made.attest(signing="keyless", sigstore_trust_config=trust)
    assert made.said.lines == [
        f"attest: signed by {WORKFLOW} ({GITHUB})",
        "attest: attached 1 signature, the provenance and an SBOM",
        "attest: everything is attached already",
    ]
    job = verifier(Identity(WORKFLOW, GITHUB), trust)
    assert bundles.check(made.store, made.root, job) == 2
    kinds = [one["predicateType"] for one in bundles.opened(made.store, made.root, job.statement)[0]]
    assert sorted(kinds) == sorted([bundles.SIGNATURE, keys.PROVENANCE, cosign.CYCLONEDX])
    assert not [tag for tag in tags(made.store) if tag.endswith((".sig", ".att"))]


def test_what_cannot_be_signed_without_a_key_is_an_error(
    publish: Publish, services: Sigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No token, or a service that refuses; the image has nothing attached by then."""
    made, trust = publish("linux/amd64"), services.trust()
    services.failing["/api/v1/log/entries"] = 400, b'{"code": 400, "message": "entry refused"}'
    with pytest.raises(StoreError, match="entry refused"):
        made.attest(signing="keyless", sigstore_trust_config=trust)
    monkeypatch.delenv("SIGSTORE_ID_TOKEN")
    with pytest.raises(SettingsError, match="SIGSTORE_ID_TOKEN is not set"):
        made.attest(signing="keyless", sigstore_trust_config=trust)
    assert made.attached == []


def test_a_result_is_attached_even_if_it_cannot_be_signed(
    publish: Publish, services: Sigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where somebody tries an image out, who is not the job that signs."""
    made, trust = publish("linux/amd64"), services.trust()
    project = Project(
        made.project.folder, replace(made.project.settings, signing="keyless", sigstore_trust_config=trust)
    )
    with closing(Run(project, made.said)) as run:
        attest_result(run, made.published.reference, made.root, Result(True))
        monkeypatch.delenv("SIGSTORE_ID_TOKEN")
        attest_result(run, made.published.reference, made.root, Result(False))
    results = [one for one in made.attached if one.artifact_type == keys.STATEMENT_TYPE]
    assert [one.annotations[keys.VERIFIED] for one in results] == ["true", "false"]
    signed, _ = bundles.opened(made.store, made.root, verifier(Identity(WORKFLOW, GITHUB), trust).statement)
    assert [one["predicate"]["result"] for one in signed] == ["PASSED"]
    assert "the result is not signed: Find the identity to sign by: " in made.said.lines[-1]


def test_an_image_that_another_has_signed_is_not_run(
    publish: Publish, services: Sigstore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only who is set counts, at the provider that is set; the error comes before anything of the image is run."""
    made, trust = publish("linux/amd64"), services.trust()
    made.attest(signing="keyless", sigstore_trust_config=trust)
    settings = replace(made.project.settings, signing_identity="ada@example.com", signing_issuer=GITHUB)
    project = Project(made.project.folder, replace(settings, sigstore_trust_config=trust))
    with closing(Run(project, made.said)) as run, pytest.raises(VerifyError, match="none of its signatures") as raised:
        tried(run, made.published.reference)
    assert WORKFLOW in raised.value.why


def test_what_others_have_attached_is_not_signed(publish: Publish, key: Path) -> None:
    """A forged provenance of the same commit keeps ours from being attached beside it, but ours is what is signed."""
    made = publish("linux/amd64")
    made.attest(attestations=("provenance",))
    (own,) = made.attached
    detach(made.store, made.built.digest, [own])
    attach(made.store, Artifact(keys.STATEMENT_TYPE, [], own.annotations, made.root))
    made.attest(signing_key=key)
    (signed, _) = cosign.statements(made.store, made.root, signer(key).verifier)
    assert signed["predicate"]["buildDefinition"]["buildType"]


def test_a_result_is_attached_when_it_changes(publish: Publish) -> None:
    """The newest counts; one that says the same as it adds nothing."""
    made = publish("linux/amd64")
    reference = made.published.reference
    for works in (True, True, False, False):
        with closing(made.run) as run:
            attest_result(run, reference, made.root, Result(works))
    assert [one.annotations[keys.VERIFIED] for one in made.attached] == ["true", "false"]
    assert made.said.lines == ["verify: attached the result to the image"] * 2

"""Rebuilding a published image from its commit, to prove that the image is what the commit makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bentoship.assembly.diff import differences, published_images
from bentoship.assembly.plan import Unplanned
from bentoship.errors import ProcessError, StoreError, VerifyError
from bentoship.image import keys
from bentoship.image.descriptor import Descriptor
from bentoship.image.reference import ImageReference
from bentoship.project import Project, Run
from bentoship.publishing.backends import planned_images
from bentoship.publishing.planning import Reasons
from bentoship.publishing.steps import build, containerize
from bentoship.stores.artifacts import referrers
from bentoship.stores.nearest import Nearest
from bentoship.system.files import private_folder, temporary_folder
from bentoship.system.git import check_out
from bentoship.system.values import dataclass
from bentoship.versions.evidence.reading import is_statement, newest


@dataclass(frozen=True)
class Rebuilt:
    """An image that was rebuilt.

    Args:
        commit: the commit that it was built from.
        digest: the digest of its manifest or index.
        reasons: why that differs from the published one; None when it does not.
    """

    commit: str
    digest: str
    reasons: Reasons | None


def rebuild(run: Run, image: ImageReference, root: Descriptor) -> Rebuilt:
    """Rebuild an image from the commit that its provenance names, with empty caches and the current settings.

    Args:
        run: the run, in a clone of the repository.
        image: its name.
        root: its manifest or index.

    Raises: VerifyError when it names no such commit, or the repository does not have it; BentoshipError.
    """
    if run.project.settings.bento:
        why = "BENTO names a Bento that is built already, whatever the commit has"
        raise VerifyError(f"Rebuild {root.digest}", why, "Leave BENTO and --bento out.")
    commit = _commit(run, image, root)
    with _clone(run, image, commit) as other:
        digest = containerize(other).digest
        return Rebuilt(commit, digest, None if digest == root.digest else _reasons(run, other, image, root))


def _commit(run: Run, image: ImageReference, root: Descriptor) -> str:
    """Return the commit that an image was made from, without other changes. Raises VerifyError."""
    doing = f"Find the commit of {root.digest}"
    found = list(filter(is_statement(keys.PROVENANCE), referrers(run.registry(image, push=False), root.digest)))
    exact = newest([one for one in found if one.annotations.get(keys.CLEAN) == "true"])
    if exact and (commit := exact.annotations.get(keys.COMMIT)):
        return commit
    why = "its provenance says that the project differed from its commit" if found else "it has no provenance"
    raise VerifyError(doing, why, "Commit every change, and publish again: then an image names what it was made from.")


@contextmanager
def _clone(run: Run, image: ImageReference, commit: str) -> Iterator[Run]:
    """Begin a run in a clone with a commit, whose caches are empty but for downloads and the models in the store."""
    project, settings = run.project, run.project.settings
    doing = f"Check out the commit {commit} of {image}"
    with temporary_folder(settings.scratch, "rebuild-") as place:
        try:
            folder = check_out(project.folder, commit, place / "source")
        except ProcessError as error:
            hint = "Fetch it (`git fetch`), and run this in the repository that the image comes from."
            raise VerifyError(doing, error.why, hint) from error
        if not folder.is_dir():
            hint = "If the project was in another one then, check the commit out, and run this there."
            raise VerifyError(doing, f"it has no folder {folder.relative_to(place / 'source')}", hint)
        private_folder(place / "cache")
        if (downloads := settings.cache / "apt").is_dir():
            (place / "cache" / "apt").symlink_to(downloads.absolute())
        lend(settings.bentoml_home / "models", place / "home" / "models")
        bentofile = settings.bentofile
        changed = replace(
            settings,
            cache=place / "cache",
            bentoml_home=place / "home",
            load_image=False,
            bentofile=_moved(bentofile, project.folder, folder) if bentofile else None,
        )
        with closing(Run(Project(folder, changed), run.reporter)) as other:
            yield other


def lend(models: Path, own: Path) -> None:
    """Make a store of models that has those of another one; what is imported into it does not get there.

    Args:
        models: the folder with the models of the other store, which need not exist.
        own: that of the new one.
    """
    private_folder(own)
    for kept in models.glob("*/*"):
        place = private_folder(own / kept.parent.name) / kept.name
        if kept.is_dir():
            place.symlink_to(kept.absolute())
        elif kept.is_file():  # the name of the latest one
            place.write_bytes(kept.read_bytes())


def _moved(file: Path, old: Path, new: Path) -> Path:
    """Return where a file is in a clone; one outside of the project stays where it is."""
    return new / file.relative_to(old) if file.is_relative_to(old) else file


def _reasons(run: Run, other: Run, image: ImageReference, root: Descriptor) -> Reasons:
    """Return why a run made another image. Args: as of `rebuild`; other: the run."""
    images = planned_images(other, build(other))
    if isinstance(images, Unplanned):
        return Reasons(root.digest, unknown="what an engine builds differs each time")
    blobs = Nearest((other.layout, other.layer_layout), run.registry(image, push=False))
    try:
        return Reasons(root.digest, differences(images, published_images(blobs, root), blobs))
    except StoreError as error:
        return Reasons(root.digest, unknown=f"{root.digest} cannot be compared: {error.why}")

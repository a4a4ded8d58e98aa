"""The steps from a BentoML service to an image in a registry. `invoke --list` lists them, `invoke publish` runs all."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from invoke.context import Context

from bentoship import commands, invoke_adapter
from bentoship.invoke_adapter import do, show, task


@task
def enable_api(context: Context) -> None:
    """Enable the registry's API in the cloud project."""
    do(context, commands.publish.enable_api)


@task(pre=[enable_api])
def create_registry(context: Context) -> None:
    """Create the container registry."""
    do(context, commands.publish.create_registry)


@task
def auth(context: Context) -> None:
    """Log in to the registry and check that the account may push."""
    do(context, commands.publish.auth)


@task
def build(context: Context) -> None:
    """Build the Bento, unless it is up to date."""
    do(context, commands.publish.build)


@task(
    pre=[invoke_adapter.prepare, build], help={"load": "also load the image into Docker's engine, as IMAGE_NAME:latest"}
)
def containerize(context: Context, load: bool = False) -> None:
    """Assemble the image of the Bento."""
    do(context, commands.publish.load if load else commands.publish.containerize)


@task(pre=[containerize])
def tag(context: Context) -> None:
    """Tag the image for the registry."""
    do(context, commands.publish.tag)


@task(
    pre=[invoke_adapter.check, auth, tag],
    help={"model_artifact": "then push the models by themselves, which takes a few kB"},
)
def push(context: Context, model_artifact: bool = False) -> None:
    """Send what the registry lacks, then move the tags."""
    do(context, commands.publish.push_models if model_artifact else commands.publish.push)


@task(
    pre=[invoke_adapter.check, create_registry, push],
    default=True,
    help={
        "verify": "then run the image and check its answer",
        "model_artifact": "then push the models by themselves, which takes a few kB",
    },
)
def publish(context: Context, verify: bool = False, model_artifact: bool = False) -> None:
    """Build the image and push it to the registry."""
    do(context, commands.verify.publish_verified if verify else commands.publish.publish)
    if model_artifact:
        do(context, commands.publish.push_models)


@task(
    help={
        "rebuild": "instead, rebuild it from its commit and compare the digests",
        "version": "a tag, digest or promoted name; by default the project's first tag",
    },
)
def verify(context: Context, rebuild: bool = False, version: str = "") -> None:
    """Run the published image and check its answer."""
    step = partial(commands.verify.verify_rebuilt if rebuild else commands.verify.verify, version=version)
    do(context, step, dry=commands.plan.saying("would pull the published image, try it, and attach the result"))


@task(
    at_once=False,
    auto_shortflags=False,
    help={
        "version": "a tag, digest or promoted name; by default the project's first tag",
        "memory": "such as 1Gi; by default what verify measured, or a guess",
        "cpu": "such as 500m",
        "replicas": "how many containers; by default one",
        "hpa": "MIN-MAX containers, depending on the load",
        "ingress": "the host name of the service",
        "pull_secret": "the Secret with the account for the registry",
        "knative": "print a Knative Service, which Cloud Run takes, too",
    },
)
def manifest(
    context: Context,
    version: str = "",
    memory: str = "",
    cpu: str = "",
    replicas: str = "",
    hpa: str = "",
    ingress: str = "",
    pull_secret: str = "",
    knative: bool = False,
) -> None:
    """Print Kubernetes objects for the published image."""
    words = version, memory, cpu, replicas, hpa, ingress, pull_secret, knative
    show(context, lambda folder: commands.manifest.show(folder, commands.manifest.Options(*words)))


@task(at_once=False, iterable=["file"], help={"file": "a YAML or JSON file, or - for stdin; repeatable"})
def resolve(context: Context, file: list[str]) -> None:
    """Print YAML with digests for its bentoship://NAME[:TAG]."""
    show(context, lambda folder: commands.resolve.show(folder, file))


@task(help={"why": "also print what has changed since the last publish", "json": "print JSON"})
def plan(context: Context, why: bool = False, json: bool = False) -> None:
    """Print what publish would do, without doing it."""
    show(context, lambda folder: commands.plan.show(folder, why=why, as_json=json))


@task(
    help={
        "all": "also list the images beside this one",
        "history": "print the promotions to a name such as production",
        "sbom": "print the SBOM of a version",
        "provenance": "print the provenance of a version",
        "json": "print JSON",
    }
)
def versions(
    context: Context, all: bool = False, history: str = "", sbom: str = "", provenance: str = "", json: bool = False
) -> None:
    """List the versions of the image that the registry has."""

    def report(folder: Path) -> None:
        if sbom:
            commands.evidence.show(folder, "sbom", sbom)
        elif provenance:
            commands.evidence.show(folder, "provenance", provenance)
        elif history:
            commands.versions.show_history(folder, history, as_json=json)
        else:
            commands.versions.show(folder, every=all, as_json=json)

    show(context, report, either={"--all": all, "--history": history, "--sbom": sbom, "--provenance": provenance})


@task(
    help={
        "old": "a tag, a promoted name or a digest; by default the promoted version",
        "new": "the same; by default the newest version",
        "answers": "also run both, and compare their answers to the sample request",
        "markdown": "print Markdown, for a pull request",
        "json": "print JSON",
    }
)
def compare(
    context: Context, old: str = "", new: str = "", answers: bool = False, markdown: bool = False, json: bool = False
) -> None:
    """Compare two versions of the image in the registry."""
    form = "json" if json else "markdown" if markdown else "text"
    forms = {"--json": json, "--markdown": markdown}
    show(context, lambda folder: commands.compare.show(folder, old, new, answers=answers, form=form), either=forms)


@task(help={"json": "print JSON"})
def doctor(context: Context, json: bool = False) -> None:
    """Check that this machine is ready to publish."""
    show(context, lambda folder: commands.doctor.show(commands.doctor.examine(folder), as_json=json))


@task(
    at_once=False,
    auto_shortflags=False,
    iterable=["if_"],
    help={
        "version": "a tag or digest of the image",
        "name": "such as production",
        "if_": "a comparison of a metric that has to hold, such as 'accuracy >= 0.97'; repeatable",
        "if_better_than": "a tag or digest that it has to beat",
        "metric": "the metric to compare them by",
        "if_verified": "only if it worked when it was last verified",
        "why": "for the record",
        "yes": "do not ask before replacing",
    },
)
def promote(
    context: Context,
    version: str,
    name: str,
    if_: list[str],
    if_better_than: str = "",
    metric: str = "",
    if_verified: bool = False,
    why: str = "",
    yes: bool = False,
) -> None:
    """Point a name such as production at a version."""
    requirements = commands.promote.Requirements(if_, if_better_than, metric, if_verified)
    do(
        context,
        lambda run: commands.promote.promote(run, version, name, requirements, why=why, yes=yes),
        dry=lambda run: commands.promote.promote(run, version, name, requirements, dry=True),
    )


@task(
    at_once=False,
    auto_shortflags=False,
    help={"name": "such as production", "why": "for the record", "yes": "do not ask before replacing"},
)
def rollback(context: Context, name: str, why: str = "", yes: bool = False) -> None:
    """Point a name such as production back at the version before."""
    do(
        context,
        lambda run: commands.promote.rollback(run, name, why=why, yes=yes),
        dry=lambda run: commands.promote.rollback(run, name, dry=True),
    )


@task(help={"output": "the file, or - for stdout; by default catalog.html in the project's folder"})
def catalog(context: Context, output: str = "") -> None:
    """Write an HTML page of the versions in the registry."""
    says = commands.plan.saying("would write a page of all versions")
    do(context, lambda run: commands.catalog.catalog(run, output), dry=says)


@task(help={"json": "print JSON"})
def services(context: Context, json: bool = False) -> None:
    """List the APIs that are enabled in the Google Cloud project."""
    show(context, lambda folder: commands.cloud.show(folder, "services", as_json=json))


@task(help={"json": "print JSON"})
def projects(context: Context, json: bool = False) -> None:
    """List the Google Cloud projects that you can see."""
    show(context, lambda folder: commands.cloud.show(folder, "projects", as_json=json))


@task(help={"json": "print JSON"})
def locations(context: Context, json: bool = False) -> None:
    """List the locations of Google Artifact Registry."""
    show(context, lambda folder: commands.cloud.show(folder, "locations", as_json=json))


@task(at_once=False)
def stop_registry(context: Context) -> None:
    """Stop the local registry and keep its images."""
    do(context, commands.cleanup.stop_registry, dry=commands.plan.saying("would stop the local registry"))


@task(
    at_once=False,
    auto_shortflags=False,
    help={
        "registry": "delete old versions from the registry instead; a dry run without --yes",
        "keep": "how many of the newest versions stay there",
        "older_than": "the age from which the others are deleted, such as 30d, 12h or 8w",
        "others": "also delete images that bentoship did not make",
        "yes": "delete them, not only list them",
    },
)
def clean(
    context: Context,
    registry: bool = False,
    keep: str = "",
    older_than: str = "",
    others: bool = False,
    yes: bool = False,
) -> None:
    """Remove what can be rebuilt; with --registry, old versions."""
    if registry or keep or older_than or others:
        step = partial(commands.retention.clean_registry, keep=keep, older_than=older_than, others=others)
        do(context, partial(step, yes=yes), dry=partial(step, yes=False))
    else:
        says = commands.plan.saying("would remove caches and this project's images")
        do(context, commands.cleanup.clean, dry=says)

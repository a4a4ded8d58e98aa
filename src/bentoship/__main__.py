"""The program `bentoship`: the tasks without a tasks.py, and `init`, which writes one."""

from bentoship import commands, invoke_adapter, tasks
from bentoship.invoke_adapter import Context, show, task


@task(at_once=False, help={"github": "also write .github/workflows/publish.yaml", "yes": "do not ask"})
def init(context: Context, github: bool = False, yes: bool = False) -> None:
    """Set a project up to publish with invoke."""
    show(context, lambda folder: commands.init.init(folder, github=github, yes=yes))


def main() -> None:
    """Run the command line."""
    invoke_adapter.main(tasks, init)


if __name__ == "__main__":
    main()

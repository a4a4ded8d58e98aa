"""The program `bentoship`: the tasks without a tasks.py, and `init`, which writes one."""

from bentoship import invoke_adapter, tasks


def main() -> None:
    """Run the command line."""
    invoke_adapter.main(tasks, invoke_adapter.init)


if __name__ == "__main__":
    main()

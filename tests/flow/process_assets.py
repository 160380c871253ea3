"""Assets that choose, wait and go through items in worker processes."""

from contextlib import suppress

from flowstone import Context, Pipeline, Skip

pipeline = Pipeline("processes")


@pipeline.asset(run_in="process")
def in_a_process() -> int:
    """Has nothing to do."""
    raise Skip("in a process")


@pipeline.asset(run_in="process")
def swallows(context: Context) -> int:
    """Does not let `Waiting` pass."""
    with suppress(BaseException):
        context.sleep("nap", 60.0)
    return 1


@pipeline.asset
def files() -> list[str]:
    """What there is to be done."""
    return ["a", "b"]


@pipeline.asset(run_in="process", each="files")
def page(files: str, context: Context) -> str:
    """Waits, as an item cannot."""
    context.sleep("nap", 60.0)
    return files


@pipeline.asset(run_in="process", each="files")
def kept(files: str, context: Context) -> str:
    """Does something once, as an item cannot."""
    return context.once_sync("done", files.upper)

"""Assets that are skipped by choice in worker processes."""

from flowstone import Pipeline, Skip

pipeline = Pipeline("processes")


@pipeline.asset(run_in="process")
def in_a_process() -> int:
    """Has nothing to do."""
    raise Skip("in a process")

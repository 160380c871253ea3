"""`flowstone items`: what became of the items of a step, by whatever name it is asked for."""

from __future__ import annotations

import pytest

PAGES = """
from flowstone import DailyPartitions, Each, Pipeline, Retry, Skip

pipeline = Pipeline("pages")
days = DailyPartitions("2025-01-01", "2025-01-03")


@pipeline.asset
def files() -> list[str]:
    return ["a", "b", "c", "d"]


@pipeline.asset(each=Each("files", tolerate=1, key=lambda name: f"{name}.html", retry=Retry(attempts=2, delay=0)))
def page(files: str, context) -> str:
    if files == "b" or (files == "d" and context.attempt == 1):
        raise ValueError(f"no {files}\\nat all")
    if files == "c":
        raise Skip("it is empty")
    return files


@pipeline.asset
def numbers():
    yield from range(30)


@pipeline.asset(each="numbers")
def double(numbers: int) -> int:
    return 2 * numbers


@pipeline.asset(partitions=days)
def names(context) -> list[int]:
    return [context.partition.day]


@pipeline.asset(partitions=days, each="names")
def by_day(names: int) -> int:
    return names


@pipeline.asset
def end(page: list[str], double: list[int], files: list[str]) -> int:
    return len(page)
"""


@pytest.fixture
def run_id(shop, cli):
    """Of a run of all that has no partitions."""
    (shop / "pages.py").write_text(PAGES)
    return cli("materialize", "pages.py", "end", "--upstream", "--json").document["run_id"]


def test_items_are_listed_in_their_order(cli, shop, run_id):
    """With what names them, how they ended, the attempt if there were several, and why one has no value."""
    listed = cli("items", run_id[:8], "page")
    assert (listed.status, listed.stderr) == (0, "--debug shows the whole traceback.\n")
    assert listed.stdout.splitlines() == [
        "        0  a.html  succeeded",
        "        1  b.html  failed  attempt 2  ValueError: no b\\nat all (pages.py:16)",
        "        2  c.html  skipped  it is empty",
        "        3  d.html  succeeded  attempt 2",
    ]
    document = cli("items", run_id, "page", "--json", "--status", "failed").document
    assert (document["run"], document["asset"]) == (run_id, "page")
    (item,) = document["items"]
    assert (item["position"], item["key"], item["status"], item["attempt"]) == (1, "b.html", "failed", 2)
    assert item["failure"] == {
        "kind": "error",
        "message": "ValueError: no b\nat all",
        "retryable": True,
        "cause": None,
        "where": str(shop / "pages.py") + ":16",
    }


def test_failed_items_show_their_tracebacks_with_debug(cli, run_id):
    """Below the line of each, and in JSON; the place in the user's code is there without it."""
    listed = cli("items", run_id, "page", "--status", "failed", "--debug").stdout.splitlines()
    assert listed[0].endswith("(pages.py:16)")
    assert listed[1].startswith("Traceback")
    assert listed[-2:] == ["ValueError: no b", "at all"]
    (item,) = cli("items", run_id, "page", "--status", "failed", "--debug", "--json").document["items"]
    assert item["failure"]["traceback"].startswith("Traceback")


def test_tolerated_failures_are_told_where_the_step_is_told(cli, shop):
    """A run that succeeded without some items says so when it ends, and each time it is looked at."""
    (shop / "pages.py").write_text(PAGES)
    made = cli("materialize", "pages.py", "end", "--upstream")
    (run,) = cli("runs", "--json").document["runs"]
    listing = f"`flowstone items {run['id']} page --status failed` lists them"
    told = f"page  succeeded  1 of 4 items failed (tolerated); {listing}"
    assert told in made.stdout.splitlines()
    shown = cli("run", run["id"], "--limit", 0).stdout
    assert told in shown.splitlines()
    table = cli("run", run["id"]).stdout.splitlines()
    (row,) = (line for line in table if line.startswith("page ") and "lists them" not in line)
    assert row.endswith("1 of 4 items failed, 1 skipped")
    assert cli("status", "page").stdout.splitlines()[-1].endswith("1 of 4 items failed (tolerated)")
    reused = cli("materialize", "pages.py", "end", "--upstream", "--refresh", "missing").stdout
    assert told.replace("succeeded", "reused") in reused.splitlines()


def test_tolerated_failures_in_many_partitions_are_counted(cli, shop):
    """Each with the command that lists its items; of very many the first ones."""
    (shop / "many.py").write_text(
        "from flowstone import Each, Pipeline, StaticPartitions\n"
        "pipeline = Pipeline('many')\n"
        "keys = StaticPartitions([f'part {number:02}' for number in range(23)])\n"
        "@pipeline.asset(partitions=keys)\n"
        "def files(context) -> list[int]:\n"
        "    return [1, 0]\n"
        "@pipeline.asset(partitions=keys, each=Each('files', tolerate=1))\n"
        "def page(files: int) -> float:\n"
        "    return 1 / files\n"
    )
    lines = cli("backfill", "many.py", "page", "--upstream", "--max-parallel", 1).stdout.splitlines()
    (run,) = cli("runs", "--json").document["runs"]
    told = [line for line in lines if line.startswith("page[")]
    assert len(told) == 20
    assert told[0] == (
        "page[part 00]  succeeded  1 of 2 items failed (tolerated); "
        f"`flowstone items {run['id']} page --partition 'part 00' --status failed` lists them"
    )
    assert "... and 3 more steps without some of their items: --json lists them." in lines
    assert "failed" in cli("items", run["id"], "page", "--partition", "part 00", "--status", "failed").stdout


@pytest.mark.parametrize("asset", ["double", "numbers"])
def test_many_are_listed_page_by_page(cli, run_id, asset):
    """Those that were read as well, which are recorded many in a row."""
    first = cli("items", run_id, asset)
    assert len(first.stdout.splitlines()) == 20
    assert "--offset 20 shows what follows." in first.stderr
    rest = cli("items", run_id, asset, "--offset", 20)
    assert [line.split()[0] for line in rest.stdout.splitlines()] == [str(number) for number in range(20, 30)]
    assert rest.stderr == ""
    assert len(cli("items", run_id, asset, "--limit", 3, "--json").document["items"]) == 3
    assert cli("items", run_id, asset, "--status", "failed").stdout == ""


def test_a_partition_has_items_of_its_own(cli, shop, run_id):
    ended = cli("backfill", "pages.py", "by_day", "--upstream", "--json").document["run_id"]
    assert cli("items", ended, "by_day", "--partition", "2025-01-02").stdout == "        0  succeeded\n"
    wrong = cli("items", ended, "by_day", "--partition", "2025-01-20")
    assert (wrong.stdout, wrong.status) == ("", 0)
    assert "has recorded no such items of by_day[2025-01-20]." in wrong.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["{run}", "pag"], "has recorded no such items of pag. Did you mean 'page'?"),
        (["{run}", "files"], "has recorded no such items of files."),
        (["{wrong}", "page"], "knows no run '{wrong}': `flowstone runs` lists them."),
        (["{run}", "page", "--status", "running"], "No item is ever 'running'."),
        (["{run}", "page", "--limit", "-1"], "'-1'"),
        (["{run}", "page", "--offset", "many"], "'many'"),
    ],
)
def test_what_was_meant_is_said(cli, run_id, words, told):
    given = {"run": run_id, "wrong": run_id[:-1] + "zz"}
    result = cli("items", *(word.format(**given) for word in words))
    assert result.stdout == ""
    assert told.format(**given) in " ".join(result.stderr.split())

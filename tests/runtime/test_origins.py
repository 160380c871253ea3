"""Two pipelines in one store with an asset of the same name: whoever takes the other's value is told."""

from __future__ import annotations

import logging

import pytest

from flowstone import Pipeline, Runtime


def pipeline_of(name):
    """One with `orders` and `total`."""
    pipeline = Pipeline(name)

    @pipeline.asset
    def orders() -> int:
        return len(name)

    @pipeline.asset
    def total(orders: int) -> int:
        return orders

    return pipeline


@pytest.fixture(params=["file", "postgres"])
def store(request, tmp_path):
    """A store that two programs use, one after the other."""
    return f"file://{tmp_path}/runs" if request.param == "file" else request.getfixturevalue("database")


@pytest.fixture
def told(caplog):
    """The warnings."""
    caplog.set_level(logging.WARNING, "flowstone.values")
    return lambda: [record.getMessage() for record in caplog.records if record.name == "flowstone.values"]


async def test_a_value_of_another_pipeline_is_told_once(store, told):
    """When it is used or planned to be: by a step that needs it, by a run that reuses it, by a plan."""
    async with Runtime(pipeline_of("sales"), store=store) as first:
        await first.materialize_all("total")
        await first.materialize_all("total", refresh="missing")
        run_id = (await first.history("orders"))[-1].run_id
        assert told() == []
    words = f"orders was computed by the pipeline 'sales' in run {run_id}, and is used by 'crm'"
    async with Runtime(pipeline_of("crm"), store=store) as second:
        await second.materialize("total")
        await second.materialize("total")
        assert [words in line for line in told()] == [True]
    async with Runtime(pipeline_of("crm"), store=store) as third:
        await third.plan("orders", upstream=True, refresh="missing")
        assert [words in line for line in told()] == [True, True]
        await third.materialize_all("orders", refresh="missing")
        assert len(told()) == 2


async def test_pipelines_that_work_together_are_told_nothing(store, told):
    """In one runtime, or where one includes the other."""
    sales = pipeline_of("sales")
    async with Runtime(sales, store=store) as first:
        await first.materialize("orders")
    async with Runtime([sales, Pipeline("other")], store=store) as second:
        await second.materialize_all("total", refresh="missing")
    reports = Pipeline("reports")
    reports.include(sales)
    async with Runtime(reports, store=store) as third:
        await third.materialize("total")
    assert told() == []

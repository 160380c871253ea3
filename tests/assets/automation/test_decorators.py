"""A decorator that decorates nothing, and a definition that is written as one, are told from what was meant."""

from __future__ import annotations

import pickle

import pytest

from flowstone import DefinitionError, FileSensor, Pipeline, Runtime


def shop():
    """A pipeline with an asset."""
    pipeline = Pipeline("shop")

    @pipeline.asset
    async def report() -> int:
        return 1

    return pipeline


class TestAsDecorator:
    """What defines something by itself gives nothing that a function could be handed to."""

    def test_a_schedule_of_an_asset(self):
        """The line is told, and nothing is defined."""
        pipeline = shop()
        with pytest.raises(
            DefinitionError, match=r"test_decorators\.py:\d+: schedule\('n', asset=…\) defines all"
        ):

            @pipeline.schedule("n", cron="@daily", asset="report")
            def nightly(tick):
                return None

        with pytest.raises(
            DefinitionError, match="leave out the @ and the function below it, or leave out asset="
        ):

            @pipeline.schedule(
                "n",
                cron="@daily",
                asset="report",
            )
            def weekly(tick):
                return None

        assert dict(pipeline.automations) == {}

    def test_a_sensor_with_its_function(self):
        """As the schedule."""
        pipeline = shop()
        with pytest.raises(DefinitionError, match=r"sensor\('n', function\) defines all there is"):

            @pipeline.sensor("n", FileSensor("landing/*", asset="report"))
            def landing(context):
                return None

    def test_as_a_statement_it_is_one(self):
        """In one line or several; and so is one whose line nobody can read."""
        pipeline = shop()
        pipeline.schedule("one", cron="@daily", asset="report")
        pipeline.schedule(
            "two",
            cron="@daily",
            asset="report",
        )
        exec('pipeline.schedule("three", cron="@daily", asset="report")', {"pipeline": pipeline})
        assert list(pipeline.automations) == ["one", "two", "three"]


FORGOTTEN = [
    (
        lambda it: it.schedule("nightly", cron="@daily"),
        r"schedule\('nightly', cron=…\) stands above no function, so it defines nothing.*or give it asset=…\.",
    ),
    (
        lambda it: it.sensor("landing", every=5),
        r"sensor\('landing'\) stands above no function.*or pass it the function\.",
    ),
    (
        lambda it: it.on("run.failed", "asset"),
        r"write @pipeline\.on\('run.failed', 'asset'\) above one\.",
    ),
]


@pytest.mark.parametrize(("forget", "message"), FORGOTTEN)
class TestThatDecoratesNothing:
    """It is said wherever the pipeline is used."""

    async def test_where_the_pipeline_is_used(self, forget, message):
        """Its graph, a runtime of it or of several, and a pipeline that includes it."""
        pipeline = shop()
        forget(pipeline)
        message = r"^test_decorators\.py:\d+: .*" + message
        with pytest.raises(DefinitionError, match=message):
            _ = pipeline.graph
        for given in (pipeline, [Pipeline("other"), pipeline]):
            with pytest.raises(DefinitionError, match=message):
                async with Runtime(given):
                    pass
        with pytest.raises(DefinitionError, match=message):
            Pipeline("all").include(pipeline)

    async def test_one_that_is_applied_later(self, forget, message):
        """Is as good as any; also to a function that it does not fit, of which something else is said."""
        del message
        pipeline = shop()
        decorator = forget(pipeline)
        with pytest.raises(DefinitionError, match=r"takes a function|is a function"):
            decorator(7)
        async with Runtime(pipeline):
            pass

    def test_at_a_prompt_it_is_shown_and_corrected(self, forget, message):
        """So it holds up nothing there."""
        del message
        pipeline = shop()
        code = compile("forgotten = forget(pipeline)", "<stdin>", "exec")
        exec(code, {"__name__": "__main__", "pipeline": pipeline, "forget": _typed(forget)})
        assert len(pipeline.graph) == 1

    def test_a_pipeline_is_pickled_with_what_is_known_of_it(self, forget, message):
        """Another process says the same."""
        pipeline = Pipeline("empty")
        forget(pipeline)
        with pytest.raises(DefinitionError, match=message):
            _ = pickle.loads(pickle.dumps(pipeline)).graph


def _typed(forget):
    """The same function, as if it had been typed at the prompt."""
    code = forget.__code__.replace(co_filename="<stdin>")
    return type(forget)(code, {"__name__": "__main__"})

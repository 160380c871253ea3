"""The small things an asset's function touches: context, output, retry and resource markers."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import date

import pytest
import structlog

from flowstone.assets import Context, Output, Resource, Retry
from flowstone.errors import DefinitionError, ResourceUnavailable


def context(**changes) -> Context:
    return Context(**{"asset": "report", "partition_key": "eu", "run_id": "r1", "attempt": 2, **changes})


# Context ----------------------------------------------------------------------------------------------------


def test_a_context_knows_its_attempt():
    """Asset, partition, run and attempt, and a repr that says them."""
    here = context(partition="eu")
    assert (here.asset, here.partition, here.partition_key, here.run_id, here.attempt) == (
        "report",
        "eu",
        "eu",
        "r1",
        2,
    )
    assert repr(here) == "Context(report[eu], run r1, attempt 2)"
    assert repr(Context("report")) == "Context(report, run -, attempt 1)"


def test_resources_are_reached_by_attribute_and_item():
    """Both ways give the very object; asking which there are works too."""
    pool = object()
    resources = context(resources={"db": pool}).resources
    assert resources.db is pool
    assert resources["db"] is pool
    assert "db" in resources
    assert list(resources) == ["db"]
    assert len(resources) == 1
    assert repr(resources) == "Resources(db)"


def test_a_resource_that_was_not_required_is_refused():
    """The error names the asset, the resource and the two remedies; `hasattr` still just says no."""
    resources = context(resources={"db": 1}).resources
    for ask in (lambda: resources["cache"], lambda: resources.cache):
        with pytest.raises(
            ResourceUnavailable, match=r"'report' did not require the resource 'cache'.*requires="
        ):
            ask()
    assert not hasattr(resources, "cache")
    assert getattr(resources, "cache", None) is None
    assert context().resources is not None


def test_resources_are_looked_up_once():
    """The view of the resources is made on first use and kept."""
    here = context(resources={"db": 1})
    assert here.resources is here.resources


def test_metadata_belongs_to_the_attempt():
    """Empty at first, mutable, and never shared between two contexts."""
    one, other = context(), context()
    one.metadata["rows"] = 3
    assert one.metadata == {"rows": 3}
    assert other.metadata == {}


def test_progress_reaches_the_callback():
    """Fraction as a float, with its message."""
    heard = []
    here = context(on_progress=lambda fraction, message: heard.append((fraction, message)))
    here.progress(0)
    here.progress(0.5, "half")
    here.progress(1)
    assert heard == [(0.0, None), (0.5, "half"), (1.0, None)]
    assert all(isinstance(fraction, float) for fraction, _ in heard)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, 50, float("nan"), True, "half", None])
def test_progress_is_a_fraction(fraction):
    """A percentage, or no number at all, is refused."""
    with pytest.raises(ValueError, match="from 0 to 1"):
        context().progress(fraction)


def test_progress_without_a_listener_goes_nowhere():
    """An asset called on its own may report progress."""
    context().progress(0.5)


def test_the_log_is_bound_to_the_attempt(caplog):
    """Each entry is a record of the standard library with asset, partition, run, attempt and the given fields."""
    caplog.set_level(logging.INFO)
    here = context()
    here.log.info("read %d of", 2, rows=3, name="ann lee")
    here.log.debug("in detail")
    assert here.log is here.log
    (record,) = caplog.records
    assert record.getMessage() == "read 2 of rows=3 name='ann lee'"
    assert (record.name, record.levelname) == ("flowstone.asset.report", "INFO")
    assert (record.asset, record.partition, record.run_id, record.attempt) == ("report", "eu", "r1", 2)
    assert (record.rows, record.name_) == (3, "ann lee")
    assert (record.filename, record.funcName) == ("test_context.py", "test_the_log_is_bound_to_the_attempt")


@pytest.mark.parametrize("kind", [logging.Logger, structlog.stdlib._FixedFindCallerLogger])
def test_the_log_names_the_line_whatever_class_a_logger_has(caplog, kind):
    """Also where an application has configured structlog, whose loggers look for the caller in their own way."""
    before = logging.getLoggerClass()
    logging.setLoggerClass(kind)
    try:
        context(asset=f"made_by_{kind.__name__}").log.warning("late")
    finally:
        logging.setLoggerClass(before)
    assert type(logging.getLogger(f"flowstone.asset.made_by_{kind.__name__}")) is kind
    assert [record.filename for record in caplog.records] == ["test_context.py"]


def test_a_partition_is_logged_as_people_write_it(caplog):
    """Not as it is encoded."""
    here = Context("report", date(2025, 1, 15), "d:2025-01-15", "r1", 1)
    here.log.warning("late")
    assert caplog.records[0].partition == "2025-01-15"


def test_an_exception_is_logged_with_its_traceback(caplog):
    """`exception()` and `exc_info=` reach the record."""
    try:
        raise ValueError("no data")
    except ValueError as error:
        context().log.exception("failed")
        context().log.warning("failed", exc_info=error)
    assert [record.exc_info[0] for record in caplog.records] == [ValueError, ValueError]


def test_what_is_bound_is_in_each_entry(caplog):
    """`bind` works as with any logger of structlog's; a text with a percent sign is a text."""
    context().log.bind(source="ftp").warning("100% read")
    assert caplog.records[0].getMessage() == "100% read source=ftp"
    assert caplog.records[0].source == "ftp"


def test_levels_are_the_standard_librarys(caplog):
    """An asset's logger can be told to be quiet, and what would not be heard is not made."""
    caplog.set_level(logging.ERROR, "flowstone.asset.report")
    context().log.warning("late")
    assert caplog.records == []


def test_nothing_is_configured_by_logging():
    """A program that logs through a context has no handlers, and no structlog configured, that it did not make."""
    code = """
import logging, sys
from flowstone import Context
Context("report").log.warning("late")
import structlog
sys.exit(bool(logging.getLogger().handlers or logging.getLogger("flowstone").handlers or structlog.is_configured()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "late\n")


def test_definitions_import_nothing_heavy():
    """Importing the layer loads neither structlog nor a database driver."""
    heavy = ("structlog", "asyncpg")
    code = f"import sys, flowstone.assets; sys.exit(' '.join(m for m in {heavy!r} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# Output -----------------------------------------------------------------------------------------------------


def test_an_output_wraps_any_value():
    """Also None, with and without metadata."""
    assert Output(None).value is None
    assert Output([1], metadata={"rows": 1}, data_version="v1").metadata == {"rows": 1}
    assert Output([1]) == Output([1])


@pytest.mark.parametrize(
    "arguments", [{"metadata": [1]}, {"metadata": {1: 2}}, {"data_version": 3}, {"data_version": ""}]
)
def test_an_output_checks_what_it_says(arguments):
    """Metadata is a dict with text keys and a version is text."""
    with pytest.raises(TypeError, match=next(iter(arguments))):
        Output(1, **arguments)


# Retry ------------------------------------------------------------------------------------------------------


def test_a_retry_has_defaults():
    """Three attempts, one second doubling up to a minute, a tenth of jitter, any exception."""
    assert Retry() == Retry(attempts=3, delay=1.0, backoff=2.0, max_delay=60.0, jitter=0.1, on=(Exception,))


def test_one_exception_type_is_enough():
    """A single type is as good as a tuple of one."""
    assert Retry(on=OSError).on == (OSError,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"attempts": 0}, r"attempts=0\) must be a whole number"),
        ({"attempts": 1.5}, "attempts"),
        ({"attempts": True}, "attempts"),
        ({"delay": -1}, "delay=-1.* at least 0"),
        ({"delay": "1"}, "delay"),
        ({"delay": float("nan")}, "delay"),
        ({"backoff": 0.5}, "backoff"),
        ({"max_delay": -1}, "max_delay"),
        ({"jitter": 1.5}, "at least 0 and at most 1"),
        ({"on": ()}, "never retry"),
        ({"on": "OSError"}, "exception types"),
        ({"on": (OSError, 1)}, "exception types"),
        ({"on": KeyboardInterrupt}, "exception types"),
    ],
)
def test_bad_retries_are_refused(arguments, message):
    """Each value out of range or of another type raises and says what it may be."""
    with pytest.raises(DefinitionError, match=message):
        Retry(**arguments)


# Resource ---------------------------------------------------------------------------------------------------


def test_a_resource_may_have_a_name():
    """With a name, or named like its parameter."""
    assert Resource("warehouse").name == "warehouse"
    assert Resource().name is None


@pytest.mark.parametrize("name", ["", " ", 1])
def test_a_resource_name_is_text(name):
    """An empty name or another type is refused."""
    with pytest.raises(DefinitionError, match="name of a resource"):
        Resource(name)

"""What a runtime is given by name: anything else is refused when it is made, and never left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowstone import FileIO, MemoryIO, Pipeline, Runtime
from flowstone.store import FileStore


@pytest.mark.parametrize("option", ["io", "resources"])
@pytest.mark.parametrize("given", [MemoryIO(), [], "db", MemoryIO], ids=["object", "list", "text", "class"])
def test_what_has_no_names_is_refused(option, given):
    """Something that is no mapping raises a sentence with the remedy, also if it is empty and so false."""
    with pytest.raises(TypeError, match=rf"^Runtime\({option}=…\) takes a dict by name, {option}=\{{"):
        Runtime(Pipeline("shop"), **{option: given})


@pytest.mark.parametrize("option", ["io", "resources"])
def test_a_name_is_text(option):
    """A key that is no text is named in the error."""
    with pytest.raises(TypeError, match="1 is not a str"):
        Runtime(Pipeline("shop"), **{option: {1: MemoryIO()}})


def test_a_class_is_no_io_manager():
    """The class of an IO manager, which has all its methods, is refused by its name."""
    with pytest.raises(TypeError, match="not the class FileIO"):
        Runtime(Pipeline("shop"), io={"default": FileIO})


def test_what_stores_nothing_is_no_io_manager(tmp_path):
    """An object without the methods of an IO manager is refused with their names."""
    with pytest.raises(TypeError, match="store, load, delete and exists, not a str"):
        Runtime(Pipeline("shop"), io={"default": str(tmp_path)})


@pytest.mark.parametrize(("option", "given"), [("clock", 3), ("settings", {"lease": 3}), ("random", 3)])
def test_what_is_of_another_kind_is_refused(option, given):
    """A clock or settings of the wrong type raise a sentence when the runtime is made, not while it runs."""
    with pytest.raises(TypeError, match=rf"^Runtime\({option}=…\) takes a [\w.]+, not a \w+\.$"):
        Runtime(Pipeline("shop"), **{option: given})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("mod:p", "not the text 'mod:p': import its module and pass the pipeline itself."),
        (None, "not None: pass the pipeline that defines your assets."),
        (3, "not an int: pass the pipeline that defines your assets."),
        (["mod:p"], "and a str is not one: pass the pipelines themselves."),
        ({"shop": Pipeline("shop")}, "and a str is not one: pass the pipelines themselves."),
    ],
)
def test_what_is_no_pipeline_is_refused(given, told):
    """Anything but pipelines raises one sentence that says what to pass."""
    with pytest.raises(TypeError, match=r"^Runtime takes a Pipeline") as caught:
        Runtime(given)
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (3, "A store is a URL such as 'file://DIR' or a store object, not one of type int."),
        (
            Path("runs"),
            "A store is a URL such as 'file://DIR' or a store object, not a path: write 'file://runs'.",
        ),
        (FileStore, "A store is a URL such as 'file://DIR' or a store object, not the class FileStore."),
    ],
)
def test_what_is_no_store_is_refused(given, told):
    """It is refused when the runtime is made, not when it is entered."""
    with pytest.raises(TypeError) as caught:
        Runtime(Pipeline("shop"), store=given)
    assert str(caught.value) == told

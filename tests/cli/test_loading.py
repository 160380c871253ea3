"""MODULE:PIPELINE: what is found, and what is said when it is not."""

from __future__ import annotations

import importlib
import sys

import pytest

from flowstone.cli.loading import load
from flowstone.cli.problem import WRONG_USAGE, CommandError

ONE = "from flowstone.assets import Pipeline\npipeline = Pipeline('one')\n"


@pytest.fixture(autouse=True)
def _own_imports(tmp_path, monkeypatch):
    """Each test has its own folder, import path and modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = dict(sys.modules)
    yield
    for name in set(sys.modules) - set(before):
        del sys.modules[name]
    importlib.invalidate_caches()


@pytest.fixture
def write(tmp_path):
    """Write a file of the project."""

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        return path

    return write


def refused(target):
    """The error a target gets, in full."""
    with pytest.raises(CommandError) as caught:
        load(target)
    assert caught.value.status == WRONG_USAGE
    return f"{caught.value} {caught.value.remedy}"


def test_dotted_module(write):
    """A dotted module is found from the current directory."""
    write("app/__init__.py", "")
    write("app/pipelines.py", ONE)
    loaded = load("app.pipelines:pipeline")
    assert loaded.pipeline.name == "one"
    assert loaded.target == "app.pipelines:pipeline"


def test_file(write):
    """A path to a .py file works, absolute or relative, and the name may be left out."""
    path = write("jobs/shop.py", ONE)
    assert load("jobs/shop.py").target == "jobs/shop.py:pipeline"
    assert load(f"{path}:pipeline").pipeline is load("jobs/shop.py").pipeline


def test_classes_of_a_file_can_be_found_by_name(write):
    """A class of a loaded file says where it is defined, and that is true."""
    write(
        "shop.py",
        ONE + "from dataclasses import dataclass\n@dataclass\nclass Row:\n    n: int\nrow = Row(1)\n",
    )
    load("shop.py")
    module = sys.modules["shop"]
    assert sys.modules[type(module.row).__module__].Row is type(module.row)


def test_a_file_named_like_a_standard_module_shadows_nothing(write):
    """`calendar.py` is loaded under a name of its own, the same every time; the real one stays."""
    import calendar

    write("calendar.py", ONE + "marker = object()\n")
    loaded = load("calendar.py")
    assert sys.modules["calendar"] is calendar
    names = [name for name, module in sys.modules.items() if hasattr(module, "marker")]
    assert len(names) == 1
    assert names[0].startswith("flowstone_file_calendar_")
    assert load("calendar.py").pipeline is loaded.pipeline


def test_a_file_with_a_name_that_is_no_identifier(write):
    """`my-shop.py` cannot be imported by name and is loaded all the same."""
    write("my-shop.py", ONE)
    assert load("my-shop.py").pipeline.name == "one"


def test_two_files_of_one_name(write):
    """The second `shop.py` is not mistaken for the first."""
    write("a/shop.py", ONE)
    write("b/shop.py", ONE.replace("'one'", "'two'"))
    assert load("a/shop.py").pipeline.name == "one"
    assert load("b/shop.py").pipeline.name == "two"


def test_a_file_inside_a_package_may_import_relatively(write):
    """A file of a package is imported as part of it."""
    write("pack/__init__.py", "")
    write("pack/parts.py", "NAME = 'relative'\n")
    write(
        "pack/flow.py", "from flowstone.assets import Pipeline\nfrom .parts import NAME\np = Pipeline(NAME)\n"
    )
    assert load("pack/flow.py").pipeline.name == "relative"


def test_siblings_are_found(write):
    """A file finds the modules beside it, as it does when run as a script."""
    write("jobs/names.py", "NAME = 'sibling'\n")
    write(
        "jobs/flow.py", "from flowstone.assets import Pipeline\nfrom names import NAME\np = Pipeline(NAME)\n"
    )
    assert load("jobs/flow.py").pipeline.name == "sibling"


def test_io_and_resources_beside_the_pipeline(write):
    """The module's `io` and `resources` come along; a module called `io` is not meant."""
    write("shop.py", ONE + "import io\nresources = {'db': 1}\n")
    loaded = load("shop.py")
    assert loaded.io == {}
    assert loaded.resources == {"db": 1}
    write("other.py", ONE + "io = ['files']\n")
    assert refused("other.py").startswith("other.py:io is a list, not a dict of names.")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere", ["no module 'nowhere'", "spelling"]),
        ("nowhere.deep:p", ["no module 'nowhere.deep'"]),
        ("nothing.py", ["no file nothing.py"]),
        ("shp.py", ["no file shp.py", "Did you mean shop.py?"]),
        ("shop.py:pipline", ["no 'pipline'", "Did you mean shop.py:pipeline?"]),
        ("shop.py:number", ["is an int, not a Pipeline", "Did you mean shop.py:pipeline?"]),
        ("shop.py:one_asset", ["is an asset, not a Pipeline", "shop.py:pipeline"]),
        ("empty.py", ["defines no Pipeline", "Pipeline('sales')"]),
        ("two.py", ["defines 2 pipelines", "two.py:first", "two.py:second"]),
        ("my-shop", ["neither a module nor a file"]),
        (":pipeline", ["No module is named"]),
    ],
)
def test_refusals_say_what_to_write(write, target, words):
    """Whatever is wrong with the words, the answer names it and the way out."""
    write("shop.py", ONE + "number = 1\n@pipeline.asset\ndef one_asset(): ...\n")
    write("empty.py", "x = 1\n")
    write("two.py", "from flowstone.assets import Pipeline\nfirst, second = Pipeline('a'), Pipeline('b')\n")
    text = refused(target)
    for word in words:
        assert word in text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1\ny = undefined\n", ["NameError: name 'undefined' is not defined (bad.py:2)", "--debug"]),
        ("def f(:\n", ["SyntaxError", "bad.py:1"]),
        ("import not_installed_anywhere\n", ["bad.py:1", "Install 'not_installed_anywhere'"]),
        ("raise SystemExit(3)\n", ["SystemExit: 3", "__main__"]),
        ("import helper\n", ["ZeroDivisionError", "helper.py:2"]),
        (
            "import flowstone.assets as f\np=f.Pipeline('p')\n@p.asset\ndef a(): ...\np.asset(a.function)\n",
            ["bad.py:3", "twice"],
        ),
    ],
)
def test_a_module_that_fails_to_import(write, source, words):
    """The user's own error is named with its file and line; the traceback is kept for --debug."""
    write("helper.py", "def f():\n    return 1 / 0\nf()\n")
    write("bad.py", source)
    text = refused("bad.py")
    for word in words:
        assert word in text
    with pytest.raises(CommandError) as caught:
        load("bad.py")
    assert "Traceback" in caught.value.debug


def test_interrupting_an_import_is_an_interruption(write):
    """Ctrl-C while a module is imported is not the module's fault."""
    write("slow.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load("slow.py")

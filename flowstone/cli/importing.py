"""Importing a user's module by name or by path, with whatever goes wrong put into one sentence.

A dotted module is found as `python -m` finds it, with the current directory first. A file is imported under
the name it has from the root of its packages, as a sibling would import it, so that relative imports,
pickling by reference and stored values of classes defined in it work. Where that name is taken by another
module (`calendar.py`), the file gets a name of its own that nothing else can have.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.cli.problem import CommandError
from flowstone.errors import FlowstoneError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["import_place"]


def import_place(place: str) -> ModuleType:
    """Import a dotted module or a `.py` file; raises `CommandError` in the words of the user's code."""
    if not place:
        raise CommandError("No module is named.", "Write MODULE:PIPELINE, such as shop.py:pipeline.")
    if place.endswith(".py") or "/" in place or "\\" in place:
        return _import_file(place)
    if not all(part.isidentifier() for part in place.split(".")):
        raise CommandError(
            f"{place!r} is neither a module nor a file.",
            "Write a dotted module (app.pipelines) or a path that ends in .py.",
        )
    _first_on_path(Path.cwd())
    return _guarded(place, place)


def _import_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.is_file():
        raise CommandError(f"There is no file {place}.", _nearest_file(path))
    path = path.resolve()
    root, name = _from_package_root(path)
    _first_on_path(root)
    if _would_import(name, path):
        return _guarded(name, place)
    return _guarded(_unique_name(path), place, path)


def _nearest_file(path: Path) -> str:
    with contextlib.suppress(OSError):
        near = difflib.get_close_matches(path.name, [found.name for found in path.parent.glob("*.py")], n=1)
        if near:
            return f"Did you mean {path.with_name(near[0])}?"
    return f"Check the path; the current directory is {Path.cwd()}."


def _from_package_root(path: Path) -> tuple[Path, str]:
    """The directory imports start from and the dotted name from there."""
    parts = [] if path.stem == "__init__" else [path.stem]
    root = path.parent
    while (root / "__init__.py").exists():
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _would_import(name: str, path: Path) -> bool:
    """Whether importing `name` gives this very file rather than somebody else's module."""
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if name.partition(".")[0] in sys.stdlib_module_names:
        return False
    if name in sys.modules:
        origin = getattr(sys.modules[name], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(name)
        except Exception:
            return True  # A parent package fails to import: the import proper says so in the user's words.
        origin = spec.origin if spec else None
    return origin is not None and Path(origin).resolve() == path


def _unique_name(path: Path) -> str:
    """The same in every process, so that a value stored by one command is understood by the next."""
    stem = "".join(letter if letter.isalnum() else "_" for letter in path.stem)
    return f"flowstone_file_{stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"


def _first_on_path(directory: Path) -> None:
    entry = str(directory)
    if sys.path[:1] != [entry]:
        sys.path.insert(0, entry)


def _guarded(name: str, place: str, path: Path | None = None) -> ModuleType:
    """Import, and put whatever the user's code raises into one sentence with its line."""
    try:
        return importlib.import_module(name) if path is None else _from_file(name, path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and _is_or_contains(name, error.name):
            raise CommandError(
                f"There is no module {place!r} in {Path.cwd()} or among the installed packages.",
                "Check the spelling, run the command from the project's directory, or name the .py file.",
            ) from None
        if isinstance(error, FlowstoneError):  # Ours name their line and their remedy already.
            raise CommandError(str(error), debug=_traceback(error)) from error
        raise CommandError(
            f"{place} cannot be imported: {_sentence(error)}", _import_remedy(error), debug=_traceback(error)
        ) from error


def _from_file(name: str, path: Path) -> ModuleType:
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file always has a loader"
    assert spec.loader is not None, "a .py file always has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_or_contains(module: str, missing: str) -> bool:
    return module == missing or module.startswith(f"{missing}.")


def _sentence(error: BaseException) -> str:
    lines = [line for line in traceback.format_exception_only(error) if not line.startswith(" ")]
    return f"{lines[-1].strip()} ({_where(error)})"


def _where(error: BaseException) -> str:
    """`file:line` of the user's code that raised: the innermost frame outside the import machinery."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in {__file__, importlib.__file__}
    ]
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{_short(own[-1].filename)}:{own[-1].lineno}" if own else "before its first line"


def _short(filename: str) -> str:
    with contextlib.suppress(ValueError):
        return str(Path(filename).relative_to(Path.cwd()))
    return filename


def _import_remedy(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"Install {error.name!r} in this environment, or run with --debug for the traceback."
    if isinstance(error, SystemExit):
        return "Put what a script does under `if __name__ == '__main__':`."
    return "Run it again with --debug for the traceback."


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))

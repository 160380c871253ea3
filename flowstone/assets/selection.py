"""A selection: which assets are meant by a text such as `+report`, `raw+ tag:team=core` or `a,b -c`. Pure.

    report        the asset                     +report       with everything upstream of it
    raw+          with everything downstream    2+report      with what is at most two steps upstream
    tag:team=core assets with that tag          *             all assets
    a,b           either                        a b           both: those that are in the one and in the other
    -x            leaves out what `x` selects

A comma binds closer than a space: `a,b -c` is (a or b), and not c.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from flowstone.assets.suggest import did_you_mean
from flowstone.errors import SelectionError
from flowstone.printable import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from flowstone.assets.asset import Asset
    from flowstone.assets.graph import AssetGraph

__all__ = ["check_selection", "is_selection", "select", "selected"]

_WORD: Final = re.compile(r"[^\s,]+")
_OPERAND: Final = re.compile(
    r"(?P<out>-?)(?P<up>\d*\+|)(?P<what>\*|tag:[^\s,+]+|[^\s,+*-][^\s,+*]*)(?P<down>\+\d*|)"
)
_NOTHING_SELECTED: Final = "A selection names at least one asset"
_NAME: Final = re.compile(
    r"[^\s,+*:-][^\s,+*:]*"
)  # More than can be the name of an asset: it may be mistyped.


def is_selection(text: str) -> bool:
    """Whether a text is more than the name of one asset."""
    return _NAME.fullmatch(text) is None


def selected(graph: AssetGraph, text: str) -> tuple[str, ...]:
    """The names of the assets that a name or a selection stands for where something is to run: one at least.

    Raises:
        AssetNotFound: There is no asset of that name.
        SelectionError: The selection cannot be read, names what there is not, or leaves nothing.
    """
    if not is_selection(text):
        return (graph[text].name,)
    found = select(graph, text)
    if not found:
        raise _error(text, 0, "No asset is in this selection")
    return found


def check_selection(assets: Mapping[str, Asset[..., Any]], text: str) -> None:
    """Whether a selection can be read, and all that it names is there, before these assets are a graph.

    Raises:
        SelectionError: See `select`.
    """
    for operands in _groups(text):
        for start, word in operands:
            read = _read(text, start, word)
            _named(assets, text, start + read.start("what"), read["what"])


def select(graph: AssetGraph, text: str) -> tuple[str, ...]:
    """The names of the assets that a selection means, upstream before downstream; constants are not among them.

    Raises:
        SelectionError: It cannot be read, or names an asset or a tag that there is not; `.position` is where.
    """
    chosen: set[str] | None = None
    left_out: set[str] = set()
    for operands in _groups(text):
        found: set[str] = set()
        for start, word in operands:
            out, names = _operand(graph, text, start, word)
            if out and len(operands) > 1:
                raise _error(text, start, "What is left out stands alone, with a space before it")
            (left_out if out else found).update(names)
        if not operands[0][1].startswith("-"):
            chosen = found if chosen is None else chosen & found
    everything = {asset.name for asset in graph.assets.values() if not asset.is_constant}
    meant = (everything if chosen is None else chosen) - left_out
    return tuple(name for name in graph.order() if name in meant)


def _groups(text: str) -> list[list[tuple[int, str]]]:
    """The operands with where they start: those that commas join together, one group after the other."""
    groups: list[list[tuple[int, str]]] = []
    end = 0
    for match in _WORD.finditer(text):
        between = text[end : match.start()]
        if between.count(",") > 1 or (not groups and "," in between):
            raise _error(text, end + between.index(","), "A comma stands between two assets")
        operand = (match.start(), match[0])
        if "," in between:
            groups[-1].append(operand)
        else:
            groups.append([operand])
        end = match.end()
    if "," in text[end:]:
        raise _error(text, end + text[end:].index(","), "After a comma another asset follows")
    if not groups:
        raise _error(text, 0, _NOTHING_SELECTED)
    return groups


def _operand(graph: AssetGraph, text: str, start: int, word: str) -> tuple[bool, set[str]]:
    """Whether it is left out, and what it names with what is asked for around it."""
    read = _read(text, start, word)
    names = _named(graph.assets, text, start + read.start("what"), read["what"])
    upstream = _around(names, read["up"].rstrip("+"), _upstream_of(graph)) if read["up"] else set()
    downstream = _around(names, read["down"].lstrip("+"), _downstream_of(graph)) if read["down"] else set()
    return bool(read["out"]), names | upstream | downstream


def _read(text: str, start: int, word: str) -> re.Match[str]:
    read = _OPERAND.fullmatch(word)
    if read is None:
        partial = _OPERAND.match(word)
        raise _error(text, start + (partial.end() if partial else 0), "This is no asset, tag:NAME or *")
    return read


def _named(known: Mapping[str, Asset[..., Any]], text: str, position: int, what: str) -> set[str]:
    assets = [asset for asset in known.values() if not asset.is_constant]
    if what == "*":
        return {asset.name for asset in assets}
    if not what.startswith("tag:"):
        if what not in known:
            raise _error(text, position, f"There is no asset {what!r:.100}.{did_you_mean(what, known)}")
        if known[what].is_constant:
            raise _error(text, position, f"{what!r:.100} is a value of the pipeline, which is never computed")
        return {what}
    name, equals, value = what.removeprefix("tag:").partition("=")
    found = {
        asset.name for asset in assets if name in asset.tags and (not equals or asset.tags[name] == value)
    }
    if not found:
        raise _error(text, position, f"No asset has the tag {what.removeprefix('tag:')!r:.100}")
    return found


def _around(names: Iterable[str], most: str, near: Callable[[str], Iterable[str]]) -> set[str]:
    """What is reached from these in at most so many steps; in any number where none is given."""
    layer, found, left = set(names), set(names), int(most) if most else -1
    while layer and left:
        layer = {other for name in layer for other in near(name)} - found
        found |= layer
        left -= 1
    return found


def _upstream_of(graph: AssetGraph) -> Callable[[str], Iterable[str]]:
    assets = graph.assets
    return lambda name: [
        each.asset for each in assets[name].dependencies if not assets[each.asset].is_constant
    ]


def _downstream_of(graph: AssetGraph) -> Callable[[str], Iterable[str]]:
    below: dict[str, list[str]] = {}
    for asset in graph.assets.values():
        for each in asset.dependencies:
            below.setdefault(each.asset, []).append(asset.name)
    return lambda name: below.get(name, [])


def _error(text: str, position: int, what: str) -> SelectionError:
    """With the selection in a line of its own, and a mark below the place."""
    sentence = what if what.endswith((".", "?")) else f"{what}."
    return SelectionError(f"{sentence}\n  {one_line(text)}\n  {' ' * position}^", position)

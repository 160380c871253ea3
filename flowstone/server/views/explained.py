"""Why a partition is as it is, as a chain: from how it stands down to the cause, and the act that mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from flowstone.frozen import frozen
from flowstone.masking import masked
from flowstone.server.addresses import launch_path, partition_path
from flowstone.server.render import ICONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowstone.runs.explanation import Explanation

__all__ = ["Chain", "WhyLink", "chain_of", "shape_of"]

_ABOVE: Final = "see above"
_MOST: Final = 12
"""So many links of a chain are shown."""


@frozen
class WhyLink:
    """One link.

    Attributes:
        shape: How it stands.
        name: The asset with its partition, as people write it.
        path: Its page.
        words: How it stands and why, without its name.
        depth: How far it is below the first one.
    """

    shape: str
    name: str
    path: str
    words: str
    depth: int


@frozen
class Chain:
    """From how a partition stands to the cause.

    Attributes:
        links: The partition itself, then what it comes from.
        more: How many links are left out.
        remedy: What mends it, in a sentence, or empty.
        launch: Where that is planned, if it is a run.
    """

    links: Sequence[WhyLink]
    more: int
    remedy: str
    launch: str | None


def chain_of(why: Explanation, most: int = _MOST) -> Chain:
    """The chain of an explanation, of so many links at most; what it has said already it does not say again."""
    links = [link for link in _links(why, 0) if link.words != _ABOVE]
    return Chain(
        links[:most],
        max(0, len(links) - most),
        why.remedy or "",
        None if why.redo is None else launch_path(why.asset, (why.partition_key,)),
    )


def shape_of(why: Explanation) -> str:
    """The shape of how it stands."""
    return "stale" if why.stale else ICONS[why.status]


def _links(why: Explanation, depth: int) -> Iterator[WhyLink]:
    path = partition_path(why.asset, why.partition_key)
    yield WhyLink(shape_of(why), why.name, path, masked(why.sentence), depth)
    for cause in why.causes:
        yield from _links(cause, depth + 1)

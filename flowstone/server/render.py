"""From a template and values to HTML. Everything is escaped: what people and assets write is text everywhere."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from flowstone.assets.partition_labels import key_label, partition_label, step_label
from flowstone.assets.selection import is_selection
from flowstone.runs.targets import targets_label
from flowstone.server.addresses import partition_path, partition_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

    from flowstone.runs.records import RunRecord

__all__ = ["ICONS", "STATIC", "WORDS", "Renderer", "shortened", "static_version"]

STATIC: Final = Path(__file__).parent / "static"

_BASE: Final = "base.html"
_PARTS: Final = (
    "bar",
    "csrf_field",
    "lineage_row",
    "icon",
    "legend",
    "log_line",
    "planned_words",
    "spark",
    "state",
    "waiting_row",
    "why_chain",
)
"""The macros of `parts.html`."""

_ROWS: Final = ("asset_row",)
"""Those of `rows.html`, of which each takes a row and the path at which the pages are."""

_KEPT: Final = 4096
_AUTOMATION_PARTS: Final = ("hours", "onoff", "pausing_form", "result", "ticks")
"""Those of `automation_parts.html`."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS: Final = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", 1, "s"))
_UNKNOWN: Final = "\N{EN DASH}"


def _asked(run: RunRecord) -> str:
    """The assets that a run was asked for, in a few words."""
    return targets_label(run.request)


class Renderer:
    """The templates of the pages, and the words they share."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=PackageLoader("flowstone.server"),
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=StrictUndefined,
        )
        self._environment.filters.update(
            ago=ago,
            asked=_asked,
            clock=clock,
            lasted=lasted,
            number=number,
            partition=partition_label,
            size=size,
            truncate=shortened,
        )
        self._environment.tests.update(one_asset=lambda text: not is_selection(text))
        self._environment.globals.update(
            step=step_label,
            words=WORDS,
            value_words=VALUE_WORDS,
            kinds=KINDS,
            icons=ICONS,
            at_partition=partition_path,
            partition_text=partition_text,
            key=key_label,
        )
        # As globals rather than imports: a block that is rendered alone does not see the imports around it.
        parts = self._environment.get_template("parts.html").module
        self._environment.globals.update({name: vars(parts)[name] for name in _PARTS})
        # Rows of long tables: those that have not changed are not drawn again.
        rows = self._environment.get_template("rows.html").module
        self._rows = {name: lru_cache(maxsize=_KEPT)(vars(rows)[name]) for name in _ROWS}
        self._environment.globals.update(self._rows)
        parts = self._environment.get_template("automation_parts.html").module
        self._environment.globals.update({name: vars(parts)[name] for name in _AUTOMATION_PARTS})

    def page(self, template: str, values: Mapping[str, Any]) -> str:
        """A whole page."""
        return self._template(template).render(values)

    def block(self, template: str, name: str, values: Mapping[str, Any]) -> str:
        """One block of a page, as it is within the whole."""
        chosen = self._template(template)
        if name not in chosen.blocks:
            chosen = self._template(_BASE)
        return "".join(chosen.blocks[name](chosen.new_context(dict(values)))).strip()

    def part(self, macro: str, row: Any, root: str) -> str:
        """One row, as the macro of `rows.html` draws it below the path at which the pages are."""
        return str(self._rows[macro](row, root))

    def _template(self, name: str) -> Template:
        return self._environment.get_template(name)


@lru_cache(maxsize=1)
def static_version() -> str:
    """Changes with any static file, so that browsers may keep them for ever."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


WORDS: Final[Mapping[str, str]] = {
    "ok": "succeeded",
    "run": "running",
    "fail": "failed",
    "wait": "waiting",
    "retry": "retrying",
    "queue": "queued",
    "skipd": "skipped",
    "cancel": "cancelled",
    "stale": "stale",
    "never": "never",
    "reused": "reused",
    "pause": "paused",
}
"""The word of each shape, of steps, attempts and runs: a state is never colour alone."""

VALUE_WORDS: Final[Mapping[str, str]] = {**WORDS, "ok": "current"}
"""The same of values, and of partitions and assets that have them: a step has succeeded, its value is current."""

KINDS: Final[Mapping[str, str]] = {
    "materialize": "materialize",
    "materialize_all": "materialize all",
    "backfill": "backfill",
}
"""What each kind of run is called."""

ICONS: Final[Mapping[str, str]] = {
    "never": "never",
    "queued": "queue",
    "running": "run",
    "waiting": "wait",
    "succeeded": "ok",
    "failed": "fail",
    "skipped": "skipd",
    "reused": "reused",
    "cancelled": "cancel",
}
"""The shape of each `Status`."""


def number(value: float) -> str:
    """`12,345`."""
    return f"{value:,}"


def size(number_of_bytes: int) -> str:
    """`412 MB`, `3.2 kB`."""
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number_of_bytes >= unit:
            amount = number_of_bytes / unit
            return f"{amount:.1f} {name}" if amount < 9.95 else f"{amount:,.0f} {name}"
    return f"{number_of_bytes} B"


def shortened(text: str, most: int) -> str:
    """At most so many characters of a text; what is left out is said by its last one."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def lasted(seconds: float | None) -> str:
    """`<1 ms`, `12 ms`, `0.4 s`, `36 s`, `2 min 10 s`, `3 h 5 min`, `6 d 4 h`; a dash where it is not known."""
    if seconds is None:
        return _UNKNOWN
    if seconds < 0.0005:
        return "<1 ms"
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    for unit, name, less, lesser in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if seconds >= unit:
            rest = int(seconds % unit // less)
            return f"{int(seconds // unit)} {name}" + (f" {rest} {lesser}" if rest else "")
    return f"{seconds:.0f} s"


def ago(at: datetime | None, now: datetime) -> str:
    """`12 s ago`, `49 min ago`, `in 2 h`; a dash where there is no instant."""
    if at is None:
        return _UNKNOWN
    seconds = (now - at).total_seconds()
    size = abs(seconds)
    rounded = next((size // unit * unit for unit in (_DAY, _HOUR, _MINUTE) if size >= unit), size // 1)
    if rounded < 1:
        return "now"
    words = lasted(rounded) if rounded >= _MINUTE else f"{rounded:.0f} s"
    return f"{words} ago" if seconds > 0 else f"in {words}"


def clock(at: datetime | None, now: datetime) -> str:
    """`15:10` of today, `Fri 18:00` of this week, `22 Nov` of this year, else `2025-01-02`: in UTC."""
    if at is None:
        return _UNKNOWN
    at = at.astimezone(UTC)
    days = abs((now.astimezone(UTC).date() - at.date()).days)
    if days == 0:
        return f"{at:%H:%M}"
    if days < 7:
        return f"{at:%a %H:%M}"
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at:%Y-%m-%d}"

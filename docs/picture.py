"""Draws `docs/demo.svg`, the picture in README, from what `flowstone demo` prints: `uv run python docs/picture.py`.

The command runs as it does in a terminal with full colour. Each of its characters is put into a grid; the
half blocks of the calendar become rectangles, because fonts disagree on how tall a half block is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.color import Color
    from rich.segment import Segment

PICTURE = Path(__file__).with_name("demo.svg")
WIDTH, HEIGHT, MARGIN = 8, 16, 14  # Pixels: of a character, and around them all.
COLUMNS = 82
BLOCKS = {"▀": (0, HEIGHT // 2), "▄": (HEIGHT // 2, HEIGHT // 2), "█": (0, HEIGHT)}
"""Where the foreground of a block begins, and how tall it is."""
GROUND, INK = "#16181d", "#d7dae0"
FONT = "ui-monospace,Menlo,Consolas,DejaVu Sans Mono,monospace"


def main() -> None:
    """Run the demo and write the picture."""
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}
    shown = subprocess.run(
        [sys.executable, "-m", "flowstone", "demo"],
        env={**os.environ, **colours},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    PICTURE.write_text(svg(shown.partition("Try next")[0]), encoding="utf-8")


def svg(output: str) -> str:
    """A picture of a terminal that shows `output`, with its colours."""
    console = Console(width=COLUMNS, color_system="truecolor", force_terminal=True)
    terminal = Text.from_ansi(f"$ flowstone demo\n{output}")
    terminal.rstrip()
    lines = console.render_lines(terminal, pad=False)
    width, height = COLUMNS * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            "<title>flowstone demo: four years of Seattle's weather as a calendar of days</title>",
            f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>',
            f'<g transform="translate({MARGIN} {MARGIN})" fill="{INK}" font-family="{FONT}" font-size="13">',
            *(shape for number, line in enumerate(lines) for shape in shapes(line, number * HEIGHT)),
            "</g>\n</svg>\n",
        ]
    )


def shapes(line: Iterable[Segment], top: int) -> Iterator[str]:
    """The words and blocks of one line."""
    left = 0
    for text, style, _ in line:
        ink = rgb(style.color) if style and style.color else None
        if text[:1] in BLOCKS:
            ground = rgb(style.bgcolor) if style and style.bgcolor else None
            for place, block in enumerate(text):
                yield from blocks(block, left + place * WIDTH, top, ink, ground)
        elif text.strip():
            look = f' fill="{ink}"' if ink else ""
            look += ' font-weight="bold"' if style and style.bold else ""
            look += ' opacity=".6"' if style and style.dim else ""
            words = text.strip()
            start = left + (len(text) - len(text.lstrip())) * WIDTH
            yield (
                f'<text x="{start}" y="{top + 12}" textLength="{len(words) * WIDTH}"{look}>'
                f"{escape(words)}</text>"
            )
        left += len(text) * WIDTH


def blocks(block: str, left: int, top: int, ink: str | None, ground: str | None) -> Iterator[str]:
    """The rectangles of one block character."""
    if block not in BLOCKS:
        return
    if ground:
        yield f'<path fill="{ground}" d="M{left} {top}h{WIDTH}v{HEIGHT}h-{WIDTH}"/>'
    down, tall = BLOCKS[block]
    yield f'<path fill="{ink or INK}" d="M{left} {top + down}h{WIDTH}v{tall}h-{WIDTH}"/>'


def rgb(colour: Color) -> str:
    """A colour as SVG writes it."""
    return colour.get_truecolor(SVG_EXPORT_THEME).hex


if __name__ == "__main__":
    main()

"""How far a run is, while it runs: `tally.py` counts events, `display.py` and `live.py` show the count."""

from __future__ import annotations

from flowstone.cli.progress.display import Display, open_display
from flowstone.cli.progress.tally import Tally

__all__ = ["Display", "Tally", "open_display"]

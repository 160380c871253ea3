"""`flowstone demo`: four years of Seattle's weather as a pipeline, and the picture drawn from it.

pipeline.py    the pipeline, written to be read: `flowstone graph flowstone.cli.demo:pipeline`
calendar.py    the heat map: a calendar of days, one colour each, or one glyph where there is no colour
show.py        the key figures, the monthly bars, and the run that they come from
seattle-weather.csv and where it comes from: PROVENANCE.md
"""

from __future__ import annotations

from flowstone.cli.demo.pipeline import pipeline

__all__ = ["pipeline"]

"""`flowstone demo`: the pipeline on its real data, and the picture in every kind of place."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import signal
import stat
import urllib.request
from datetime import date
from importlib.resources import files

import pytest

from flowstone.cli.demo.pipeline import DAYS, MONTHS, monthly, observations, pipeline, report, weather
from flowstone.cli.demo.show import rain_bars, year_notes
from tests.cli.programs import finished, read_until, started

DIGEST = "62f0609f787158128aa2bd102967173a4953122dd4f872bf1d502cae1037df0b"


class OneDay:
    """What the daily asset asks of its context."""

    def __init__(self, day):
        self.partition = day


@pytest.fixture(scope="module")
def days():
    """Every day, computed by the asset's own function."""
    rows = observations()
    return {day: weather(OneDay(day), rows) for day in DAYS}


@pytest.fixture(scope="module")
def months(days):
    return {
        month: monthly(
            {day: one for day, one in days.items() if (day.year, day.month) == (month.year, month.month)}
        ).value
        for month in MONTHS
    }


def test_the_data_is_the_published_one():
    """The file is unchanged, and its provenance says so."""
    folder = files("flowstone.cli.demo")
    assert hashlib.sha256(folder.joinpath("seattle-weather.csv").read_bytes()).hexdigest() == DIGEST
    provenance = folder.joinpath("PROVENANCE.md").read_text()
    assert DIGEST in provenance
    assert "public domain" in provenance


def test_the_pipeline():
    """Four assets, from the observations to the report, over exactly the days of the data."""
    assert list(pipeline.graph.order()) == ["observations", "weather", "monthly", "report"]
    assert (len(DAYS), len(MONTHS)) == (1461, 48)
    assert [date.fromisoformat(day) for day in observations()] == list(DAYS)


def test_the_report_is_right(months):
    """The figures agree with a sum over the file that knows nothing of the pipeline."""
    text = files("flowstone.cli.demo").joinpath("seattle-weather.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    figures = report(months)
    hottest = max(rows, key=lambda row: float(row["temp_max"]))
    assert figures["hottest"][0] == float(hottest["temp_max"])
    assert figures["wettest"][0] == max(float(row["precipitation"]) for row in rows)
    for year in ("2012", "2013", "2014", "2015"):
        rain = sum(float(row["precipitation"]) for row in rows if row["date"].startswith(year))
        assert figures["rain_by_year"][year] == pytest.approx(rain, abs=0.5)
        wet = sum(float(row["precipitation"]) > 0 for row in rows if row["date"].startswith(year))
        assert figures["rain_days_by_year"][year] == wet


def test_figures_fit(months):
    """Notes fit beside the calendar and the bars below it, with and without Unicode."""
    figures = report(months)
    assert all(len(note) <= 18 for notes in year_notes(figures).values() for note in notes)
    for unicode in (True, False):
        lines = rain_bars(figures["rain_by_month"], unicode=unicode).plain.splitlines()
        assert len(lines) == 3
        assert max(map(len, lines)) <= 80
    assert rain_bars([0.0] * 12, unicode=False).plain.isascii()


@pytest.fixture
def read_only(tmp_path):
    """A folder nobody may write to."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    yield folder
    folder.chmod(stat.S_IRWXU)


def test_demo_without_a_terminal(program, read_only):
    """It works in a pipe and in a folder that cannot be written, and leaves nothing there."""
    result = program("demo", cwd=read_only, env={"NO_COLOR": "1", "PYTHONDONTWRITEBYTECODE": "1"})
    assert result.status == 0, result.stderr
    assert "\x1b" not in result.stdout
    for year in range(2012, 2016):
        assert re.search(rf"^{year}  ", result.stdout, re.MULTILINE)
    assert "hottest day" in result.stdout
    assert "1,511 steps in" in result.stdout
    assert "µs each" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert list(read_only.iterdir()) == []


def test_demo_json(cli):
    """The report and the speed as data."""
    document = cli("demo", "--json").document
    assert document["steps"] == 1511
    assert document["report"]["rain_by_year"]["2015"] == pytest.approx(1139.2, abs=0.5)
    assert len(document["runs"]) == 2
    assert json.dumps(document)


def test_demo_in_ascii(program, tmp_path):
    """A terminal that knows only ASCII gets a picture in ASCII."""
    result = program("demo", cwd=tmp_path, env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert result.status == 0, result.stderr
    assert re.search(r"^2013 [ .:+#@]+", result.stdout, re.MULTILINE)


def test_what_to_try_next_works(cli, tmp_path, monkeypatch):
    """Every command the demo proposes succeeds."""
    monkeypatch.chdir(tmp_path)
    shown = cli("demo").stdout
    proposed = re.findall(r"^  (?:uv run )?flowstone (.+)$", shown, re.MULTILINE)
    assert len(proposed) >= 3
    for line in proposed:
        result = cli(*line.split())
        assert result.status == 0, f"{line}: {result.stderr}"


def test_the_picture_fits_80_columns(cli, monkeypatch):
    """Nothing but the commands to copy is wider than a terminal of 80 columns."""
    lines = cli("demo").stdout.splitlines()
    assert max(len(line) for line in lines if "flowstone " not in line) <= 80


def test_its_runs_are_shown_on_pages(tmp_path):
    """With --serve it goes on until it is told to stop; an address that is taken is said at once."""
    with started(tmp_path, "demo", "--serve", "--json", "--port", "0") as process:
        line = read_until(process, "shows these runs")
        url = line.split()[0]
        with urllib.request.urlopen(f"{url}/", timeout=60) as page:
            assert "All is well." in page.read().decode()
        with started(tmp_path, "demo", "--serve", "--port", url.rpartition(":")[2]) as second:
            status, _, told = finished(second)
            assert (status, "--port 0" in told) == (2, True)
        process.send_signal(signal.SIGINT)
        status, document, _ = finished(process)
        assert (status, json.loads(document)["steps"]) == (0, 1511)

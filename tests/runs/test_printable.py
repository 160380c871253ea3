"""Somebody's text is shown as it is, but for what would drive the terminal, hide or mislead."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.assets.partition_keys import encode_partition
from flowstone.assets.partition_labels import step_label
from flowstone.printable import one_line, printable, printable_json

ACTING = {
    "escape": "\x1b[2J",
    "carriage return": "\r",
    "bell": "\x07",
    "delete": "\x7f",
    "C1 control sequence": "\x9b31m",
    "override": "\u202e",
    "isolate": "\u2066",
    "right-to-left mark": "\u200f",
    "zero-width space": "\u200b",
    "zero-width joiner in ASCII": "a\u200db",
    "blank letter": "\u3164",
    "byte order mark": "\ufeff",
    "line separator": "\u2028",
    "tag": "\U000e0041",
    "surrogate": "\ud800",
}


@pytest.mark.parametrize("text", ACTING.values(), ids=ACTING)
def test_what_acts_is_written_out(text):
    """As Python would write it, so that nothing is lost."""
    shown = printable(f"<{text}>")
    assert shown.isascii()
    assert shown.isprintable()
    assert shown.encode().decode("unicode_escape") == f"<{text}>"


@pytest.mark.parametrize(
    "text",
    [
        "Ünïcode 日本語 עברית",
        "two\nlines\tand a tab",
        "\u0645\u06cc\u200c\u062e\u0648",  # Persian
        "👩\u200d💻 🏳️",
        "क्\u200dष",
        "non\xa0breaking",
    ],
)
def test_what_people_write_stays(text):
    """Any script, with the joiners that it needs."""
    assert printable(text) == text


@given(st.text(st.characters(), max_size=100))
def test_nothing_that_acts_is_left(text):
    """Whatever is given, and it may be given twice."""
    shown = printable(text)
    assert printable(shown) == shown
    for letter in shown:
        assert letter in "\n\t" or unicodedata.category(letter) not in {"Cc", "Cs"}
        assert unicodedata.bidirectional(letter) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
    assert not {"\n", "\t"} & set(one_line(text))


@given(st.recursive(st.text(st.characters(), max_size=20), lambda inner: st.lists(inner, max_size=3)))
def test_a_json_document_says_the_same(value):
    """It is exact, and nothing in it acts either."""
    text = printable_json(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(text) == value
    assert printable(text) == text


def test_a_step_is_named_on_one_line():
    """A key cannot pass for another line of a log."""
    key = encode_partition("eu\n14:02 [error] all is lost\x1b[31m")
    assert step_label("raw", key) == "raw[eu\\n14:02 [error] all is lost\\x1b[31m]"

from __future__ import annotations

import os
import re
import unicodedata
from itertools import combinations
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flowstone.io.file_names import MAX_NAME_BYTES, escape, is_safe_name
from tests.io.contract import HOSTILE_KEYS

# All of unicode, and again the characters that matter, so that near misses are common.
texts = st.one_of(
    st.text(st.characters(codec=None), max_size=400),
    st.text(st.sampled_from("aAbB%+~.-_/\\: \x00éE\u0301K\u212aß\u0131İ019ﬁfi\ud83d\ude00😀"), max_size=12),
    st.text(st.sampled_from("aA/é"), min_size=60, max_size=260),
    st.sampled_from([key for key in HOSTILE_KEYS if key is not None]),
)
keys = st.none() | texts
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def folded(name):
    """The name as the most forgetful file systems see it."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", name).casefold()).rstrip(". ").upper()


def unescaped(name):
    """What an unhashed name stands for: an independent reading of the rules."""
    if name.startswith("~"):
        return {"~none": None, "~empty": ""}[name]
    data = re.sub(
        rb"%([0-9a-f]{2})|\+([a-z])",
        lambda match: bytes([int(match[1], 16)]) if match[1] else match[2].upper(),
        name.encode("ascii"),
    )
    return data.decode("utf-8", "surrogatepass")


@given(keys)
@example("x" * 200)
@example("x" * 201)
def test_a_name_tells_its_key(key):
    """Every name that is not hashed reads back as exactly its key, so no two keys can share one."""
    name = escape(key)
    if re.search(r".~[0-9a-f]{64}$", name) is None:
        assert unescaped(name) == key


@given(keys, keys)
def test_different_keys_have_different_names_on_every_file_system(one, other):
    """Names of different keys differ even after case folding, normalisation and Windows' trimming."""
    assert (folded(escape(one)) == folded(escape(other))) == (one == other)


@given(keys)
def test_a_name_stays_where_it_is_put(key):
    """A name is one entry of its folder on POSIX and Windows: short, plain, not hidden, not reserved."""
    name = escape(key)
    assert re.fullmatch(r"[a-z0-9_+%~-]+", name)
    assert name[0] not in ".-"
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert not RESERVED.fullmatch(name)
    assert os.path.normpath(f"/root/{name}") == f"/root/{name}"
    assert PurePosixPath("root", name).parts == ("root", name)
    assert PureWindowsPath("root", name).parts == ("root", name)
    assert is_safe_name(name)


@given(keys, st.integers(min_value=80, max_value=200))
def test_any_limit_is_kept(key, limit):
    """No name is longer than the limit asked for."""
    assert len(escape(key, limit=limit)) <= limit


def test_hostile_keys_are_all_apart():
    """The known troublemakers have names that differ pairwise after folding."""
    for one, other in combinations(HOSTILE_KEYS, 2):
        assert folded(escape(one)) != folded(escape(other)), (one, other)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (None, "~none"),
        ("", "~empty"),
        ("2025-01-15", "2025-01-15"),
        ("d:2025-01-15", "d%3a2025-01-15"),
        ("EU", "+e+u"),
        ("../x", "%2e%2e%2fx"),
        ("con", "%63on"),
        ("CON", "+c+o+n"),
        ("-f", "%2df"),
        ("a-f", "a-f"),
        ("é", "%c3%a9"),
    ],
)
def test_names_are_readable(key, name):
    """Ordinary keys are recognisable, and names never change: they are on users' disks."""
    assert escape(key) == name


def test_a_long_key_keeps_a_readable_beginning():
    """A key too long for a name is cut between characters and ends in its whole SHA-256."""
    name = escape("customer/" + "9" * 300)
    assert re.fullmatch(r"customer%2f9+~[0-9a-f]{64}", name)
    assert name != escape("customer/" + "9" * 301)


def test_keys_that_differ_only_at_the_end_stay_apart_when_hashed():
    """Long keys with one beginning have different names."""
    assert len({escape("x" * 5000 + str(n)) for n in range(100)}) == 100


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".tmp", "a/b", "a\\b", "a:b", "A", "-x", "a..b", "a.", "a\n", "x" * 256]
)
def test_unsafe_names_are_recognised(name):
    """What `escape` never returns and could lead astray is not a safe name."""
    assert not is_safe_name(name)

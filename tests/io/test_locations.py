from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowstone.io import Target
from flowstone.io.locations import Location, digest_of
from tests.io.contract import HOSTILE_KEYS

texts = st.text(st.characters(codec=None), min_size=1, max_size=300)
keys = st.none() | texts | st.sampled_from(HOSTILE_KEYS)
targets = st.builds(Target, texts, keys, texts, st.integers(0, 10**9))
suffixes = st.sampled_from(["json", "txt", "bin", "pickle", "polars.parquet"])


@given(targets, st.binary(), suffixes)
def test_a_location_reads_back_as_itself(target, data, suffix):
    """What a location spells is exactly what `parse` finds in it, whatever the target is called."""
    location = Location.of(target, digest_of(data), suffix)
    assert Location.parse(str(location)) == location
    assert location.matches(data)
    assert not location.matches(data + b"x")


@given(targets, targets)
def test_locations_of_different_targets_differ(one, other):
    """Two targets have one location only if they are equal, content and suffix being equal."""
    left, right = (str(Location.of(target, "0" * 64, "json")) for target in (one, other))
    assert (left.casefold() == right.casefold()) == (one == other)


@given(targets)
def test_a_location_fits(target):
    """No location is too long for the run store, and no name for a file system."""
    location = Location.of(target, "0" * 64, "x" * 40)
    assert len(str(location)) <= 2000
    assert all(len(name) <= 255 for name in (*location.folders, location.name))


@given(st.text(st.sampled_from("ab/.\\~%+-_0 \x00\nA:"), max_size=60) | st.text())
def test_any_text_is_parsed_or_refused(text):
    """Text from elsewhere is either a location that spells the same, or none."""
    location = Location.parse(text)
    assert location is None or str(location) == text


@given(
    targets,
    st.sampled_from(["..", ".", "", "/", "\\", "A", ".x", "x.", "-x", "\x00", "\n"]),
    st.integers(0, 2),
)
def test_a_location_with_an_unsafe_name_is_refused(target, name, position):
    """Exchange any of the three names for an unsafe one and it is no location any more."""
    parts = str(Location.of(target, "0" * 64, "json")).split("/")
    parts[position] = name
    assert Location.parse("/".join(parts)) is None

"""A pattern means files below its folder, and none outside of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowstone import DefinitionError
from flowstone.sensors.patterns import Pattern


@pytest.fixture
def landing(tmp_path, monkeypatch):
    """The current folder, with a folder in it."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "landing"
    place.mkdir()
    return place


def put(place, *names):
    """Files of these names, with folders as needed."""
    for name in names:
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")


def matched(pattern):
    """The paths of what a pattern means; every folder can be read."""
    found = [path for path, _ in Pattern(pattern).files(pytest.fail)]
    assert len(found) == len(set(found))
    return sorted(found)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("landing/*.csv", ["a.csv", "b.csv"]),
        ("landing/?.csv", ["a.csv", "b.csv"]),
        ("landing/[!a].csv", ["b.csv"]),
        ("landing/a.csv", ["a.csv"]),
        ("landing/*/*.csv", ["x/a.csv", "y/a.csv"]),
        ("landing/x/*", ["x/a.csv", "x/c.txt"]),
        ("landing/**/*.csv", ["a.csv", "b.csv", "x/a.csv", "x/deep/er/a.csv", "y/a.csv"]),
        ("landing/**/deep/**/*.csv", ["x/deep/er/a.csv"]),
        ("landing/**/**/a.csv", ["a.csv", "x/a.csv", "x/deep/er/a.csv", "y/a.csv"]),
        ("landing/x/**", ["x/a.csv", "x/c.txt", "x/deep/er/a.csv"]),
        ("landing/.*", [".hidden.csv"]),
        ("landing/*/.*/*", ["x/.git/a.csv"]),
        ("landing/nothing*", []),
        ("landing//./*.csv", ["a.csv", "b.csv"]),
    ],
)
def test_what_a_pattern_means(landing, pattern, expected):
    """As in a shell; what begins with a dot is meant only if the pattern says so."""
    put(
        landing,
        "a.csv",
        "b.csv",
        ".hidden.csv",
        "x/a.csv",
        "x/c.txt",
        "x/deep/er/a.csv",
        "x/.git/a.csv",
        "y/a.csv",
    )
    (landing / "folder.csv").mkdir()
    assert [
        path.removeprefix("landing/").replace("/./", "/").removeprefix("./").removeprefix("/")
        for path in matched(pattern)
    ] == expected


def test_paths_are_as_the_pattern_has_them(landing, tmp_path):
    """Absolute, relative, and below the current folder."""
    put(tmp_path, "a.csv", "landing/a.csv")
    assert matched("*.csv") == ["a.csv"]
    assert matched("landing/*.csv") == ["landing/a.csv"]
    assert matched(landing / "*.csv") == [f"{landing}/a.csv"]
    assert matched("landing/../landing/*.csv") == ["landing/../landing/a.csv"]


@pytest.mark.parametrize(
    "pattern",
    ["", " ", "landing/", "landing/..", "a\0b", 7, None, b"landing/*", "landing/*/../*.csv", "**/.."],
)
def test_what_is_no_pattern_is_refused(pattern):
    """Where it is defined; so is what leads out of its folder."""
    with pytest.raises(DefinitionError, match="FileSensor"):
        Pattern(pattern)


def test_links_lead_nowhere_else(landing, tmp_path):
    """Those to folders are not followed, those to files only to ones below the folder."""
    put(tmp_path, "secret.csv", "outside/a.csv")
    put(landing, "a.csv", "x/b.csv")
    (landing / "inside.csv").symlink_to("x/b.csv")
    (landing / "secret.csv").symlink_to(tmp_path / "secret.csv")
    (landing / "up.csv").symlink_to("../secret.csv")
    (landing / "broken.csv").symlink_to("nothing")
    (landing / "circle.csv").symlink_to("circle.csv")
    (landing / "folder").symlink_to(tmp_path / "outside")
    (landing / "around").symlink_to(landing)
    assert matched("landing/**/*.csv") == ["landing/a.csv", "landing/inside.csv", "landing/x/b.csv"]
    (tmp_path / "there").symlink_to(landing)
    assert matched("there/*.csv") == ["there/a.csv", "there/inside.csv"]


def test_only_files_are_meant(landing):
    """No pipe, which would block whoever opens it, and no folder."""
    os.mkfifo(landing / "pipe.csv")
    (landing / "folder.csv").mkdir()
    assert matched("landing/*.csv") == []


def test_names_may_be_strange(landing):
    """Line breaks, wildcards, and bytes that are no text."""
    names = [b"a\nb.csv", b"[x]*.csv", b"\xff\xfe.csv", "é ☃.csv".encode()]
    for name in names:
        (landing / os.fsdecode(name)).write_text("1")
    assert sorted(os.fsencode(path) for path in matched("landing/*.csv")) == sorted(
        b"landing/" + name for name in names
    )


def test_what_goes_meanwhile_is_not_there(landing, monkeypatch):
    """A file between listing and looking, and a folder before it is listed."""
    put(landing, "a.csv", "x/b.csv", "y/c.csv")
    real = os.scandir

    def scandir(place):
        found = list(real(place))
        if Path(place).name == "landing":
            (landing / "a.csv").unlink()
            (landing / "x" / "b.csv").unlink()
            (landing / "x").rmdir()
        return _Listing(found)

    monkeypatch.setattr(os, "scandir", scandir)
    assert matched("landing/**/*.csv") == ["landing/y/c.csv"]


class _Listing(list):
    """What `os.scandir` gives."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def test_what_cannot_be_read_is_told(landing, monkeypatch):
    """The rest is found all the same; but not if it is the folder itself."""
    put(landing, "a.csv", "x/b.csv")
    real, closed = os.scandir, {"x"}

    def scandir(place):
        if Path(place).name in closed:
            raise PermissionError(13, "Permission denied", place)
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    told = []
    assert [path for path, _ in Pattern("landing/**/*.csv").files(lambda path, _: told.append(path))] == [
        "landing/a.csv"
    ]
    assert told == ["landing/x/"]
    closed.add("landing")
    with pytest.raises(PermissionError):
        matched("landing/*.csv")


def test_a_folder_that_is_not_there_is_an_error(landing):
    """Whoever looks decides what that means."""
    with pytest.raises(FileNotFoundError):
        matched("missing/*.csv")

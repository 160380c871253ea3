"""What comes out has no passwords in it, in whatever shape they were put there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.masking import masked, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://ada:s3cr3t@host/db is down", "postgresql://ada:***@host/db is down"),
        ("postgresql://ada:s3@r/3#t?x@host:5432/db", "postgresql://ada:***@host:5432/db"),
        ("'postgres://ada:s3cr3t@h1:1,h2:2/db'", "'postgres://ada:***@h1:1,h2:2/db'"),
        ("redis://:s3cr3t@host:6379/0", "redis://:***@host:6379/0"),
        ("postgresql+asyncpg://ada:s3cr3t@/db", "postgresql+asyncpg://ada:***@/db"),
        ("https://ada:s3cr3t@host/a@b", "https://ada:***@host/a@b"),
        ("host=db password=s3cr3t user=ada", "host=db password=*** user=ada"),
        ("host=db password = 's3 cr3t' user=ada", "host=db password = *** user=ada"),
        ("PGPASSWORD=s3cr3t", "PGPASSWORD=***"),
        ("{'user': 'ada', 'password': 's3cr3t'}", "{'user': 'ada', 'password': ***}"),
        ('{"token": "s3cr3t"}', '{"token": ***}'),
        ("GET /x?api_key=s3cr3t&page=2", "GET /x?api_key=***&page=2"),
        ("aws_secret_access_key=s3cr3t", "aws_secret_access_key=***"),
        (f"Bearer fst_{'aB-_9' * 9}"[:54] + " was sent", "Bearer fst_*** was sent"),
        ("client_secret=s3cr3t; refresh_token=s3cr3t", "client_secret=***; refresh_token=***"),
        ("token=s3cr3t secret=s3cr3t private_key=s3cr3t", "token=*** secret=*** private_key=***"),
        ("Authorization: Bearer s3cr3t.s3cr3t", "Authorization: Bearer ***"),
        ("authorization=Basic QWRhOnMzY3IzdA==", "authorization=Basic ***"),
        ("{'Authorization': 'Bearer s3cr3ts3cr3t'}", "{'Authorization': 'Bearer ***'}"),
        ("asked with bearer s3cr3ts3cr3t again", "asked with bearer *** again"),
        (f"cookie: fss_{'x' * 43}; a=b", "cookie: fss_***; a=b"),
    ],
)
def test_a_secret_is_masked(text, shown):
    """URLs, connection strings, environments, dicts and queries."""
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ada@host/db",
        "https://host:8080/users/a@b.org?mail=me@x.org",
        "http://registry:4873/@scope/package",
        "unexpected token: }",
        "the password is wrong",
        "KeyError: 'password'",
        "def login(token: str) -> None:",
        "14:02:30 raw@eu failed",
        "bearer authentication is not supported",
        "next_token=17 max_tokens=4096 token_count=3",
        "authorization failed",
    ],
)
def test_what_is_no_secret_stays(text):
    """A word or an `@` alone is none."""
    assert masked(text) == text


@given(
    st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters="\"'<>"), min_size=3, max_size=40)
)
def test_no_character_of_a_password_gives_it_away(password):
    """Whatever it holds, escaped or not, nothing of it is left in a database's URL."""
    assert masked(f"postgresql://ada:{password}@host/db") == "postgresql://ada:***@host/db"


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "dbPassword",
        "PGPASSWORD",
        "secret",
        "client_secret",
        "clientSecret",
        "token",
        "refresh_token",
        "accessToken",
        "api_key",
        "apiKey",
        "apikey",
        "api-key",
        "private_key",
        "SECRET_KEY",
        "aws_secret_access_key",
        "authorization",
        "Proxy-Authorization",
        "cookie",
        "credentials",
    ],
)
def test_a_field_whose_name_says_so_is_masked(name):
    """Whatever its value looks like, in lists and in what is nested too; but not where there is nothing."""
    assert without_secrets({name: "x", "more": {name: ["x", "y"]}}) == {
        name: "***",
        "more": {name: ["***", "***"]},
    }
    assert without_secrets({name: ""}) == {name: ""}


@pytest.mark.parametrize(
    "name",
    [
        "token_count",
        "tokens",
        "max_tokens",
        "token_type",
        "secretary",
        "key",
        "partition_key",
        "keyboard",
        "passenger",
        "cookies_seen",
        "author",
    ],
)
def test_a_field_whose_name_says_something_else_is_shown(name):
    """A part of a word is none."""
    assert without_secrets({name: "x1"}) == {name: "x1"}


def test_what_is_known_exactly_is_masked_anywhere():
    """A driver may repeat a password in words of its own."""
    assert masked("refused: s3 cr3t.", ["s3 cr3t"]) == "refused: ***."

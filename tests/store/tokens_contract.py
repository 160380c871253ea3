"""What every store promises of access tokens: mix `TokensContract` into a class with the fixture `place`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

from flowstone.runs.access import AccessToken, Role
from flowstone.store.tokens import MOST_SESSIONS
from tests.store.facts import at

HOUR = 3600
CI = AccessToken("ci", Role.OPERATE, at(0), "ada", at(HOUR))


async def known(store):
    """All that a store says of its tokens."""
    found = [await store.tokens.find(digest) for digest in ("d1", "d2", "d3")]
    sessions = [await store.tokens.session(digest, now=at(1)) for digest in ("s1", "s2", "s3")]
    return await store.tokens.all(), found, sessions


class TokensContract:
    """The promises."""

    async def test_a_token_is_found_by_its_digest(self, place):
        """As it was added, with who made it and until when; over or not, that is for others to say."""
        tokens = place.store.tokens
        assert await tokens.add(CI, "d1")
        assert await tokens.add(CI, "d1"), "a call whose answer was lost is made again"
        assert await tokens.add(AccessToken("ada", Role.ADMIN, at(1)), "d2")
        assert await tokens.find("d1") == (CI, "d1")
        assert await tokens.find("d3") is None
        assert [token.name for token in await tokens.all()] == ["ada", "ci"]

    async def test_a_name_is_one_tokens(self, place):
        """As long as that is not revoked, and of many who add it at once one does."""
        tokens = place.store.tokens
        added = await asyncio.gather(*(tokens.add(CI, f"d{number}") for number in range(5)))
        assert added.count(True) == 1
        revoked = await tokens.revoke("ci", at(2))
        assert revoked == replace(CI, revoked_at=at(2))
        assert await tokens.add(CI, "new")
        assert await tokens.all() == [CI, revoked]

    async def test_what_is_revoked_stays_so(self, place):
        """It is listed, and its sessions have ended; there is nothing to revoke twice."""
        tokens = place.store.tokens
        await tokens.add(CI, "d1")
        await tokens.begin_session("s1", "d1", at(HOUR), now=at(1))
        assert await tokens.session("s1", now=at(2)) == (CI, "d1")
        revoked = await tokens.revoke("ci", at(3))
        assert (await tokens.session("s1", now=at(4)), await tokens.find("d1")) == (None, (revoked, "d1"))
        await tokens.begin_session("s2", "d1", at(HOUR), now=at(1))
        assert await tokens.session("s2", now=at(4)) is None
        assert await tokens.revoke("ci", at(5)) is None
        assert await tokens.revoke("nobody", at(5)) is None

    async def test_a_use_is_noted_to_the_minute(self, place):
        """So that a server that is asked a thousand times a second writes nothing of it."""
        tokens = place.store.tokens
        await tokens.add(CI, "d1")
        noted = []
        for second in (10, 11, 69, 70, 71):
            await tokens.used("d1", at(second))
            noted.append((await tokens.find("d1"))[0].used_at)
        assert noted == [at(10), at(10), at(10), at(70), at(70)]
        await tokens.used("unknown", at(0))

    async def test_a_session_lasts_until_it_is_over_or_ended(self, place):
        """Those that are over are forgotten with the next one."""
        tokens = place.store.tokens
        await tokens.add(CI, "d1")
        for name, over in (("s1", 10), ("s2", 20), ("s3", 30)):
            await tokens.begin_session(name, "d1", at(over), now=at(1))
        assert await tokens.session("s1", now=at(10) - timedelta(microseconds=1)) is not None
        assert await tokens.session("s1", now=at(10)) is None
        await tokens.end_session("s2", now=at(2))
        await tokens.end_session("s2", now=at(2))
        assert await tokens.session("s2", now=at(1)) is None
        assert await tokens.session("s3", now=at(1)) is not None
        await tokens.begin_session("s4", "d1", at(90), now=at(40))
        assert await tokens.session("s3", now=at(1)) is None
        assert await tokens.session("s4", now=at(41)) is not None

    async def test_a_token_has_no_more_sessions_than_so_many(self, place):
        """The oldest ends with the next one, and those of other tokens stay."""
        tokens = place.store.tokens
        await tokens.add(CI, "d1")
        await tokens.add(AccessToken("ada", Role.ADMIN, at(1)), "d2")
        await tokens.begin_session("other", "d2", at(HOUR), now=at(1))
        for number in range(MOST_SESSIONS + 2):
            await tokens.begin_session(f"s{number}", "d1", at(HOUR), now=at(1))
        there = [
            await tokens.session(f"s{number}", now=at(2)) is not None for number in range(MOST_SESSIONS + 2)
        ]
        assert there == [False, False] + [True] * MOST_SESSIONS
        assert await tokens.session("other", now=at(2)) is not None

    async def test_tokens_and_sessions_are_remembered(self, place):
        """As they were, whatever was done to them."""
        tokens = place.store.tokens
        await tokens.add(CI, "d1")
        await tokens.revoke("ci", at(1))
        await tokens.add(replace(CI, created_by=None, expires_at=None), "d2")
        await tokens.used("d2", at(7))
        for name in ("s1", "s2"):
            await tokens.begin_session(name, "d2", at(HOUR), now=at(1))
        await tokens.end_session("s1", now=at(2))
        before = await known(place.store)
        assert [each is None for each in before[2]] == [True, False, True]
        await place.reopen()
        assert await known(place.store) == before

"""Requests to one server: sent, sent again where that is safe, and answers read, or raised as what is wrong.

Sent again is what is read, and what the server knows again: a request that has an `Idempotency-Key`, or that
changes nothing the second time. Anything else is sent again only if no connection was made for it, so that nothing
is done twice. Nothing follows a redirect: the token is for this server and for no other.

Map of this file
    Transport           the connection: open, close
        get, post ...   a request and its answer, as the model that it is
        pages           a list, page by page
        stream          server-sent events, or lines, for as long as they come
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter, ValidationError

from flowstone.backoff import Backoff
from flowstone.client.address import Address, path_of
from flowstone.client.problems import error_of, no_server
from flowstone.errors import ArgumentError, FlowstoneError, RuntimeStopping, ServerUnavailable
from flowstone.masking import masked
from flowstone.printable import one_line
from flowstone.remedies import Remedies
from flowstone.wire.paging import Page

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from random import Random

__all__ = ["TRIES", "Transport", "check_installed"]

M = TypeVar("M", bound=BaseModel)
P = TypeVar("P", bound=Page[Any])

_LARGEST: Final = 256_000_000
"""Bytes of an answer that is read as one."""

TRIES: Final = 5
"""How often a server is tried that cannot be reached."""

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_AWAY: Final = frozenset({502, 503, 504})
_MOST: Final = 1_000
"""Entries of a page, as the API allows."""

_SILENCE: Final = 45.0
"""Seconds after which a stream is taken for broken: a server says every 15 that it is there."""


def check_installed() -> None:
    """Raise `ModuleNotFoundError` in plain words where the extra is missing."""
    if importlib.util.find_spec("httpx2") is None:
        raise ModuleNotFoundError(
            "flowstone.client needs httpx2: `pip install 'flowstone[http]'` installs it.", name="httpx2"
        )


class Transport:
    """The connection to a server.

    Args:
        address: Where it is.
        token: What says who asks, or None.
        timeout: Seconds that a server may be silent while it is asked for something.
        verify: An `ssl.SSLContext`; None: the certificates that this machine trusts.
        via: An `httpx2.AsyncBaseTransport`; None: the network.
        random: Source of the jitter of pauses.
    """

    def __init__(
        self, address: Address, token: str | None, timeout: float, verify: Any, via: Any, random: Random
    ) -> None:
        self.address = address
        self.timeout = timeout
        self._token = token
        self._verify = verify
        self._via = via
        self._random = random
        self._client: Any = None

    def __repr__(self) -> str:
        return f"Transport({self.address.url!r})"

    async def open(self) -> None:
        """Make ready; nothing is sent."""
        import httpx2  # noqa: PLC0415 - an extra

        if self._client is not None:
            raise RuntimeStopping("A Client is entered once: make a new one.")
        headers = {"Accept": "application/json", "User-Agent": "flowstone"}
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        options: dict[str, Any] = {"headers": headers, "timeout": httpx2.Timeout(self.timeout, connect=10.0)}
        if self._via is not None:
            options["transport"] = self._via
        elif not self.address.secure:
            options["verify"] = False  # There is nothing to verify; to load certificates takes a while.
        elif self._verify is not None:
            options["verify"] = self._verify
        # What this machine is asked in clear is no business of a proxy.
        self._client = httpx2.AsyncClient(trust_env=not self.address.local, follow_redirects=False, **options)

    async def close(self) -> None:
        """End all connections."""
        if self._client is not None:
            await self._client.aclose()

    def require_open(self) -> None:
        """Raise unless it is."""
        self._ready()

    # One request --------------------------------------------------------------------------------------------

    async def get(self, model: type[M], *path: str, **query: Any) -> M:
        """Read one thing."""
        _, text = await self._asked("GET", path_of(*path), query, None, again=True)
        return self._read(model, text)

    async def get_list(self, model: type[M], *path: str, **query: Any) -> list[M]:
        """Read a list that comes as one."""
        _, text = await self._asked("GET", path_of(*path), query, None, again=True)
        return self._listed(model, text)

    async def get_optional(self, model: type[M], *path: str, **query: Any) -> M | None:
        """Read one thing that need not be there."""
        _, text = await self._asked("GET", path_of(*path), query, None, again=True)
        return None if text.strip() == b"null" else self._read(model, text)

    async def post(
        self,
        model: type[M],
        *path: str,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        again: bool = False,
        patience: float | None = None,
    ) -> M:
        """Change something.

        Args:
            model: What is answered.
            path: Where.
            body: What is sent, as JSON; None: nothing.
            key: The `Idempotency-Key`: with it the request may be sent again.
            again: Whether it may be sent again without one.
            patience: Seconds that the server may be silent; None: the usual.
        """
        return (await self.posted(model, *path, body=body, key=key, again=again, patience=patience))[1]

    async def posted(
        self,
        model: type[M],
        *path: str,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
        again: bool = False,
        patience: float | None = None,
    ) -> tuple[bool, M]:
        """As `post`; and whether something was created."""
        status, text = await self._asked(
            "POST", path_of(*path), {}, body, key=key, again=again or key is not None, patience=patience
        )
        return status == 201, self._read(model, text)

    async def post_list(self, model: type[M], *path: str, body: Mapping[str, Any] | None = None) -> list[M]:
        """Change something, and be answered with a list."""
        _, text = await self._asked("POST", path_of(*path), {}, body, again=False)
        return self._listed(model, text)

    async def delete(self, model: type[M], *path: str, **query: Any) -> M:
        """Take something away."""
        _, text = await self._asked("DELETE", path_of(*path), query, None, again=False)
        return self._read(model, text)

    async def pages(
        self, model: type[M], *path: str, limit: int | None = None, **query: Any
    ) -> AsyncIterator[M]:
        """The entries of a list, page after page as they are wanted; at most `limit`."""
        listed = Page[model]  # type: ignore[valid-type] # the model is known when this runs
        left, cursor = limit, None
        while left is None or left > 0:
            size = _MOST if left is None else min(left, _MOST)
            page = await self.get(listed, *path, limit=size, cursor=cursor, **query)
            for each in page.items:
                yield each
            if page.next is None:
                return
            cursor = page.next
            left = None if left is None else left - len(page.items)

    async def listed(self, model: type[M], *path: str, limit: int | None = None, **query: Any) -> list[M]:
        """All of these."""
        return [each async for each in self.pages(model, *path, limit=limit, **query)]

    async def posted_pages(self, model: type[P], *path: str, body: Mapping[str, Any]) -> AsyncIterator[P]:
        """The pages of a list that is asked for by a body, and that changes nothing."""
        query: dict[str, Any] = {"limit": _MOST}
        while True:
            _, text = await self._asked("POST", path_of(*path), query, body, again=True)
            page = self._read(model, text)
            yield page
            if page.next is None:
                return
            query["cursor"] = page.next

    # Streams ------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def stream(
        self, *path: str, query: Mapping[str, Any], after: int | None = None, silence: float = _SILENCE
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer that goes on.

        Args:
            path: Where.
            query: What is asked for.
            after: The `Last-Event-ID`; None: none is said.
            silence: Seconds without a byte after which it is taken for broken.

        Raises:
            ServerUnavailable: It cannot be begun, or is cut: whoever comes back goes on where it was.
        """
        import httpx2  # noqa: PLC0415 - an extra

        headers = {} if after is None else {"Last-Event-ID": str(after)}
        request = self._ready().build_request(
            "GET",
            self._url(path_of(*path), query),
            headers=headers,
            timeout=httpx2.Timeout(self.timeout, connect=10.0, read=silence),
        )
        with self._worded():
            response = await self._ready().send(request, stream=True)
            try:
                if response.status_code != 200:
                    await response.aread()
                    raise self._error(response)
                yield self._lines(response)
            finally:
                await response.aclose()

    async def _lines(self, response: Any) -> AsyncIterator[str]:
        """The lines as they come.

        A line ends at a line feed alone: JSON has other characters in its texts at which `str.splitlines` splits.
        """
        begun = bytearray()
        with self._worded():
            async for chunk in response.aiter_bytes():
                first, *others = chunk.split(b"\n")
                begun += first
                for each in others:
                    yield _line(begun)
                    begun = bytearray(each)
                if len(begun) > _LARGEST:
                    raise ServerUnavailable(f"{self.address.url} sends a line that is too long to be read.")
        if begun:
            yield _line(begun)

    # Inside -------------------------------------------------------------------------------------------------

    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        *,
        again: bool,
        key: str | None = None,
        patience: float | None = None,
    ) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        headers = {} if key is None else {"Idempotency-Key": key}
        content = None
        if body is not None:
            content = json.dumps(body, ensure_ascii=False, allow_nan=False).encode(errors="surrogatepass")
            headers["Content-Type"] = "application/json"
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._random)
        url = self._url(path, query)
        for left in reversed(range(TRIES)):
            try:
                return await self._once(method, url, headers, content, patience)
            except _Unsent as unsent:
                if not left:
                    raise unsent.why from None
            except _Unsure as unsure:
                if not (left and again):
                    raise unsure.why from None
            await asyncio.sleep(backoff.pause())
        raise AssertionError("the last try returns or raises")

    async def _once(
        self, method: str, url: str, headers: Mapping[str, str], content: bytes | None, patience: float | None
    ) -> tuple[int, bytes]:
        import httpx2  # noqa: PLC0415 - an extra

        seconds = self.timeout if patience is None else patience
        request = self._ready().build_request(
            method, url, headers=headers, content=content, timeout=httpx2.Timeout(seconds, connect=10.0)
        )
        try:
            response = await self._ready().send(request, stream=True)
            try:
                text = await self._body(response)
            finally:
                await response.aclose()
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise _Unsent(self._unreached(error)) from None
        except httpx2.TransportError as error:
            raise _Unsure(self._unreached(error)) from None
        except (httpx2.DecodingError, httpx2.StreamError):
            raise _Unsure(no_server(self.address.url, response.status_code, "an answer cut short")) from None
        if 200 <= response.status_code < 300:
            return response.status_code, text
        wrong = self._error(response, text)
        raise _Unsure(wrong) if response.status_code in _AWAY else wrong

    async def _body(self, response: Any) -> bytes:
        found = bytearray()
        async for chunk in response.aiter_bytes():
            found += chunk
            if len(found) > _LARGEST:
                raise ServerUnavailable(
                    f"{self.address.url} answers with more than {_LARGEST // 1_000_000:,} MB, which is not read.",
                    remedies=Remedies("Ask for less: limit=.", "Ask for less, with --limit."),
                )
        return bytes(found)

    def _error(self, response: Any, text: bytes | None = None) -> FlowstoneError:
        """The exception for an answer that is none of success."""
        if 300 <= response.status_code < 400:
            return self._elsewhere(str(response.headers.get("location", "")))
        body = response.content if text is None else text
        return error_of(
            response.status_code, body, response.headers.get("content-type", ""), self.address.url
        )

    def _elsewhere(self, location: str) -> ServerUnavailable:
        try:
            there = f" ({Address.of(location.partition('?')[0]).url})"
        except ArgumentError:
            there = ""
        ask = "If that is the server, give its address: a token goes to no other one than it was given for."
        return ServerUnavailable(
            f"{self.address.url} sends whoever asks somewhere else{there}.", remedies=Remedies(ask, ask)
        )

    def _unreached(self, error: Exception) -> ServerUnavailable:
        # The text of an error may quote what was sent; its kind, and what the system says, do not.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = cause.__cause__ or cause.__context__
        said = type(error).__name__ if cause is None else one_line(masked(str(cause)))[:300]
        check = "Check that it runs (`flowstone serve`), and the address."
        return ServerUnavailable(
            f"{self.address.url} cannot be reached: {said}.", remedies=Remedies(check, check)
        )

    def _worded(self) -> _Worded:
        return _Worded(self)

    def _read(self, model: type[M], text: bytes) -> M:
        try:
            return model.model_validate_json(text)
        except ValidationError:
            raise self._unread() from None

    def _listed(self, model: type[M], text: bytes) -> list[M]:
        try:
            return TypeAdapter(list[model]).validate_json(text)  # type: ignore[valid-type] # as in `pages`
        except ValidationError:
            raise self._unread() from None

    def _unread(self) -> ServerUnavailable:
        check = "Check the address, and that server and client are of one release."
        return ServerUnavailable(
            f"{self.address.url} answers with what this client cannot read.", remedies=Remedies(check, check)
        )

    def _url(self, path: str, query: Mapping[str, Any]) -> str:
        given = [
            (name, _text(each))
            for name, value in query.items()
            if value is not None
            for each in (value if isinstance(value, list | tuple) else [value])
        ]
        return f"{self.address.url}{path}" + (f"?{urlencode(given, errors='surrogatepass')}" if given else "")

    def _ready(self) -> Any:
        if self._client is None or self._client.is_closed:
            raise RuntimeStopping("The Client is not open: use it within `async with Client(…) as client:`.")
        return self._client


class _Unsent(Exception):
    """No connection was made, so nothing was asked."""

    def __init__(self, why: ServerUnavailable) -> None:
        super().__init__()
        self.why = why


class _Unsure(Exception):
    """It may have been asked and done: the answer was lost, or is that it cannot be had now."""

    def __init__(self, why: FlowstoneError) -> None:
        super().__init__()
        self.why = why


class _Worded:
    """Puts the errors of the connection into words."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import httpx2  # noqa: PLC0415 - an extra

        if isinstance(error, httpx2.TransportError | httpx2.StreamError | httpx2.DecodingError):
            raise self._transport._unreached(error) from None


def _line(found: bytearray) -> str:
    return found.removesuffix(b"\r").decode(errors="replace")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

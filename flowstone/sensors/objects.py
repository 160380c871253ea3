"""`ObjectSensor`: objects that land in an object store, through obstore."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

from flowstone.errors import DefinitionError
from flowstone.sensors.found import FoundObject, digest_of
from flowstone.sensors.landing import LandingSensor
from flowstone.sensors.memory import Seen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.assets.automation.run_request import RunRequest

__all__ = ["ObjectSensor"]

_PAGE = 1000


class ObjectSensor(LandingSensor):
    """Asks for a run for each object that appears or changes in an object store, once. Needs the extra `s3`.

    What a run is told of its object is as of `FileSensor`; `path` is the object's key.

    An object has changed if its ETag, its version, its size or its time has. All keys below the prefix are listed
    at each look, so that what appears late, with an earlier time than others, is found. At most 100,000 objects may
    be there at a time.

    Args:
        url: Where to look: `s3://bucket/prefix`, `gs://…`, `az://…` or `file:///folder`. The prefix is whole parts
            of a key: `landing` is all that is in it, not `landing-old/…`.
        asset: What is computed for an object: name, `Asset` or decorated function.
        existing: Whether objects that are there at the first look count; default: those that come later only.
        match: Pattern for the last part of the key, such as `*.csv`.
        store: A store of `obstore.store`, instead of the one that the URL leads to: the prefix is then within it.
        options: For that one, as `obstore.store.from_url` takes them (`region`, `client_options` …); what is not
            said is taken from the environment, such as `AWS_ACCESS_KEY_ID`.
        name: The sensor's name, for `pipeline.add`; default: the URL.
        every: Seconds from the end of a look to the next one, for `pipeline.add`.
        settle: Seconds for which an object must have been quiet; default 0, as objects are there whole or not.
        partition: From an object to its partition; None: the object is left out.
        config: From an object to the config of its run.
        request: From an object to its whole `RunRequest`, or None; instead of `asset`, `partition` and `config`.
        upstream: Whether everything upstream is part of the run.
        refresh: Which existing values are reused; default `all`: none.
        priority: Of the runs.
        tags: Further labels of the runs.
        limit: How many runs one look starts at most, for `pipeline.add`.
        paused: Whether it is paused when it is seen for the first time, for `pipeline.add`.

    Raises:
        DefinitionError: One of these cannot be, or obstore is not installed.
    """

    def __init__(
        self,
        url: str,
        *,
        asset: Any = None,
        existing: bool = False,
        match: str = "*",
        store: Any = None,
        options: Mapping[str, Any] | None = None,
        name: str | None = None,
        every: float = 30.0,
        settle: float = 0.0,
        partition: Callable[[FoundObject], Any] | None = None,
        config: Callable[[FoundObject], Any] | None = None,
        request: Callable[[FoundObject], RunRequest | None] | None = None,
        upstream: bool = True,
        refresh: Literal["all", "missing", "stale"] = "all",
        priority: int = 0,
        tags: Mapping[str, str] | None = None,
        limit: int = 1000,
        paused: bool = False,
    ) -> None:
        where = f"ObjectSensor({_shown(url)!r:.100})"
        self._url, self._prefix = _checked_url(url, where)
        if find_spec("obstore") is None:
            raise DefinitionError(f'{where} needs obstore: install it with: pip install "flowstone[s3]"')
        self._match = _checked_match(match, where)
        self._store = store
        self._options = _checked_options(options, where)
        super().__init__(
            where,
            f"{self._url} {match}",
            name=self._url if name is None else name,
            existing=existing,
            settle=settle,
            every=every,
            limit=limit,
            paused=paused,
            asset=asset,
            partition=partition,
            config=config,
            request=request,
            upstream=upstream,
            refresh=refresh,
            priority=priority,
            tags=tags,
        )

    def __repr__(self) -> str:
        return f"ObjectSensor({self._url!r})"

    def _look(self) -> Seen:
        remedy = "objects: delete or move what is done with, or use several sensors of narrower prefixes"
        return Seen(self._gathered(self._matching(), remedy))

    def _matching(self) -> Iterator[tuple[bytes, FoundObject]]:
        for key, known in self._listed():
            name = key.rpartition("/")[2]
            if fnmatchcase(name, self._match):
                size, modified = known["size"], known["last_modified"]
                etag, version = known["e_tag"], known["version"]
                digest = digest_of(key, size, modified.isoformat(), etag, version)
                yield digest, FoundObject(key, name, size, modified, etag, version)

    def _listed(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each object with its key, a page after the other."""
        import obstore  # noqa: PLC0415 - an extra, which takes a moment to load
        from obstore.store import from_url  # noqa: PLC0415 - as above

        if self._store is not None:
            store, within, before = self._store, self._prefix or None, ""
        else:
            # Its paths begin behind the prefix.
            store, within = from_url(self._url, **self._options), None
            before = f"{self._prefix}/" if self._prefix else ""
            if self._url.startswith("file:"):
                before = f"/{before}"
        for page in obstore.list(store, prefix=within, chunk_size=_PAGE):
            for known in page:
                yield f"{before}{known['path']}", known


def _checked_match(match: Any, where: str) -> str:
    if not isinstance(match, str) or not match:
        raise DefinitionError(f"{where}: match={match!r:.100} takes a pattern such as '*.csv'.")
    return match


def _checked_options(options: Any, where: str) -> dict[str, Any]:
    """Never shown: among them may be secrets."""
    if options is not None and not isinstance(options, Mapping):
        raise DefinitionError(
            f"{where}: options= takes a dict such as {{'region': 'eu-north-1'}}, not {type(options).__name__}."
        )
    return dict(options or {})


def _shown(url: object) -> str:
    """A URL without what may be secret."""
    if not isinstance(url, str):
        return repr(url)
    return url.partition("?")[0].rpartition("@")[2]


def _checked_url(url: Any, where: str) -> tuple[str, str]:
    """The URL, and the prefix that it names.

    Raises:
        DefinitionError: It is none.
    """
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        parts = None
    if (
        parts is None
        or not parts.scheme
        or not (parts.netloc or parts.path.strip("/") or parts.scheme == "memory")
    ):
        raise DefinitionError(f"{where} takes a URL such as 's3://bucket/prefix'.")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise DefinitionError(
            f"{where}: its URL is only where to look; give access keys and the like by options= or the environment."
        )
    return url, unquote(parts.path).strip("/")

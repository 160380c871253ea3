"""An object sensor asks for a run for each object of a store once, whatever the store is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore, S3Store

from flowstone import DefinitionError, ObjectSensor
from flowstone.sensors import landing
from tests.sensors.looks import Looking

MINIO = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region": "us-east-1"}


class Bucket:
    """A place for objects.

    Attributes:
        store: What is written to.
        before: What comes before a key in the path of an object.
    """

    def __init__(self, bucket, before, url, **options):
        self.store = bucket
        self.before = before
        self._url = url
        self._options = options

    def put(self, *keys, data=b"1"):
        """Write objects."""
        for key in keys:
            obstore.put(self.store, key, data)

    def delete(self, *keys):
        """Delete objects."""
        obstore.delete(self.store, list(keys))

    def looking(self, prefix="landing", **options):
        """Looks at what is below a prefix."""
        given = {"asset": "raw", **self._options, **options}
        return Looking(ObjectSensor(f"{self._url}{prefix}", **given))

    def paths(self, *keys):
        """The paths of objects."""
        return [f"{self.before}{key}" for key in keys]


@pytest.fixture(scope="session")
def s3():
    """A server that does as S3 does, in this process, that has answered."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    yield address
    server.stop()


@pytest.fixture(params=["memory", "file", "s3"])
def bucket(request, tmp_path):
    """One kind of store after the other, with nothing in it."""
    if request.param == "memory":
        store = MemoryStore()
        return Bucket(store, "", "memory:///", store=store)
    if request.param == "file":
        (tmp_path / "landing").mkdir()
        return Bucket(LocalStore(tmp_path), f"{tmp_path}/", f"file://{tmp_path}/")
    address = request.getfixturevalue("s3")
    name = f"b{token_hex(8)}"
    _create(address, name)
    options = {**MINIO, "endpoint": address, "client_options": {"allow_http": True}}
    return Bucket(S3Store(name, **options), "", f"s3://{name}/", options=options)


def _create(address, name):
    """A bucket."""
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{address}/{name}", method="PUT"), timeout=10).close()


def test_each_object_once(bucket):
    """New or changed; what was there at the first look does not count, nor does what is beside the prefix."""
    bucket.put("landing/old.csv", "landing-old/a.csv")
    it = bucket.looking()
    assert it.paths() == []
    bucket.put("landing/new.csv", "landing/deep/er.csv", "landing-old/b.csv", "other.csv")
    assert sorted(it.paths()) == sorted(bucket.paths("landing/deep/er.csv", "landing/new.csv"))
    assert it.paths() == []
    bucket.put("landing/old.csv", data=b"22")
    assert it.paths() == bucket.paths("landing/old.csv")
    bucket.delete("landing/old.csv")
    assert it.paths() == []
    bucket.put("landing/old.csv", data=b"333")
    assert it.paths() == bucket.paths("landing/old.csv")
    assert it.paths() == []


def test_what_is_there_counts_if_that_is_wanted(bucket):
    """By the last part of its key; the whole key is told."""
    bucket.put("landing/a.csv", "landing/b.txt", "landing/c.csv")
    it = bucket.looking(match="*.csv", existing=True)
    requests = it.look()
    assert sorted(each.partition for each in requests) == bucket.paths("landing/a.csv", "landing/c.csv")
    assert it.paths() == []


def test_more_objects_than_a_page(bucket):
    """All of them are found."""
    it = bucket.looking()
    it.look()
    bucket.put(*(f"landing/{number:04}" for number in range(1100)))
    assert len(set(it.paths())) == 1100
    assert it.paths() == []


def test_an_empty_place_is_no_failure(bucket):
    """Nothing has landed yet."""
    assert bucket.looking().paths() == []


def test_an_object_is_told_with_what_the_store_knows(bucket):
    """Its ETag among it."""
    found = []
    bucket.put("landing/a.csv", data=b"123")
    bucket.looking(existing=True, partition=found.append).look()
    (each,) = found
    assert (each.path, each.name, each.size) == (bucket.paths("landing/a.csv")[0], "a.csv", 3)
    assert each.etag
    assert abs(each.modified - datetime.now(UTC)) < timedelta(minutes=10)


class Listed:
    """A store whose listing is given."""

    def __init__(self, *objects):
        self.objects = {
            path: {"path": path, "size": 1, "e_tag": None, "version": None, **state}
            for path, state in objects
        }

    def list(self, _store, *, prefix, chunk_size):
        """As obstore does."""
        assert prefix == "landing"
        yield list(self.objects.values())


def at(minute):
    """An instant."""
    return {"last_modified": datetime(2025, 1, 1, 0, minute, tzinfo=UTC)}


@pytest.fixture
def listed(monkeypatch):
    """What is listed, and a look at it."""
    store = Listed(("landing/a", at(5)))
    monkeypatch.setattr(obstore, "list", store.list)
    return store, Looking(ObjectSensor("memory:///landing", asset="raw", store=object()))


def test_an_object_that_appears_late_is_not_lost(listed):
    """Though its time is before that of others which were seen."""
    store, it = listed
    it.look()
    store.objects |= Listed(("landing/late", at(1))).objects
    assert it.paths() == ["landing/late"]


@pytest.mark.parametrize(
    "changed", [{"e_tag": "2"}, {"version": "2"}, {"size": 2}, at(4)], ids=["etag", "version", "size", "time"]
)
def test_whatever_changes_makes_it_another_one(listed, changed):
    """Once."""
    store, it = listed
    it.look()
    store.objects["landing/a"] |= changed
    assert it.paths() == ["landing/a"]
    assert it.paths() == []


def test_an_object_may_have_to_be_quiet(listed):
    """Where it is written more than once."""
    store, it = listed
    it.sensor = ObjectSensor("memory:///landing", asset="raw", store=object(), settle=15)
    it.look()
    store.objects["landing/a"] |= at(6)
    assert [it.paths(), it.paths(), it.paths(), it.paths()] == [[], [], ["landing/a"], []]


def test_too_many_objects_are_a_failure(listed, monkeypatch):
    """With what to do."""
    store, it = listed
    monkeypatch.setattr(landing, "MOST_OBJECTS", 1)
    store.objects |= Listed(("landing/b", at(1))).objects
    with pytest.raises(ValueError, match="more than 1 objects"):
        it.look()


def test_a_bucket_that_is_not_there_is_a_failure(s3):
    """In the words of the store; nothing was seen."""
    options = {**MINIO, "endpoint": s3, "client_options": {"allow_http": True}}
    it = Looking(ObjectSensor("s3://nowhere/landing", asset="raw", options=options))
    with pytest.raises(Exception, match="NoSuchBucket"):
        it.look()
    assert it.cursor is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket",
        "/landing",
        "s3://",
        7,
        None,
        "s3://key:secret@bucket/landing",
        "s3://bucket/landing?token=secret",
        "s3://[",
    ],
)
def test_what_is_no_place_is_refused(url):
    """Where it is defined, without what may be secret."""
    with pytest.raises(DefinitionError, match="ObjectSensor") as refused:
        ObjectSensor(url, asset="raw")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "options", [{"match": ""}, {"match": 7}, {"asset": None}, {"settle": -1}, {"name": ""}]
)
def test_what_cannot_be_is_refused(options):
    """In one sentence that names the sensor."""
    with pytest.raises(DefinitionError, match="ObjectSensor"):
        ObjectSensor("s3://bucket/landing", **{"asset": "raw", **options})


def test_without_the_library_the_remedy_is_said(monkeypatch):
    """Where the sensor is defined, not when it looks for the first time."""
    monkeypatch.setattr("flowstone.sensors.objects.find_spec", lambda _: None)
    with pytest.raises(DefinitionError, match=r'pip install "flowstone\[s3\]"'):
        ObjectSensor("s3://bucket/landing", asset="raw")


def test_the_name_of_a_sensor_is_its_url():
    """Unless it has another one."""
    assert ObjectSensor("s3://bucket/landing", asset="raw").name == "s3://bucket/landing"
    assert ObjectSensor("s3://bucket/landing", asset="raw", name="landing").name == "landing"

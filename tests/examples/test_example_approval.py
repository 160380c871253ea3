"""The example that waits for an approval: asked and decided by HTTP, over a restart of the service."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import httpx2
import pytest


@pytest.fixture
def service(example, tmp_path, monkeypatch):
    """Enters the service in a directory of its own, as often as a test wants."""
    monkeypatch.chdir(tmp_path)

    @asynccontextmanager
    async def enter():
        module = example("publish_with_approval")
        transport = httpx2.ASGITransport(app=module.app)
        async with (
            module.lifespan(module.app),
            httpx2.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            yield client

    return enter


async def until(client, path, condition):
    """What a GET answers, once it is so."""
    while True:
        answer = await client.get(path)
        if condition(answer):
            return answer.json()
        await asyncio.sleep(0.01)


async def asked(client):
    """The approval that is pending."""
    (approval,) = await until(client, "/approvals", lambda answer: answer.json())
    return approval


async def test_a_report_is_approved_after_a_restart(service, tmp_path):
    """The draft is rendered once; the next process of the service goes on with the run."""
    async with asyncio.timeout(200), service() as client:
        run = (await client.post("/reports/2025-01-15")).json()
        assert (await client.post("/reports/2025-01-15")).json() == run
        approval = await asked(client)
        assert approval["message"] == "3 rows"
        assert (await client.get("/reports/2025-01-15")).status_code == 404
        draft = tmp_path / approval["data"]["draft"]
        assert draft.read_text() == "45\n75\n120"
        rendered = draft.stat().st_mtime_ns
    async with asyncio.timeout(200), service() as client:
        assert (await asked(client))["id"] == approval["id"]
        path = f"/approvals/{approval['id']}/approve"
        for nobody in ("", " "):
            assert (await client.post(path, json={"by": nobody})).status_code == 422
        decided = (await client.post(path, json={"by": "ada", "reason": "fine"})).json()
        assert (decided["status"], decided["by"]) == ("approved", "ada")
        assert (await client.post(path, json={"by": "bob"})).status_code == 409
        report = await until(client, "/reports/2025-01-15", lambda answer: answer.status_code == 200)
        assert (report["by"], report["total"]) == ("ada", 240)
    assert draft.stat().st_mtime_ns == rendered


async def test_a_report_is_rejected(service):
    """It is not published; nor is what nobody asked for decided."""
    async with asyncio.timeout(200), service() as client:
        await client.post("/reports/2025-01-16")
        approval = await asked(client)
        said = {"by": "ada", "reason": "numbers look wrong"}
        assert (await client.post(f"/approvals/{approval['id']}/wait", json=said)).status_code == 404
        assert (await client.post("/approvals/nothing/reject", json=said)).status_code == 404
        assert (await client.post(f"/approvals/{approval['id']}/reject", json=said)).json()[
            "status"
        ] == "rejected"
        answer = await until(client, "/reports/2025-01-16", lambda answer: "failed" in answer.text)
        assert answer == {"detail": "The report of 2025-01-16 is failed."}


async def test_what_is_no_day_is_told_in_one_sentence(service):
    """As is one that the calendar of the pipeline does not have."""
    async with asyncio.timeout(200), service() as client:
        for call in (client.post, client.get):
            for day in ("nonsense", "2026-01-15"):
                answer = await call(f"/reports/{day}")
                assert answer.status_code == 404
                assert day in answer.json()["error"]

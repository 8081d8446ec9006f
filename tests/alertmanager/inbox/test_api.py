from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import httpx

    from perfloop_inbox.inbox import Inbox

WEBHOOK = "/slack/services/T00000000/B00000000/secretToken1"
ATTACHMENT = {"title": "[FIRING:1] SlowQueries", "fields": [{"title": "Severity", "value": "warning"}]}


async def test_message_as_listed(client: httpx.AsyncClient):
    """A message is listed with its facts, its text and its payload."""
    await client.post(WEBHOOK, json={"attachments": [ATTACHMENT]})
    (message,) = (await client.get("/api/messages")).json()
    assert set(message) == {"id", "channel", "received_at", "status", "severity", "alertname", "text", "payload"}
    facts = (message["channel"], message["status"], message["severity"], message["alertname"])
    assert facts == ("slack", "firing", "warning", "SlowQueries")
    assert message["payload"] == {"attachments": [ATTACHMENT]}


async def test_filters_and_deletion(client: httpx.AsyncClient):
    """Filters narrow the list; deletion empties it."""
    for text in ("[FIRING:1] A", "[RESOLVED] A"):
        await client.post(WEBHOOK, json={"text": text})
    firing = (await client.get("/api/messages", params={"status": "firing", "channel": "slack"})).json()
    assert [message["text"] for message in firing] == ["[FIRING:1] A"]
    assert (await client.get("/api/messages", params={"channel": "email"})).json() == []
    assert len((await client.get("/api/messages", params={"limit": 1})).json()) == 1
    assert (await client.delete("/api/messages")).json() == {"deleted": 2}
    assert (await client.get("/api/messages")).json() == []


@pytest.mark.parametrize("query", ["channel=fax", "status=odd", "limit=0", "limit=many", "chanel=slack"])
async def test_bad_filter(client: httpx.AsyncClient, query: str):
    """A filter that cannot be is a 422 whose one sentence names it."""
    answer = await client.get(f"/api/messages?{query}")
    assert answer.status_code == 422
    assert query.split("=", maxsplit=1)[0] in answer.json()["detail"]


async def test_faulty_channel(client: httpx.AsyncClient):
    """A broken channel answers with its status, takes nothing, and heals."""
    assert (await client.put("/faults", json={"slack": 410, "pagerduty": 429})).json() == {
        "slack": 410,
        "pagerduty": 429,
    }
    answer = await client.post(WEBHOOK, json={"text": "hello"})
    assert (answer.status_code, answer.text) == (410, "channel_is_archived")
    answer = await client.post("/v2/enqueue", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert (await client.get("/api/messages")).json() == []
    await client.delete("/faults")
    assert (await client.get("/faults")).json() == {}
    assert (await client.post(WEBHOOK, json={"text": "hello"})).text == "ok"


@pytest.mark.parametrize("body", ["{", "[]", '{"slack": 99}', '{"fax": 500}', '"' + "x" * 70_000 + '"'])
async def test_bad_faults(client: httpx.AsyncClient, body: str):
    """Faults that cannot be are a 422 with a sentence, and none is set."""
    answer = await client.put("/faults", content=body)
    assert (answer.status_code, answer.json()["detail"][-1]) == (422, ".")
    assert (await client.get("/faults")).json() == {}


@pytest.mark.parametrize(("path", "size"), [(WEBHOOK, 2**20), ("/v2/enqueue", 512 * 1024), ("/heartbeat", 2**20)])
async def test_too_long_a_body(client: httpx.AsyncClient, path: str, size: int):
    """A body over the channel's limit is a 413."""
    assert (await client.post(path, content=b"x" * (size + 1))).status_code == 413


async def test_heartbeats(client: httpx.AsyncClient):
    """Heartbeats are listed newest first, whatever their body."""
    await client.post("/heartbeat", json={"status": "firing"})
    await client.post("/heartbeat", content=b"tick")
    beats = (await client.get("/api/heartbeats")).json()
    assert [beat["payload"] for beat in beats] == [None, {"status": "firing"}]


async def test_metrics(client: httpx.AsyncClient, inbox: Inbox):
    """Every arrival, refusal and heartbeat is counted."""
    await client.post(WEBHOOK, json={"text": "[FIRING:1] A"})
    await client.post(WEBHOOK, json={})
    await client.post("/heartbeat")

    def read(name: str, **labels: str) -> float | None:
        return inbox.metrics.registry.get_sample_value(name, labels)

    assert read("inbox_messages_total", channel="slack", status="firing") == 1
    assert read("inbox_messages_total", channel="email", status="firing") == 0
    assert read("inbox_rejected_total", channel="slack") == 1
    assert read("inbox_heartbeats_total") == 1
    assert (read("inbox_last_heartbeat_timestamp_seconds") or 0) > 1_700_000_000
    assert "inbox_messages_held 1.0" in (await client.get("/metrics")).text


async def test_page_shows_messages_and_escapes_them(client: httpx.AsyncClient):
    """The page lists what arrived; markup in a message stays text."""
    assert "Nothing has arrived yet" in (await client.get("/")).text
    await client.post(WEBHOOK, json={"text": "[FIRING:1] SlowQueries <script>alert(1)</script>"})
    await client.put("/faults", json={"email": 451})
    page = (await client.get("/")).text
    assert ("SlowQueries" in page, "<script>alert" in page, "responds with 451" in page) == (True, False, True)


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready"])
async def test_health(client: httpx.AsyncClient, path: str):
    """A running inbox is healthy and ready."""
    assert (await client.get(path)).status_code == 200


async def test_wrong_method_and_path(client: httpx.AsyncClient):
    """A webhook cannot be read, and unknown paths are not found."""
    assert (await client.get(WEBHOOK)).status_code == 405
    assert (await client.post("/v2/change/enqueue")).status_code == 404

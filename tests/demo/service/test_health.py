from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient


def test_health_says_what_the_service_stands_on(client: TestClient):
    """Health names the database and the cache it asked."""
    answer = client.get("/health").json()
    assert (answer["status"], answer["database"], answer["cache"]) == ("ok", "sqlite", "memory")
    assert answer["documents"] >= 2000


@pytest.mark.parametrize("path", ["/-/healthy", "/-/ready", "/metrics", "/", "/docs", "/openapi.json"])
def test_common_endpoints(client: TestClient, path: str):
    """The service has the endpoints that every program has."""
    assert client.get(path).status_code == 200


def test_metrics_know_route_templates_only(client: TestClient):
    """A path that does not exist does not become a label."""
    client.get("/no/such/path")
    assert "/no/such/path" not in client.get("/metrics").text


def test_page_has_a_switch_for_each_fault(client: TestClient):
    """A person can switch each of the seven faults on and off."""
    page = client.get("/").text
    assert all(f'data-fault="{name}"' in page for name in client.app.state.service.faults.rules)
    assert page.count("<form") == 7

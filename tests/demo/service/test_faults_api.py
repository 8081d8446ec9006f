from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from starlette.testclient import TestClient


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("{", "Faults must be a JSON object of fault and value."),
        ("[1]", "Faults must be a JSON object of fault and value."),
        (
            '{"slow": 1}',
            (
                "'slow' is an unknown fault: it must be one of slow_queries, cache_off, cpu_burn, errors, memory_leak, "
                "pool_exhausted, slow_first_token."
            ),
        ),
        ('{"slow_queries": -1}', "slow_queries is -1: it must be a number from 0 to 30 (seconds)."),
        ('{"slow_queries": "1"}', "slow_queries is '1': it must be a number from 0 to 30 (seconds)."),
        ('{"slow_queries": NaN}', "slow_queries is nan: it must be a number from 0 to 30 (seconds)."),
        (
            f'{{"slow_queries": {10**400}}}',
            f"slow_queries is {10**400}: it must be a number from 0 to 30 (seconds).",
        ),
        ('{"slow_queries": Infinity}', "slow_queries is inf: it must be a number from 0 to 30 (seconds)."),
        ('{"slow_queries": true}', "slow_queries is True: it must be a number from 0 to 30 (seconds)."),
        ('{"cache_off": 1}', "cache_off is 1: it must be true or false."),
        ('{"errors": 1.01}', "errors is 1.01: it must be a number from 0 to 1 (share of requests)."),
        ('{"memory_leak": 101}', "memory_leak is 101: it must be a number from 0 to 100 (MiB per second)."),
        ('{"pool_exhausted": 1.5}', "pool_exhausted is 1.5: it must be a whole number from 0 to 10 (connections)."),
        ('{"pool_exhausted": 11}', "pool_exhausted is 11: it must be a whole number from 0 to 10 (connections)."),
        ('{"slow_first_token": 61}', "slow_first_token is 61: it must be a number from 0 to 60 (seconds)."),
    ],
)
def test_bad_faults(client: TestClient, body: str, sentence: str):
    """What cannot be set is a 422 with one sentence, and nothing is set."""
    answer = client.put("/faults", content=body)
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)
    assert client.get("/faults").json() == {}


def test_all_problems_together(client: TestClient):
    """Each problem has its sentence, and the good part is not taken."""
    answer = client.put("/faults", json={"slow": 1, "errors": 2, "cache_off": True})
    assert answer.json()["detail"].count(".") >= 2
    assert client.get("/faults").json() == {}


def test_more_cores_than_there_are(client: TestClient):
    """The machine's own number of cores is the limit."""
    assert client.put("/faults", json={"cpu_burn": 10_000}).status_code == 422


def test_deep_json(client: TestClient):
    """JSON nested beyond reason is refused like any other."""
    assert client.put("/faults", content="[" * 100_000).status_code == 422

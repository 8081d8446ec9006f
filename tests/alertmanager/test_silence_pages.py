"""From the link in a message to a silence of exactly that alert: the inbox's pages in front of a real Alertmanager."""

from __future__ import annotations

import re
import urllib.error
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.alerting_chain import Chain, fetch, quicker, start_alertmanagers, start_inbox, wait_until

LABELS = {"alertname": "PoolFull", "service": "shop", "severity": "warning", "owner": "database"}
ODD = 'a "quoted" & <odd> \\ pool'


@pytest.fixture
def watched(bare_chain: Chain) -> Chain:
    """An Alertmanager and an inbox that knows it."""
    start_inbox(bare_chain, watching=True)
    start_alertmanagers(bare_chain, rewrite=quicker)
    return bare_chain


def _firing(chain: Chain) -> dict[str, str]:
    """The state of each pool's alert."""
    alerts = fetch(f"{chain.urls['alertmanager']}/api/v2/alerts")
    return {alert["labels"]["pool"]: alert["status"]["state"] for alert in alerts}


def _post(chain: Chain, wish: dict[str, Any]) -> Any:
    return fetch(f"{chain.urls['inbox']}/api/silences", method="POST", body=wish)


def test_a_silence_of_one_alert_leaves_the_other_of_its_group(watched: Chain):
    """Two pools in one message: each has a link of its own, which names its pool; the silence ends by a button."""
    chain = watched
    chain.post_alerts(*({"labels": LABELS | {"pool": pool}} for pool in (ODD, "b")))
    text = chain.wait_message(channel="slack", status="firing")["text"]
    links = re.findall(r"<(\S+/silences/new\?filter=[^|]+)\|", text)
    (odd,) = (link for link in links if "quoted" in link)
    assert odd.startswith(chain.urls["inbox"])

    page = fetch(odd)
    assert "1 alert matches now" in page
    wanted = unquote(odd.partition("filter=")[2].replace("+", " "))
    _post(chain, {"matchers": wanted, "duration": "1h", "author": "ann", "comment": "being resized"})
    wait_until(lambda: _firing(chain) == {ODD: "suppressed", "b": "active"}, what="one alert to be silenced")
    assert "silenced" in fetch(f"{chain.urls['inbox']}/alerts")

    listed = fetch(f"{chain.urls['inbox']}/silences")
    assert "being resized" in listed
    (number,) = re.findall(r'data-silence="([^"]+)"', listed)
    fetch(f"{chain.urls['inbox']}/api/silences/{number}", method="DELETE")
    assert "Nothing is silenced." in fetch(f"{chain.urls['inbox']}/silences")


def test_without_an_alertmanager_the_pages_say_so(watched: Chain):
    """Killed: no page reads as if nothing fired, and a silence is not taken for made."""
    watched.processes["alertmanager"].stop()
    for path in ("alerts", "silences", "silences/new?filter=%7B%7D"):
        with pytest.raises(urllib.error.HTTPError) as caught:
            fetch(f"{watched.urls['inbox']}/{path}")
        assert caught.value.code == 503
    with pytest.raises(urllib.error.HTTPError) as caught:
        _post(watched, {"matchers": 'alertname="A"', "duration": "1h", "author": "a", "comment": "c"})
    assert caught.value.code == 503

from __future__ import annotations

import pytest

from perfloop_base.errors import ConfigError
from perfloop_inbox.faults import ChannelFaults


def test_set_and_heal():
    """A status stays until 200 or a general healing takes it away."""
    faults = ChannelFaults()
    faults.update({"slack": 500, "email": 451})
    faults.update({"slack": 200})
    assert faults.to_dict() == {"email": 451}
    faults.heal()
    assert faults.to_dict() == {}


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (None, "Faults must be a JSON object of channel and status."),
        ({"fax": 500}, "'fax' is an unknown channel: it must be one of slack, email, pagerduty."),
        ({"slack": 42}, "The status of slack is 42: it must be 200 (healthy) or from 400 to 599."),
        ({"slack": True}, "The status of slack is True: it must be 200 (healthy) or from 400 to 599."),
    ],
)
def test_bad_faults(wanted: object, sentence: str):
    """One sentence names the thing, the value and the rule, and nothing changes."""
    faults = ChannelFaults()
    with pytest.raises(ConfigError) as caught:
        faults.update(wanted)
    assert (str(caught.value), faults.to_dict()) == (sentence, {})


def test_all_problems_together():
    """Every problem is named, and the good half is not taken."""
    faults = ChannelFaults()
    with pytest.raises(ConfigError) as caught:
        faults.update({"fax": 1, "slack": "down", "email": 500})
    assert ("fax" in str(caught.value), "slack" in str(caught.value), faults.to_dict()) == (True, True, {})

"""Where each signal is shown in Grafana: the dashboards list it in grafana/panels.json."""

from __future__ import annotations

import json

from perfloop_base.errors import ConfigError

SERVICE = "var-service={{ $labels.service | urlquery }}"
# A machine is chosen by its instance: its `service` is "host", whichever machine it is.
MACHINE = "var-instance={{ $labels.instance | urlquery }}"
OF_MACHINES = frozenset({"system"})
OVERVIEW = f"/d/overview?{SERVICE}"


def parse_panels(text: str, shown_as: str) -> dict[str, str]:
    """Return the address of the panel of each signal below Grafana's, as a template of an alert's annotation.

    Raises:
        ConfigError: the text is not the list that the dashboards write.
    """
    try:
        signals = json.loads(text)["signals"]
        return {name: _address(str(at["uid"]), at["panel"]) for name, at in signals.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{shown_as}:1: is not the list of panels that `perfloop generate` writes: {error!r}."
        ) from error


def _address(uid: str, panel: object) -> str:
    return f"/d/{uid}?{MACHINE if uid in OF_MACHINES else SERVICE}&viewPanel={panel}"

"""The names of the instrumentation, checked by Prometheus's own linter."""

from __future__ import annotations

import subprocess

from tests.wire.declared import library_families

# OpenTelemetry's `db.client.connection.count`: the convention's name is kept against the linter's advice.
KEPT = 'db_client_connection_count non-histogram and non-summary metrics should not have "_count" suffix'

# Other tests may have added metrics to the registry of this process.
OURS = ("http_", "db_", "cache_", "gen_ai_", "perfloop_")


def test_promtool_reports_only_one_name(promtool: str):
    """Of every family that the instrumentation creates, only the convention's name is reported."""
    found = {name: family for name, family in library_families().items() if name.startswith(OURS)}
    assert "gen_ai_client_time_to_first_token_seconds" in found
    text = "".join(
        f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n{sample(name, family.type)}"
        for name, family in found.items()
    )
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr).splitlines() == [KEPT]


def sample(name: str, kind: str) -> str:
    """Return the smallest valid set of samples of a family of this type."""
    return f"{name} 1\n" if kind != "histogram" else f'{name}_bucket{{le="+Inf"}} 1\n{name}_sum 1\n{name}_count 1\n'

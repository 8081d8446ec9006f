"""The names of the instrumentation, held against Prometheus' own linter."""

from __future__ import annotations

import subprocess

from tests.wire.declared import library_families

# OpenTelemetry's `db.client.connection.count`: the convention's name is worth more than the linter's wish.
KEPT = 'db_client_connection_count non-histogram and non-summary metrics should not have "_count" suffix'

# Not what other tests have put into the registry of this process.
OURS = ("http_", "db_", "cache_", "gen_ai_", "perfloop_")


def test_promtool_complains_of_one_name_alone(promtool: str):
    """Every family that importing the instrumentation makes, with a sample: only the convention's name is marked."""
    found = {name: family for name, family in library_families().items() if name.startswith(OURS)}
    assert "gen_ai_client_time_to_first_token_seconds" in found
    text = "".join(
        f"# HELP {name} {family.help}\n# TYPE {name} {family.type}\n{sample(name, family.type)}"
        for name, family in found.items()
    )
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr).splitlines() == [KEPT]


def sample(name: str, kind: str) -> str:
    """Return the least that a family of this type must tell."""
    return f"{name} 1\n" if kind != "histogram" else f'{name}_bucket{{le="+Inf"}} 1\n{name}_sum 1\n{name}_count 1\n'

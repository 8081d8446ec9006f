"""A `docker` command that answers for a running project, where there is no engine: what is asked of it, and no more."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SCRIPT = """#!{python}
import subprocess, sys
words = sys.argv[1:]
if words[0] == "ps":
    print({ids!r})
elif words[0] == "inspect":
    print({inspected!r})
elif words[:2] == ["compose", "exec"]:
    program = ["{python}" if word == "python3" else word.replace("/data/", "{data}/") for word in words[4:]]
    sys.exit(subprocess.run(program).returncode)
elif words[:2] != ["compose", "version"]:
    sys.exit("not known to this stand-in: " + " ".join(words))
"""


def make_engine(directory: Path, services: Iterable[str], data: Path) -> Path:
    """Write a `docker` into a directory, for PATH; `data` is what containers have as /data."""
    names = list(services)
    healthy = {"Status": "running", "StartedAt": "2026-11-23T14:36:32Z", "Health": {"Status": "healthy"}}
    containers = [
        {"Id": name, "Config": {"Labels": {"com.docker.compose.service": name}}, "State": healthy} for name in names
    ]
    script = directory / "docker"
    text = _SCRIPT.format(python=sys.executable, ids="\n".join(names), inspected=json.dumps(containers), data=data)
    script.write_text(text)
    script.chmod(0o755)
    return directory

"""What a list of processes shows of a program's arguments."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECRET = "mArKeD-arg-s3cret"
SHOW = """
import os, sys
from pathlib import Path
from perfloop_base.arguments import hide_arguments
from perfloop_base.redaction import register
register("another-marked-value")
hide_arguments()
sys.stdout.write(Path("/proc/self/cmdline").read_bytes().replace(b"\\0", b"\\n").decode())
assert os.environ["AFTER"] == "untouched"
assert sys.argv[1] == os.environ["FIRST"], "the program itself keeps its arguments"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems keep the arguments elsewhere")
@pytest.mark.parametrize(
    "words",
    [
        [f"--prometheus.url=http://user:{SECRET}@host:9090/p", "--other=1"],
        [f"http://user:{SECRET}@h", "ü"],
        ["--web.password", SECRET, "last"],
        ["--store.url=postgresql://u:another-marked-value@h/d"],
        ["plain", "words"],
    ],
)
def test_arguments_are_listed_without_their_secrets(words: list[str]):
    """As many words as before, each of its length; the environment behind them stays."""
    environment = {**os.environ, "AFTER": "untouched", "FIRST": words[0]}
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *words], env=environment, check=True, capture_output=True, text=True, timeout=30
    )
    assert SECRET not in done.stdout
    assert "another-marked-value" not in done.stdout
    listed = done.stdout.rstrip("\n").split("\n")[-len(words) :]
    assert [len(one.encode()) for one in listed] == [len(one.encode()) for one in words]
    if "user" in words[0]:
        assert "<secret>" in listed[0]


def test_a_process_that_hides_nothing_is_left_alone():
    """The test runner's own arguments stay as they are."""
    before = Path("/proc/self/cmdline").read_bytes() if Path("/proc/self/cmdline").exists() else b""
    from perfloop_base.arguments import hide_arguments

    hide_arguments()
    if before:
        assert Path("/proc/self/cmdline").read_bytes() == before

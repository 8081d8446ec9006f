"""Files of strangers and odd names of the machine: nothing blocks, nothing spoils the page."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from perfloop_exporter.collectors import arp, cgroup, filesystem, netdev, swap, textfile
from perfloop_exporter.collectors.families import Renderer, gauge
from perfloop_exporter.collectors.host import LIMIT, Host
from perfloop_exporter.collectors.losses import Losses
from perfloop_exporter.collectors.textfile_format import LINE_LIMIT, Parser
from perfloop_exporter.errors import CollectorError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfloop_exporter.collectors.families import Item

TOKENS = [
    "a",
    "b_total",
    "{",
    "}",
    'c="d"',
    ",",
    " ",
    "\t",
    "1",
    "NaN",
    "+Inf",
    "1e9",
    "# TYPE ",
    "# HELP ",
    "gauge",
    "histogram",
    "\n",
    "\r",
    "\0",
    "\\",
    '"',
    "é",
    "\u2028",
    "\u0661",  # a digit to Python, not to Prometheus
    "_bucket",
    'le="+Inf"',
]


def render(readings: Iterable[Item]) -> str:
    """Return the page's text, which is UTF-8 in any case, and which prometheus_client's parser accepts."""
    text = Renderer().render(readings)
    text.encode()
    list(text_string_to_metric_families(text))
    return text


def collect(directory: Path) -> str:
    """Return the page of a directory of textfiles."""
    return render(textfile.SPEC.build(Host(), {"directory": str(directory)}).collect())


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=60),
        st.lists(st.sampled_from(TOKENS), max_size=25).map("".join),
    )
)
def test_any_text_is_refused_or_exported_in_valid_format(text: str):
    """What the parser accepts, prometheus_client's parser accepts, too."""
    try:
        families = Parser().read(text)
    except CollectorError:
        return
    lines = "".join(f"# TYPE {one.name} {one.kind or 'untyped'}\n{''.join(one.lines)}" for one in families.values())
    found = [sample for family in text_string_to_metric_families(lines) for sample in family.samples]
    assert len(found) == sum(len(one.lines) for one in families.values())


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_cost_only_their_own_file(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    """The other file is exported."""
    directory = tmp_path_factory.mktemp("textfiles")
    (directory / "bad.prom").write_bytes(data)
    (directory / "good.prom").write_text("a_good_one 1\n")
    assert "\na_good_one 1\n" in collect(directory)


@pytest.mark.parametrize(
    "line",
    [
        'a{b="c"' + " " * 500_000 + "!",
        "a" + " " * 500_000 + "{",
        "a " + "1" * 500_000 + "x",
        "a " + "1" * 500_000 + "." + "1" * 400_000 + "x",
        "a{" + 'b="c",' * 100_000 + "!",
        'a{b="' + "\\\\" * 400_000,
        "# HELP" + " " * 900_000,
        "a" * (LINE_LIMIT + 1) + " 1",
    ],
    ids=lambda line: line[:8],
)
def test_no_line_takes_longer_than_its_length_allows(line: str):
    """A backtracking pattern would take hours for these."""
    begin = time.perf_counter()
    with pytest.raises(CollectorError):
        Parser().read(line)
    assert time.perf_counter() - begin < 5


def test_what_is_no_file_is_not_opened(tmp_path: Path):
    """Links to devices, pipes and sockets are refused without reading; a link to a file is followed."""
    os.mkfifo(tmp_path / "pipe.prom")
    for name, target in (
        ("zero", "/dev/zero"),
        ("random", "/dev/urandom"),
        ("tty", "/dev/tty"),
        ("loop", "loop.prom"),
        ("dir", "/etc"),
    ):
        (tmp_path / f"{name}.prom").symlink_to(target)
    (tmp_path / "real").write_text("a 1\n")
    (tmp_path / "link.prom").symlink_to(tmp_path / "real")
    begin = time.perf_counter()
    text = collect(tmp_path)
    assert time.perf_counter() - begin < 5
    assert "\na 1\n" in text
    assert "node_textfile_scrape_error 1\n" in text
    assert text.count("node_textfile_mtime_seconds{") == 1


def test_a_file_that_is_too_large_is_refused_whole(tmp_path: Path):
    """No part of it is exported: neither of many lines, nor of one."""
    line = b'a_sample_of_a_job{number="%d"} 1\n'
    (tmp_path / "many.prom").write_bytes(b"".join(line % number for number in range(LIMIT // 30)))
    with (tmp_path / "one.prom").open("wb") as sparse:
        sparse.truncate(100_000_000)
    text = collect(tmp_path)
    assert "a_sample" not in text
    assert "node_textfile_scrape_error 1\n" in text


def test_a_file_whose_name_is_not_utf_8(tmp_path: Path):
    """Its path is shown with a replacement character, in the label and in the help."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/job\xff.prom")).write_text("a 1\n")
    text = collect(tmp_path)
    assert "\na 1\n" in text
    assert "job\ufffd.prom" in text


def test_a_label_that_is_not_utf_8_is_shown_with_a_replacement_character():
    """As node_exporter shows mount points; the page stays UTF-8."""
    family = gauge("x", "X.", "device")
    assert 'x{device="a\ufffdb"} 1\n' in render([(family, [((os.fsdecode(b"a\xffb"),), 1)])])


ODD = [b"\xff", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0c", b"\x1b[31m", b"\xe2\x80\xae", b"\xc2\xa0", b"\x1c"]


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_odd_names_of_the_machine(tmp_path: Path, odd: bytes):
    """Python ends lines and columns at more characters than the kernel does: every other entry is still read."""
    name = b"od" + odd + b"d"
    (tmp_path / "net").mkdir()
    (tmp_path / "1").mkdir()
    (tmp_path / "self").mkdir()
    (tmp_path / "net/dev").write_bytes(
        b"Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n  eth0: 1 2 3 4\n" + name + b": 5 6 7 8\n"
    )
    (tmp_path / "net/arp").write_bytes(
        b"IP address HW type Flags HW address Mask Device\n1.1.1.1 0x1 0x2 00:00 * eth0\n1.1.1.2 0x1 0x2 00:00 * "
        + name
        + b"\n"
    )
    (tmp_path / "1/mountinfo").write_bytes(
        b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:2 / /mnt/" + name + b" rw - ext4 /dev/sdb1 rw\n"
    )
    (tmp_path / "swaps").write_bytes(
        b"Filename Type Size Used Priority\n/swap file 1 0 -2\n/" + name + b" file 1 0 -3\n"
    )
    (tmp_path / "self/cgroup").write_bytes(b"0::/" + name + b"\n")
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return os.statvfs("/")

    host = Host(proc=str(tmp_path), sys=str(tmp_path), statvfs=statvfs)
    shown = name.decode("utf-8", "replace")
    text = render(netdev.SPEC.build(host).collect())
    assert 'node_network_receive_bytes_total{device="eth0"} 1\n' in text
    assert f'node_network_receive_bytes_total{{device="{shown}"}} 5\n' in text
    assert f'node_arp_entries{{device="{shown}"}} 1\n' in render(arp.SPEC.build(host).collect())
    assert f'mountpoint="/mnt/{shown}"' in render(filesystem.SPEC.build(host).collect())
    assert os.fsencode(asked[-1]) == b"/mnt/" + name
    assert f'device="/{shown}"' in render(swap.SPEC.build(host).collect())
    assert cgroup.parse_paths(host.read_proc("self/cgroup"), Losses()) == {"": f"/{shown}"}

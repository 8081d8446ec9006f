"""Files of batch jobs: valid and invalid content, changes, conflicts."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from perfloop_exporter.collectors import loadavg, textfile
from perfloop_exporter.collectors.families import Renderer, gauge, single
from perfloop_exporter.collectors.host import Host
from perfloop_exporter.collectors.textfile_format import Parser
from perfloop_exporter.errors import CollectorError
from perfloop_exporter.scrape import CollectorSlot, Scraper

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_exporter.collectors.families import Reading

BAD = {
    "a b c": "line 1: 'a b c' is not a sample",
    "a 1 2": "line 1: 'a 1 2' has a timestamp, or more than a value",
    'a{b="1",b="2"} 1': 'line 1: \'a{b="1",b="2"} 1\' has a duplicate label',
    "a 1\na 2": "line 2: 'a 2' is a duplicate",
    "# TYPE a gauge\n# TYPE a gauge": "line 2: a second TYPE line for a, or one after its samples",
    "a 1\n# TYPE a gauge": "line 2: a second TYPE line for a, or one after its samples",
    "# HELP a x\n# HELP a y": "line 2: a second HELP line for a",
    "# TYPE a number": "line 1: 'number' is not the type of a metric",
    "# TYPE": "line 1: '# TYPE' is not a HELP or TYPE line",
    'a{b="\\x"} 1': "line 1: 'a{b=\"\\x\"} 1' is not a sample",
    "1a 1": "line 1: '1a 1' is not a sample",
    "a 0x10": "line 1: 'a 0x10' is not a sample",
    "a{b=1} 1": "line 1: 'a{b=1} 1' is not a sample",
}
GOOD = """# a comment of any kind
# HELP a What it is, with \\\\ and \\n.
# TYPE a counter
a{b="x y\\"z\\n", c = "1" ,} +1.5e-3
a{b=""}\tNaN
b_total -Inf
# TYPE h histogram
h_bucket{le="+Inf"} 2
h_sum 1
h_count 2
"""


class Constant:
    """Returns the same readings every time."""

    def __init__(self, readings: list[Reading]) -> None:
        self._readings = readings

    def collect(self) -> list[Reading]:
        """Return them."""
        return self._readings


@pytest.mark.parametrize("text", BAD)
def test_an_invalid_line_is_reported(text: str) -> None:
    """The message has the line's number, its text and the rule."""
    with pytest.raises(CollectorError) as caught:
        Parser().read(text)

    assert str(caught.value) == BAD[text]


def test_a_valid_file_is_exported_in_valid_format(tmp_path: Path, promtool: str) -> None:
    """Promtool, which has Prometheus's parser, can parse the output."""
    (tmp_path / "good.prom").write_text(GOOD)
    text = Renderer().render(textfile.SPEC.build(Host(), {"directory": str(tmp_path)}).collect())

    found = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)

    assert "error while linting" not in found.stderr
    assert 'a{b="x y\\"z\\n",c="1"} +1.5e-3\n' in text
    assert "node_textfile_scrape_error 0\n" in text


def test_a_file_is_read_again_only_when_it_changed(tmp_path: Path) -> None:
    """A changed file is parsed again, an unchanged one is not, a removed one is no longer exported."""
    file = tmp_path / "job.prom"
    file.write_text("a 1\n")
    collector = textfile.SPEC.build(Host(), {"directory": str(tmp_path)})
    first = Renderer().render(collector.collect())
    known = collector._known[str(file)]  # type: ignore[attr-defined]
    collector.collect()
    assert collector._known[str(file)] is known  # type: ignore[attr-defined]

    file.write_text("a 22\n")
    os.utime(file, (1, 1))
    second = Renderer().render(collector.collect())
    file.unlink()
    third = Renderer().render(collector.collect())

    assert "\na 1\n" in first
    assert "\na 22\n" in second
    assert "\na " not in third


def test_conflicting_files_are_an_error(tmp_path: Path) -> None:
    """The first file's family is exported, the other's is not, and node_textfile_scrape_error is 1."""
    (tmp_path / "1.prom").write_text("# TYPE a gauge\na 1\n")
    (tmp_path / "2.prom").write_text("# TYPE a counter\na 2\nb 3\n")

    text = Renderer().render(textfile.SPEC.build(Host(), {"directory": str(tmp_path)}).collect())

    assert "\na 1\n" in text
    assert "\na 2\n" not in text
    assert "\nb 3\n" in text
    assert "node_textfile_scrape_error 1\n" in text


def test_several_directories_and_globs_are_read(tmp_path: Path) -> None:
    """The option may be repeated and be a glob; a missing directory sets scrape_error, the collector succeeds."""
    for name in ("x1", "x2", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.prom").write_text(f"{name} 1\n")
    directories = f"{tmp_path}/x*\n{tmp_path}/y\n{tmp_path}/missing"

    text = Renderer().render(textfile.SPEC.build(Host(), {"directory": directories}).collect())

    assert all(f"\n{name} 1\n" in text for name in ("x1", "x2", "y"))
    assert "node_textfile_scrape_error 1\n" in text


@pytest.mark.parametrize(
    "text",
    [
        "# TYPE node_load1 gauge\nnode_load1 99\n",
        "# HELP node_load1 1m.\n# TYPE node_load1 counter\nnode_load1 99\n",
        'node_load1{job="99"} 99\n',
        "# TYPE node_textfile_scrape_error counter\nnode_textfile_scrape_error 99\n",
        'node_textfile_mtime_seconds{file="99"} 99\n',
        'node_scrape_collector_success{collector="99"} 99\n',
        "# TYPE own_info gauge\nown_info 99\n",
        "# TYPE node summary\nnode_sum 99\n",
    ],
)
def test_a_metric_of_the_exporters_own_is_left_out(
    text: str, tmp_path: Path, promtool: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The page has one HELP and one TYPE for each name, the file's other metrics are there, and one line is logged."""
    (tmp_path / "job.prom").write_text(f"{text}# TYPE a_job gauge\na_job 1\n")
    own = Constant([single(gauge("own_info", "Own."), 1), single(gauge("node_sum", "Own."), 1)])
    built = [loadavg.SPEC.build(Host()), textfile.SPEC.build(Host(), {"directory": str(tmp_path)}), own]
    scraper = Scraper([CollectorSlot(str(number), collector, 60.0) for number, collector in enumerate(built)])
    pages = [scraper.scrape(), scraper.scrape()]

    for page in pages:
        heads = [line.split()[1:3] for line in page.split("\n") if line.startswith("# ")]
        assert len(heads) == len({tuple(head) for head in heads})
        assert " 99\n" not in page
        assert "\na_job 1\n" in page
        assert "\nnode_textfile_scrape_error 1\n" in page
        checked = subprocess.run(
            [promtool, "check", "metrics"], input=page, capture_output=True, text=True, check=False
        )
        assert "error while linting" not in checked.stderr
    assert len(caplog.records) == 1


def test_a_metric_whose_collector_is_off_may_come_from_a_file(tmp_path: Path) -> None:
    """What the exporter does not export itself is anybody's."""
    (tmp_path / "job.prom").write_text("# TYPE node_load1 gauge\nnode_load1 99\n")
    collector = textfile.SPEC.build(Host(), {"directory": str(tmp_path)})
    page = Scraper([CollectorSlot("textfile", collector, 60.0)]).scrape()
    assert "\nnode_load1 99\n" in page
    assert "\nnode_textfile_scrape_error 0\n" in page

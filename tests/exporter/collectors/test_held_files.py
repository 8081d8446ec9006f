"""Files held open between scrapes: fresh values, no stale devices, no descriptors without end."""

from __future__ import annotations

from pathlib import Path

from perfloop_exporter.collectors.held_files import HeldFiles


def open_descriptors() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_file_is_read_fresh_through_the_open_descriptor(tmp_path: Path) -> None:
    """The value of the second read is the file's of then."""
    files, file = HeldFiles(), tmp_path / "mtu"
    for text in ("1500\n", "9000\n"):
        file.write_text(text)

        assert files.read(str(file)) == text.strip()


def test_a_missing_file_is_none_until_it_is_there(tmp_path: Path) -> None:
    """Nothing is remembered of a file that was not there."""
    files, file = HeldFiles(), tmp_path / "speed"

    assert files.read(str(file)) is None
    file.write_text("1000\n")
    assert files.read(str(file)) == "1000"


def test_descriptors_are_bounded_and_closed(tmp_path: Path) -> None:
    """Beyond the bound files are opened and closed; folders that are gone are let go, and so is the rest at the end."""
    before = open_descriptors()
    files = HeldFiles(most=3)
    for number in range(10):
        (tmp_path / str(number)).write_text(str(number))
        assert files.read(str(tmp_path / str(number))) == str(number)
    assert open_descriptors() <= before + 3

    files.keep(set())

    assert open_descriptors() == before


def test_a_real_attribute_of_sysfs_is_read_again_and_again() -> None:
    """The loopback device's, twice the same."""
    files = HeldFiles()
    path = "/sys/class/net/lo/mtu"

    assert files.read(path) == files.read(path) == (Path(path).read_text().strip() if Path(path).exists() else None)

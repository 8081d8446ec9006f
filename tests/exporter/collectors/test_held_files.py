"""Files held open between scrapes: current values, no stale devices, a bounded number of descriptors."""

from __future__ import annotations

from pathlib import Path

from perfloop_exporter.collectors.held_files import HeldFiles


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_second_read_returns_the_current_value(tmp_path: Path) -> None:
    """A change of the file is seen through the open descriptor."""
    files, file = HeldFiles(), tmp_path / "mtu"
    for text in ("1500\n", "9000\n"):
        file.write_text(text)

        assert files.read(str(file)) == text.strip()


def test_a_missing_file_is_none_until_it_exists(tmp_path: Path) -> None:
    """That a file is missing is not cached."""
    files, file = HeldFiles(), tmp_path / "speed"

    assert files.read(str(file)) is None
    file.write_text("1000\n")
    assert files.read(str(file)) == "1000"


def test_descriptors_are_bounded_and_closed(tmp_path: Path) -> None:
    """Files beyond the limit are opened and closed; those of removed devices are closed."""
    before = open_descriptors()
    files = HeldFiles(most=3)
    for number in range(10):
        (tmp_path / str(number)).write_text(str(number))
        assert files.read(str(tmp_path / str(number))) == str(number)
    assert open_descriptors() <= before + 3

    files.keep(set())

    assert open_descriptors() == before


def test_a_real_attribute_of_sysfs_can_be_read_twice() -> None:
    """Both reads of an attribute of the loopback device return its value."""
    files = HeldFiles()
    path = "/sys/class/net/lo/mtu"

    assert files.read(path) == files.read(path) == (Path(path).read_text().strip() if Path(path).exists() else None)

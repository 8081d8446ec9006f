"""Hostile archives: nothing lands outside, nothing is left behind, and the sentence names the member."""

from __future__ import annotations

import hashlib
import io
import random
import shutil
import stat
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from perfloop.stack import archives, debian, programs
from perfloop.stack.errors import ProgramError
from perfloop.stack.releases import Release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on PATH")
Member = tuple[tarfile.TarInfo, bytes]


def _file(name: str, body: bytes = b"x", mode: int = 0o644) -> Member:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(body), mode
    return entry, body


def _entry(name: str, kind: bytes, linkname: str = "") -> Member:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, linkname, 0o755
    return entry, b""


def _directory(name: str) -> Member:
    return _entry(name, tarfile.DIRTYPE)


def _write(path: Path, *members: Member, mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for entry, body in members:
            tar.addfile(entry, io.BytesIO(body))
    return path


HOSTILE = {
    "an absolute path": ([_file("/tmp/perfloop-planted")], "is not a path below"),
    "a path upwards": ([_file("thing/../../planted")], "is not a path below"),
    "a link to an absolute path": ([_entry("thing/link", tarfile.SYMTYPE, "/etc/passwd")], "is a link that leads out"),
    "a link upwards": ([_entry("thing/link", tarfile.SYMTYPE, "../../planted")], "is a link that leads out"),
    "a hard link upwards": ([_entry("thing/link", tarfile.LNKTYPE, "../planted")], "is a link that leads out"),
    "a hard link to an absolute path": (
        [_entry("thing/l", tarfile.LNKTYPE, "/etc/passwd")],
        "is a link that leads out",
    ),
    "a link upwards through a link": (
        [
            _directory("thing"),
            _directory("thing/deep"),
            _entry("thing/deep/up", tarfile.SYMTYPE, ".."),
            _entry("thing/out", tarfile.SYMTYPE, "deep/up/../../planted"),
        ],
        "is a link that leads out",
    ),
    "a character device": ([_entry("thing/null", tarfile.CHRTYPE)], "is neither a file"),
    "a block device": ([_entry("thing/disk", tarfile.BLKTYPE)], "is neither a file"),
    "a pipe": ([_entry("thing/pipe", tarfile.FIFOTYPE)], "is neither a file"),
    "control characters": ([_file("thing/\x1b[2J/../../x")], r"'thing/\\x1b\[2J/../../x' is not a path"),
}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where it is unpacked, with something in it that must stay."""
    directory = tmp_path / "home"
    (directory / "thing").mkdir(parents=True)
    (directory / "thing" / "kept").write_text("kept")
    return directory


def _tree(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_leaves_nothing(tmp_path: Path, home: Path, case: str, mode: str):
    """The good member before the bad one is not left behind either; the same with and without Python's own filter."""
    members, rule = HOSTILE[case]
    archive = _write(tmp_path / "a.tar", _file("thing/good"), *members, mode=mode)
    before = _tree(tmp_path)
    with pytest.raises(archives.HostileArchiveError, match=rule):
        archives.unpack(archive, home)
    assert _tree(tmp_path) == before


@pytest.mark.parametrize("case", HOSTILE)
def test_a_python_without_filters_is_as_safe(tmp_path: Path, home: Path, case: str, monkeypatch: pytest.MonkeyPatch):
    """Debian 12's Python has no extraction filters."""
    monkeypatch.setattr(archives, "_FILTERS", {})
    members, rule = HOSTILE[case]
    archive = _write(tmp_path / "a.tar", *members)
    with pytest.raises(archives.HostileArchiveError, match=rule):
        archives.unpack(archive, home)
    assert _tree(home) == ["thing", "thing/kept"]


def test_a_bomb_is_refused_before_its_content(tmp_path: Path, home: Path):
    """A member that says it is larger than all that is allowed is not written; nor are too many small ones."""
    bomb = _write(tmp_path / "bomb.tar", _file("thing/zeros", bytes(4 << 20)))
    assert bomb.stat().st_size < 1 << 16, "it is a bomb"
    with pytest.raises(archives.HostileArchiveError, match="makes the archive larger than 1048576 bytes"):
        archives.unpack(bomb, home, most_bytes=1 << 20)
    many = _write(tmp_path / "many.tar", *[_file(f"thing/{number}", b"") for number in range(50)])
    with pytest.raises(archives.HostileArchiveError, match="is one more than 49 members"):
        archives.unpack(many, home, most_members=49)
    assert _tree(home) == ["thing", "thing/kept"]


def _truncate(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-40])


def _empty(archive: Path) -> None:
    archive.write_bytes(b"")


def _garble(archive: Path) -> None:
    body = bytearray(archive.read_bytes())
    body[len(body) // 2 :] = bytes(len(body) - len(body) // 2)
    archive.write_bytes(body)


@pytest.mark.parametrize("spoil", [_truncate, _empty, _garble])
@pytest.mark.parametrize("mode", ["w:gz", "w:xz"])
def test_a_broken_archive_is_one_error(tmp_path: Path, home: Path, spoil: Callable[[Path], None], mode: str):
    """Whatever breaks in it is an error of archives, and leaves nothing."""
    body = random.Random(1).randbytes(10_000)  # nothing to compress: whatever is spoiled is content
    archive = _write(tmp_path / "a.tar", *[_file(f"thing/{n}", body) for n in range(20)], mode=mode)
    spoil(archive)
    with pytest.raises(tarfile.TarError):
        archives.unpack(archive, home)
    assert _tree(home) == ["thing", "thing/kept"]


def test_what_is_good_is_unpacked_without_power(tmp_path: Path, home: Path):
    """Files, links within and modes come through; set-user-id and the right of others to write do not."""
    members = [
        _file("thing/bin/run", b"#!/bin/sh\n", 0o6777),
        _entry("thing/link", tarfile.SYMTYPE, "bin/run"),
        _entry("thing/hard", tarfile.LNKTYPE, "thing/bin/run"),
        _file("thing/unreadable", b"", 0o000),
    ]
    assert archives.unpack(_write(tmp_path / "a.tar", *members), home) == ["thing"]
    assert stat.S_IMODE((home / "thing/bin/run").stat().st_mode) == 0o755
    assert (home / "thing/link").read_text() == (home / "thing/hard").read_text() == "#!/bin/sh\n"
    assert stat.S_IMODE((home / "thing/unreadable").stat().st_mode) == 0o600
    assert (home / "thing" / "kept").read_text() == "kept"


def test_a_release_with_a_hostile_member_is_one_sentence(tmp_path: Path, home: Path):
    """Even with the pinned digest, the archive is refused, and nothing is linked."""
    archive = _write(tmp_path / "a.tar.gz", _file("thing/thing"), _entry("thing/link", tarfile.SYMTYPE, "/etc/passwd"))
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    with pytest.raises(ProgramError, match=r"'thing/link' is a link that leads out: nothing was unpacked"):
        programs.install_release(Release(archive.as_uri(), digest, ("thing",)), home)
    assert not (home / "bin").exists()
    assert _tree(home) == ["releases", "thing", "thing/kept"]


def test_a_download_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """More bytes than any release has are not written, and the sentence says so."""
    monkeypatch.setattr(programs, "_MOST_DOWNLOAD_BYTES", 1 << 20)
    source = tmp_path / "endless"
    source.write_bytes(bytes(3 << 20))
    with pytest.raises(ProgramError, match="more than 1048576 bytes came"):
        programs.install_release(Release(source.as_uri(), "0" * 64, ()), tmp_path / "home")
    assert list((tmp_path / "home").iterdir()) == []


def _package(tmp_path: Path, build: Callable[[Path], None]) -> Path:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x.x>\nDescription: x\n"
    )
    build(root)
    target = tmp_path / "thing.deb"
    done = subprocess.run(["dpkg-deb", "--build", str(root), str(target)], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("dpkg-deb cannot build here")
    return target


@needs_dpkg
def test_a_debian_package_keeps_to_its_directory(tmp_path: Path, home: Path):
    """Its absolute links lead to its own root, as if it were installed there."""

    def build(root: Path) -> None:
        (root / "usr" / "share" / "thing").mkdir(parents=True)
        (root / "etc").mkdir()
        (root / "etc" / "passwd").write_text("its own")
        (root / "usr" / "share" / "thing" / "link").symlink_to("/etc/passwd")

    debian._unpack(_package(tmp_path, build), home)
    assert (home / "usr/share/thing/link").read_text() == "its own"


@needs_dpkg
def test_a_hostile_debian_package_is_one_sentence(tmp_path: Path, home: Path):
    """A link out, or what is no package at all, is refused by name."""
    package = _package(tmp_path, lambda root: (root / "out").symlink_to("../../planted"))
    with pytest.raises(ProgramError, match=r"thing\.deb could not be unpacked: './out' is a link that leads out"):
        debian._unpack(package, home)
    _truncate(package)
    with pytest.raises(ProgramError, match=r"^thing\.deb "):
        debian._unpack(package, home)
    assert _tree(home) == ["thing", "thing/kept"]

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from perfloop.stack import programs
from perfloop.stack.debian import relocate
from perfloop.stack.errors import ProgramError
from perfloop.stack.releases import Release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on loopback that serves `served/`."""
    directory = tmp_path / "served"
    directory.mkdir()
    handler = partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def _make_archive(path: Path) -> str:
    with tarfile.open(path, "w:gz") as tar:
        body = b"#!/bin/sh\necho hello\n"
        entry = tarfile.TarInfo("thing-1.0/thing")
        entry.size, entry.mode = len(body), 0o755
        tar.addfile(entry, io.BytesIO(body))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_release_with_the_pinned_digest_is_installed(tmp_path: Path, server: str) -> None:
    """A download that hashes to the pin ends as an executable in `bin/`, and leaves no archive behind."""
    digest = _make_archive(tmp_path / "served" / "thing.tar.gz")
    programs.install_release(Release(f"{server}/thing.tar.gz", digest, ("thing",)), tmp_path / "home")
    assert programs.find("thing", tmp_path / "home") == tmp_path / "home" / "bin" / "thing"
    assert not (tmp_path / "home" / "download.part").exists()


def test_release_with_another_digest_is_refused(tmp_path: Path, server: str) -> None:
    """A download that hashes to something else is never unpacked, and the sentence names both digests."""
    digest = _make_archive(tmp_path / "served" / "thing.tar.gz")
    release = Release(f"{server}/thing.tar.gz", "0" * 64, ("thing",))
    with pytest.raises(ProgramError, match=f"has sha256 {digest}, not {'0' * 64}"):
        programs.install_release(release, tmp_path / "home")
    assert not (tmp_path / "home" / "bin").exists()


def test_release_that_is_not_there(tmp_path: Path, server: str) -> None:
    """A server that says no ends in one sentence with the address."""
    with pytest.raises(ProgramError, match=r"nothing\.tar\.gz could not be downloaded: HTTP Error 404"):
        programs.install_release(Release(f"{server}/nothing.tar.gz", "0" * 64, ()), tmp_path)


def test_ensure_says_what_was_tried(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that cannot be fetched in any way is one sentence that names the ways."""
    release = Release(f"{server}/nothing.tar.gz", "0" * 64, ())
    monkeypatch.setattr(programs, "find_release", lambda _: release)
    with pytest.raises(ProgramError) as caught:
        programs.ensure("no-such-program", tmp_path)
    assert "no-such-program is not on PATH and could not be fetched" in str(caught.value)
    assert "nothing.tar.gz" in str(caught.value)
    assert "no Debian package of no-such-program" in str(caught.value)


def test_relocated_program_finds_its_directory_anywhere(tmp_path: Path) -> None:
    """A program with a fixed directory in it reads that of the unpacked package, whatever the working directory is."""
    fixed = "/usr/share/prometheus/alertmanager"
    program = tmp_path / "usr" / "bin" / "prometheus-alertmanager"
    share = tmp_path / "usr" / "share" / "prometheus" / "alertmanager"
    program.parent.mkdir(parents=True)
    share.mkdir(parents=True)
    (share / "default.tmpl").write_text("the template")
    program.write_text(f'#!/bin/sh\ncat {fixed}/default.tmpl; echo " $1"\n')
    program.chmod(0o755)
    relocate(program, fixed)
    done = subprocess.run([program, "a b"], cwd="/", capture_output=True, text=True, check=True)
    assert done.stdout == "the template a b\n"

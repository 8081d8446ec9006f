"""What comes from outside is pinned, looked up, licensed, and listed; what is secret stays out."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support import audit, licenses, secret_scan

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[1]
# In two pieces, so that this file does not hold what it looks for. It is the example of Amazon's own manual.
PLANTED_KEY = "AKIA" + "IOSFODNN7EXAMPLF"


class _Database(BaseHTTPRequestHandler):
    """A database with OSV's API, which knows one vulnerability of one package."""

    def do_POST(self) -> None:
        """Answer /v1/query."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = asked["package"]["name"] == "jinja2" and asked["version"] == "2.10"
        vulnerability = {
            "id": "GHSA-462w-v97r-4m45",
            "aliases": ["CVE-2019-10906"],
            "summary": "Sandbox escape",
            "modified": "2026-01-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "jinja2", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.10.1"}]}],
                }
            ],
        }
        body = json.dumps({"vulns": [vulnerability]} if known else {}).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def database() -> Iterator[str]:
    """The address of a database of vulnerabilities."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Database) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/query"
        server.shutdown()
        thread.join()


def test_a_known_vulnerability_fails_by_name(
    tmp_path: Path, database: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Package, version, every identifier and the version with the fix stand in the line; the exit code is 1."""
    monkeypatch.setattr(audit, "LIMIT_SECONDS", 120.0)  # a machine that other tests keep busy
    lock = tmp_path / "requirements.lock"
    lock.write_text("Jinja2==2.10 \\\n    --hash=sha256:00\nclick==8.5.1 ; sys_platform == 'win32'\n")
    assert audit.main([str(lock), f"--osv-url={database}"]) == 1
    assert capsys.readouterr().err == (
        "jinja2 2.10 has CVE-2019-10906, GHSA-462w-v97r-4m45, fixed in 2.10.1: `make lock` refreshes the lock\n"
    )
    lock.write_text("click==8.5.1\n")
    assert audit.main([str(lock), f"--osv-url={database}"]) == 0
    assert capsys.readouterr().err == ""


def test_a_database_that_is_not_reached_is_said_loudly(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Nothing was looked up: one line in capitals says so, with the number, and the check goes on."""
    lock = tmp_path / "requirements.lock"
    lock.write_text("jinja2==2.10\nclick==8.5.1\n")
    assert audit.main([str(lock), "--osv-url=http://127.0.0.1:9/v1/query"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("AUDIT NOT DONE, NO DATABASE OF KNOWN VULNERABILITIES WAS REACHED: 2 of 2 locked packages")
    assert said.count("\n") == 1


def test_a_package_that_the_database_skips_is_not_clean(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """pip-audit ends with 0 when an index knows no vulnerabilities at all; here that is no clean audit."""
    skipped = '{"dependencies": [{"name": "jinja2", "skip_reason": "Dependency not found on PyPI"}]}'
    monkeypatch.setattr(
        audit.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, stdout=skipped, stderr="")
    )
    found = audit.look_up(["jinja2==2.10"], [["--vulnerability-service=pypi"]], seconds=60)
    assert (found.done, found.known, found.reasons) == (set(), [], ["Dependency not found on PyPI"])


def test_the_audit_ends_in_time():
    """A database that answers nothing costs no more than the limit."""
    found = audit.look_up(["jinja2==2.10"], [["--vulnerability-service=pypi"]], seconds=0.2)
    assert found.reasons == ["the time was over"]


def _repository(directory: Path, **files: str) -> Path:
    subprocess.run(["git", "init", "--quiet", str(directory)], check=True)
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "add", "--all"], cwd=directory, check=True)
    return directory


@pytest.mark.parametrize(
    ("file", "line", "kind"),
    [
        ("settings", f'key = "{PLANTED_KEY}"', "AWS Access Key"),
        ("tests__keys", f'key = "{PLANTED_KEY}"', "AWS Access Key"),
        ("deploy__key", "-----BEGIN RSA " + "PRIVATE KEY-----", "Private Key"),
        ("settings", 'password = "' + "correct-horse-battery" + '-staple"', "Secret Keyword"),
        ("compose", "url: postgres://admin:" + "Tr0ub4dor3@db/x", "Basic Auth Credentials"),
    ],
)
def test_a_planted_secret_is_found(tmp_path: Path, file: str, line: str, kind: str, capsys: pytest.CaptureFixture[str]):
    """A key in a tracked file fails with file, line and kind, never the key; once accepted, it may move."""
    repository = _repository(tmp_path / "repository", **{f"{file}.yml": f"a: 1\n{line}\n", "clean.py": "a = 1\n"})
    arguments = ["--directory", str(repository)]
    assert secret_scan.main(arguments) == 1
    said = capsys.readouterr().err
    assert f"{file.replace('__', '/')}.yml:2: {kind}" in said
    assert line not in said
    assert PLANTED_KEY not in said
    assert secret_scan.main([*arguments, "--accept"]) == 0
    (repository / f"{file.replace('__', '/')}.yml").write_text(f"a: 1\nb: 2\n{line}\n")
    assert secret_scan.main(arguments) == 0
    assert PLANTED_KEY not in (repository / secret_scan.BASELINE).read_text()


def test_secrets_that_git_ignores_may_be_there(tmp_path: Path):
    """What is not tracked is where secrets belong."""
    repository = _repository(tmp_path / "repository", **{".gitignore": "secrets/\n"})
    (repository / "secrets").mkdir()
    (repository / "secrets" / "key").write_text(PLANTED_KEY)
    assert secret_scan.main(["--directory", str(repository)]) == 0


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("GPL-3.0-only OR MIT", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-or-later", False),
        ("MIT AND AGPL-3.0-only", False),
        ("MIT AND (GPL-2.0-only OR SSPL-1.0)", False),
        ("BUSL-1.1", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_only_licences_of_the_list_are_allowed(expression: str, *, allowed: bool):
    """Of alternatives one is enough; of what must be kept together, all."""
    assert licenses.is_allowed(expression) is allowed


def test_no_dependency_has_another_licence():
    """Every package that users get has a known licence that is allowed, and its version is locked."""
    rows = licenses.read_rows(CHECKOUT / "requirements.lock", CHECKOUT / "constraints.txt")
    assert len(rows) > 40
    assert [row for row in rows if not licenses.is_allowed(row.licence) or row.version == "UNKNOWN"] == []


def test_every_requirement_is_locked():
    """Whatever an extra asks for stands in constraints.txt, at a version that it allows."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    pins = dict(pin.split("==") for pin in audit.read_pins([CHECKOUT / "constraints.txt"]))
    requirements = [one for one in map(Requirement, asked) if one.name != "perfloop"]
    unmet = [str(one) for one in requirements if pins.get(canonicalize_name(one.name), "-") not in one.specifier]
    assert unmet == [], "run `make lock`"


def test_both_locks_agree():
    """What the tests run with is what the image ships."""
    pins = [dict(pin.split("==") for pin in audit.read_pins([path])) for path in audit.LOCKS]
    assert {name: version for name, version in pins[0].items() if pins[1].get(name, version) != version} == {}


def test_every_action_is_pinned_by_its_commit():
    """A tag can be moved to other code; a commit cannot."""
    files = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
    used = [line for file in files for line in re.findall(r"uses: (.*)", file.read_text())]
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", line)] == []


def test_every_base_image_is_pinned_by_its_digest():
    """Each FROM is a stage of the same file, or a build argument whose default has a digest."""
    text = (CHECKOUT / "Dockerfile").read_text()
    stages = set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE))
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.MULTILINE))
    for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE):
        default = arguments.get(image.strip("${}"), image)
        assert image in stages or re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", default), image


def test_the_bill_of_materials_is_valid(tmp_path: Path):
    """`make sbom` lists every package of the image, with its hashes, in CycloneDX."""
    pytest.importorskip("cyclonedx_py", reason="`make setup-release` installs cyclonedx-bom")
    command = re.search(r"^\t@\$\(BIN\)/(cyclonedx-py .*) -o \S+$", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    assert command is not None
    program = Path(sys.executable).with_name("cyclonedx-py")
    target = tmp_path / "sbom.cdx.json"
    subprocess.run(
        [program, *command[1].split()[1:], "-o", target, "--validate"], cwd=CHECKOUT, check=True, capture_output=True
    )
    document = json.loads(target.read_text())
    assert document["bomFormat"] == "CycloneDX"
    assert document["metadata"]["component"]["name"] == "perfloop"
    listed = {(one["name"].lower().replace("_", "-"), one["version"]) for one in document["components"]}
    assert listed >= {tuple(pin.split("==")) for pin in audit.read_pins([CHECKOUT / "requirements.lock"])}
    assert all(one["externalReferences"][0]["hashes"] for one in document["components"])

"""The wheel as a user has it: built, installed into an empty environment, and the whole stack run from it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from perfloop.stack.ports import is_free
from perfloop_base.home import DEFAULT_PORTS, port_variable
from tests.support.free_ports import find_free_ports
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("wheel"), pytest.mark.timeout(900)]

# Everywhere within 15 seconds, as docs/stack.md says.
PROMISED_SECONDS = 15
SIGNAL = "api_response_time_p95"


# Nothing of the checkout's own environment reaches what is installed.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PERFLOOP_", "PYTHON"))}


def _run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, env=_ENVIRONMENT, **options
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
    return done


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the working tree."""
    out = tmp_path_factory.mktemp("dist")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps")
    _run(*pip, "--wheel-dir", out, checkout)
    (built,) = out.glob("perfloop-*.whl")
    return built


def _install(directory: Path, checkout: Path, *requirements: str) -> Path:
    """Make an environment that holds these requirements, and return its `bin`."""
    _run(sys.executable, "-m", "venv", directory)
    pip = (directory / "bin" / "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile")
    _run(*pip, "-c", checkout / "constraints.txt", *requirements)
    return directory / "bin"


@pytest.fixture(scope="module")
def base_bin(wheel: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the base install alone."""
    return _install(tmp_path_factory.mktemp("base") / "venv", checkout, str(wheel))


@pytest.fixture(scope="module")
def full_bin(wheel: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with every extra, and Prometheus and Alertmanager on its PATH as on a user's machine."""
    return _install(tmp_path_factory.mktemp("all") / "venv", checkout, f"{wheel}[all]")


def test_top_level_names(wheel: Path) -> None:
    """The wheel installs `perfloop` and `perfloop_*` and no other name, and no file of another project's tree."""
    names = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    packages = {name for name in names if not name.endswith(".dist-info")}
    assert [name for name in packages if not re.fullmatch(r"perfloop(_[a-z]+)?", name)] == []
    assert packages >= {"perfloop", "perfloop_base", "perfloop_exporter", "perfloop_analyzer", "perfloop_loadgen"}


# A plain ASGI application and no server: what a service has with the base install.
_SERVICE = """
import analyzer, asyncio, demo, exporter, loadgen
from perfloop import instrument, performance_monitor

async def plain(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})

async def get(app, path):
    bodies = []
    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}
    async def send(message):
        bodies.append(message.get("body", b""))
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "headers": []}
    more = {"scheme": "http", "http_version": "1.1", "root_path": "", "query_string": b""}
    await app(scope | more, receive, send)
    return b"".join(bodies).decode()

async def main():
    app = instrument(plain)
    performance_monitor.record_metric("api_response_time_ms", 150.5)
    await get(app, "/")
    print(await get(app, "/metrics"))

print([module.OWNER for module in (exporter, analyzer, loadgen, demo)])
asyncio.run(main())
"""


def test_an_instrumented_service_beside_directories_of_the_programs_names(base_bin: Path, tmp_path: Path) -> None:
    """A service whose own packages are named exporter, analyzer, loadgen and demo imports them and ours."""
    for name in ("exporter", "analyzer", "loadgen", "demo"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"OWNER = 'the service: {name}'\n")
    (tmp_path / "service.py").write_text(_SERVICE)
    done = _run(base_bin / "python", "service.py", cwd=tmp_path)
    owners, _, metrics = done.stdout.partition("\n")
    assert owners == str([f"the service: {name}" for name in ("exporter", "analyzer", "loadgen", "demo")])
    assert "app_api_response_time_seconds" in metrics
    assert 'http_server_request_duration_seconds_count{http_request_method="GET"' in metrics


def _fail(*command: str | Path) -> tuple[int, str]:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, env=_ENVIRONMENT)
    return done.returncode, done.stderr


def test_help_with_the_base_install(base_bin: Path) -> None:
    """`perfloop --help` lists every command, whatever is installed."""
    done = _run(base_bin / "perfloop", "--help")
    for command in ("init", "up", "down", "status", "logs", "doctor", "generate", "completion", "exporter", "analyzer"):
        assert re.search(rf"^ +{command}\b", done.stdout, re.MULTILINE), command


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (("status",), "stack"),
        (("check",), "stack"),
        (("backup", "list"), "stack"),
        (("completion", "bash"), "stack"),
        (("analyzer", "--help"), "analyzer"),
        (("loadgen", "--help"), "loadgen"),
        (("inbox",), "inbox"),
        (("demo",), "demo"),
        (("tour",), "demo"),
    ],
)
def test_a_missing_extra_is_named(base_bin: Path, command: tuple[str, ...], extra: str) -> None:
    """A command whose extra is missing says which `pip install` brings it."""
    code, err = _fail(base_bin / "perfloop", *command)
    assert code == 2, err
    assert re.fullmatch(rf"perfloop: \w+ is not installed: `pip install 'perfloop\[{extra}\]'` installs it\n", err), err


@pytest.mark.parametrize(
    ("name", "extra"), [("optimization_analyzer", "analyzer"), ("LoadTester", "loadgen"), ("LoadTestConfig", "loadgen")]
)
def test_a_public_name_without_its_extra(base_bin: Path, name: str, extra: str) -> None:
    """A public name whose extra is missing is an ImportError of one sentence, with no library's traceback."""
    code, err = _fail(base_bin / "python", "-c", f"from perfloop import {name}")
    assert code == 1
    sentence = rf"ImportError: perfloop\.{name}: \w+ is not installed: `pip install 'perfloop\[{extra}\]'` installs it"
    assert re.fullmatch(sentence, err.splitlines()[-1]), err
    assert "During handling" not in err
    assert "direct cause" not in err


class Stack:
    """The installed `perfloop` command in one directory, with ports of its own."""

    def __init__(self, bin_: Path, directory: Path, checkout: Path) -> None:
        self.bin = bin_
        self.directory = directory
        self.ports = dict(zip(DEFAULT_PORTS, find_free_ports(len(DEFAULT_PORTS)), strict=True))
        # What `make tools` fetched for the checkout stands for the programs that a user has installed.
        path = os.pathsep.join([str(bin_), _ENVIRONMENT["PATH"], str(checkout / ".perfloop" / "bin")])
        moved = {port_variable(name): str(port) for name, port in self.ports.items()}
        self.environment = {**_ENVIRONMENT, **moved, "PATH": path, "DOCKER_HOST": f"unix://{directory}/no-engine"}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [str(self.bin / "perfloop"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
            env=self.environment,
            timeout=200,
        )

    def url(self, name: str, path: str) -> str:
        """Return an address of a component."""
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, name: str, path: str) -> Any:
        """Return the JSON that a component answers."""
        return httpx.get(self.url(name, path), timeout=10).raise_for_status().json()

    def targets(self) -> set[str]:
        """Return the jobs that are scraped, after checking that every target is up."""
        targets = self.get("prometheus", "/api/v1/targets?state=active")["data"]["activeTargets"]
        assert {target["health"] for target in targets} == {"up"}
        return {target["labels"]["job"] for target in targets}

    def processes(self) -> list[psutil.Process]:
        """Return supervisord and everything below it."""
        pid = int((self.directory / ".perfloop" / "run" / "supervisord.pid").read_text())
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]

    def rules(self, kind: str) -> list[dict[str, Any]]:
        """Return the rules of one kind, `alerting` or `recording`, that Prometheus has loaded."""
        groups = self.get("prometheus", "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"] if rule["type"] == kind]

    def doctor(self) -> dict[str, str]:
        """Return the findings of `perfloop doctor` that failed, by subject."""
        lines = [line[5:].partition(": ") for line in self.run("doctor").stdout.splitlines() if line.startswith("FAIL")]
        findings: dict[str, str] = {}
        for subject, _, finding in lines:
            findings[subject] = f"{findings.get(subject, '')}{finding}\n"
        return findings

    def ready(self) -> set[str]:
        """Return the lines of `perfloop check` that passed."""
        lines = json.loads(self.run("check", "--json").stdout)["checks"]
        return {one["of"] or one["check"] for one in lines if one["verdict"] == "passed"}


def read_limits(stack: Stack, configuration: Path) -> dict[str, str]:
    """Return what each place shows of the warning limit of one signal, and of one objective."""
    metrics = httpx.get(stack.url("exporter", "/metrics"), timeout=10).text
    exported = re.search(rf'perfloop_threshold{{signal="{SIGNAL}",severity="warning"}} (\S+)', metrics)
    objectives = [
        rule["query"].rpartition("+ ")[2]
        for rule in stack.rules("recording")
        if rule["name"] == "service_slo:slo_objective:ratio" and rule["labels"]["slo"] == "availability"
    ]
    alerts = [
        re.search(r"p95_rate1m > (\S+)", rule["query"])
        for rule in stack.rules("alerting")
        if rule["labels"].get("signal") == SIGNAL and rule["labels"]["severity"] == "warning"
    ]
    place = json.loads((configuration / "grafana" / "panels.json").read_text())["signals"][SIGNAL]
    board = json.loads((configuration / "grafana" / "dashboards" / f"{place['uid']}.json").read_text())
    panel = next(panel for panel in _panels(board) if panel["id"] == place["panel"])
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    analyzer = stack.get("analyzer", "/api/v1/thresholds")["signals"][SIGNAL]["warning"]
    return {
        "exporter": exported[1] if exported else "",
        "recording rule": " ".join(objectives),
        "alert": alerts[0][1] if alerts and alerts[0] else "",
        "board": f"{steps[1]['value']:g}",
        "analyzer": f"{analyzer:g}",
    }


def _panels(board: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in board.get("panels", []):
        yield panel
        yield from _panels(panel)


def shown(limit: str, objective: str) -> dict[str, str]:
    """Return what every place shows of a limit and an objective."""
    return {
        "exporter": f"{float(limit)}",
        "recording rule": objective,
        "alert": limit,
        "board": limit,
        "analyzer": limit,
    }


def test_the_shipped_configuration_runs_in_an_empty_directory(full_bin: Path, checkout: Path, tmp_path: Path) -> None:
    """`perfloop up`, with the demo, where nothing is: every target is up; `down` leaves no process and no port."""
    directory = tmp_path / f"a-directory-whose-path-is-{'very-' * 20}long"
    directory.mkdir()
    stack = Stack(full_bin, directory, checkout)
    site = Path(
        _run(full_bin / "python", "-c", "import perfloop_base; print(perfloop_base.__path__[0])").stdout.strip()
    )
    before = {path: path.stat().st_mtime_ns for path in (site / "data").rglob("*")}
    up = stack.run("up", "--native")
    try:
        assert up.returncode == 0, up.stderr
        assert stack.targets() >= {"node", "demo", "loadgen", "analyzer", "inbox", "prometheus", "alertmanager"}
        assert stack.run("status").returncode == 0
        assert stack.doctor() == {}
        assert stack.ready() >= {"configuration", "limits", "alerts", "routes", "slack", "targets", "reviews"}
        processes = stack.processes()
    finally:
        down = stack.run("down")
    assert down.returncode == 0, down.stderr
    _assert_nothing_left(stack, processes)
    assert [path.name for path in directory.iterdir()] == [".perfloop"]
    assert {path: path.stat().st_mtime_ns for path in (site / "data").rglob("*")} == before
    assert stack.run("status").returncode == 6


def _assert_nothing_left(stack: Stack, processes: list[psutil.Process]) -> None:
    assert [process for process in processes if process.is_running()] == []
    assert [name for name, port in stack.ports.items() if not is_free(port)] == []


@pytest.fixture(scope="module")
def copy(full_bin: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack without the demo that runs from a copy which `perfloop init` wrote."""
    directory = tmp_path_factory.mktemp("empty")
    stack = Stack(full_bin, directory, checkout)
    done = stack.run("init", "observability")
    assert done.returncode == 0, done.stderr
    assert "cd observability" in done.stdout
    stack.directory = directory / "observability"
    up = stack.run("up", "--native", "--no-demo")
    assert up.returncode == 0, up.stderr
    yield stack
    processes = stack.processes()
    down = stack.run("down")
    assert down.returncode == 0, down.stderr
    _assert_nothing_left(stack, processes)


def test_init_overwrites_nothing(copy: Stack) -> None:
    """A second `init` into the same directory names what is there and changes nothing."""
    before = _read_tree(copy.directory)
    done = copy.run("init", ".")
    assert done.returncode == 2
    assert re.fullmatch(
        r"perfloop: \. already holds docker-compose\.yml, .+ and \d+ more: nothing was written; .+\n", done.stderr
    )
    assert _read_tree(copy.directory) == before


def _read_tree(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file() and ".perfloop" not in path.parts)
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_changed_threshold_is_seen_everywhere(copy: Stack) -> None:
    """One `up` after an edit: within 15 seconds every place shows the new numbers, and no program was restarted."""
    assert read_limits(copy, copy.directory) == shown("1", "0.999")
    since = copy.run("status", "--json").stdout
    _edit(
        copy.directory / "prometheus" / "thresholds.yml",
        "warning: 1\n    critical: 2\n",
        "warning: 0.8\n    critical: 2\n",
    )
    _edit(copy.directory / "prometheus" / "slos.yml", "objective: 0.999", "objective: 0.995")
    behind = copy.doctor()
    assert set(behind) == {"exporter thresholds", "prometheus rules", "analyzer thresholds", "dashboard files"}
    assert "the exporter uses 1, prometheus/thresholds.yml says 0.8" in behind["exporter thresholds"]
    assert "Prometheus uses 0.999, the file says 0.995" in behind["prometheus rules"]
    assert copy.run("generate", "--check").returncode == 1

    up = copy.run("up", "--native", "--no-demo")
    assert up.returncode == 0, up.stderr
    ended = time.monotonic()
    wait_for(
        lambda: read_limits(copy, copy.directory) == shown("0.8", "0.995"), "the new limit everywhere", PROMISED_SECONDS
    )
    assert time.monotonic() - ended < PROMISED_SECONDS
    assert _starts(copy.run("status", "--json").stdout) == _starts(since)
    assert copy.run("generate", "--check").returncode == 0
    assert copy.doctor() == {}
    assert copy.run("doctor").returncode == 0


def _starts(status: str) -> dict[str, str]:
    return {row["name"]: row["since"] for row in json.loads(status)["parts"]}


def test_a_rule_file_of_ones_own_is_loaded_by_the_next_up(copy: Stack) -> None:
    """`doctor` names the file that is not loaded; after `up` Prometheus has its alert."""
    (copy.directory / "prometheus" / "alerts" / "mine.yml").write_text(
        "groups:\n  - name: mine\n    rules:\n      - {alert: Mine, expr: up == 0, labels: {severity: info}}\n"
    )
    assert "prometheus/alerts/mine.yml is not loaded" in copy.doctor()["prometheus rules"]
    assert copy.run("up", "--native", "--no-demo").returncode == 0
    assert [rule["name"] for rule in copy.rules("alerting") if rule["name"] == "Mine"] == ["Mine"]
    assert copy.doctor() == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("thresholds.yml", r"(?<=warning: )[0-9.]+", "much", "signal .* warning has the value 'much'"),
        ("thresholds.yml", r"(?<=signals:)$", " [", "not valid YAML: "),
        ("slos.yml", r"(?<=objective: )[0-9.]+", "2", ".*objective"),
        ("alerts/broken.yml", r"(?<=expr: )up", "sum(up", ".*"),
    ],
)
def test_a_broken_file_changes_nothing(copy: Stack, file: str, old: str, new: str, said: str) -> None:
    """`up` ends with 2 and a sentence with file and line; no file, no rule and no limit is another than before."""
    path = copy.directory / "prometheus" / file
    good = path.read_text() if path.exists() else None
    rules, limits = copy.rules("alerting"), read_limits(copy, copy.directory)
    text = good or "groups:\n  - name: broken\n    rules:\n      - {alert: Broken, expr: up}\n"
    broken, edits = re.subn(old, new, text, count=1, flags=re.MULTILINE)
    assert edits == 1
    path.write_text(broken)
    line = next(
        n for n, pair in enumerate(zip(broken.splitlines(), text.splitlines(), strict=True), 1) if len({*pair}) == 2
    )
    at = r"\d+" if said.startswith("not valid YAML") else str(line)
    expected = rf"prometheus/{re.escape(file)}:{at}: {said}"
    tree, effective = _read_tree(copy.directory), _read_tree(copy.directory / ".perfloop" / "etc")
    try:
        done = copy.run("up", "--native", "--no-demo")
        assert done.returncode == 2
        assert re.search(rf"^perfloop: {expected}", done.stderr, re.MULTILINE), done.stderr
        assert "reloading" not in done.stderr
        assert _read_tree(copy.directory) == tree
        assert _read_tree(copy.directory / ".perfloop" / "etc") == effective
        assert _texts(copy.rules("alerting")) == _texts(rules)
        assert read_limits(copy, copy.directory) == limits
    finally:
        if good is None:
            path.unlink()
        else:
            path.write_text(good)


def _texts(rules: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(rule["name"], rule["query"]) for rule in rules]


def test_a_killed_stack_comes_back_although_a_file_is_broken(copy: Stack) -> None:
    """The guardian starts it with the configuration that it had."""
    path = copy.directory / "prometheus" / "thresholds.yml"
    good, limits = path.read_text(), read_limits(copy, copy.directory)
    supervisord = copy.processes()[0]
    path.write_text("signals: [")
    try:
        supervisord.kill()
        wait_for(lambda: copy.run("status").returncode != 0, "the end of the stack", 30)
        wait_for(lambda: copy.run("status").returncode == 0, "the stack to come back", 90)
        lock = copy.directory / ".perfloop" / "run" / "lock"
        wait_for(lambda: not lock.read_text(), "the end of the command that brought it back", 90)
    finally:
        path.write_text(good)
    assert not supervisord.is_running()
    wait_for(lambda: copy.doctor() == {}, "everything as before", 60)
    assert read_limits(copy, copy.directory) == limits


def test_exit_codes_of_the_real_command(copy: Stack, tmp_path: Path, checkout: Path) -> None:
    """`status` ends with 7 when a component is not healthy, `doctor` with 1; elsewhere `status` ends with 6."""
    assert Stack(copy.bin, tmp_path, checkout).run("status").returncode == 6
    exporter = next(process for process in copy.processes() if "perfloop_exporter" in process.cmdline())
    exporter.suspend()
    try:
        assert copy.run("status").returncode == 7
        assert copy.run("doctor").returncode == 1
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):  # on a slow machine the guardian has replaced it by then
            exporter.resume()
    wait_for(lambda: copy.run("status").returncode == 0, "the exporter to answer again", 30)

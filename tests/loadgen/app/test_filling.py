"""What fills a request is there before the first one is sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.app.build import build_run, check_filling
from perfloop_loadgen.app.filling import filled_from_environment
from perfloop_loadgen.reporters.files import RENDERERS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 16\r\nContent-Type: application/json\r\n\r\n" + b'{"next": "/b c"}'


def _config(*endpoints: Any, **more: Any) -> LoadTestConfig:
    test = {"base_url": "http://127.0.0.1:1/api", "duration_seconds": 0.3, "concurrent_users": 1}
    named = {"endpoints": list(endpoints)} if endpoints else {}
    return LoadTestConfig.model_validate({**test, "think_time_seconds": 0.02, **named, **more})


def _problems(config: LoadTestConfig) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        build_run(config)
    return list(caught.value.problems)


def _data(directory: Path, text: str) -> Path:
    path = directory / "d.csv"
    path.write_text(text)
    return path


async def _sent(serve: Any, *endpoints: Any, **more: Any) -> list[bytes]:
    async with serve(OK) as service:
        config = _config(*endpoints, **more).model_copy(update={"base_url": f"{service.url}{more.get('prefix', '')}"})
        await LoadTester(config).run_load_test()
        requests: list[bytes] = service.requests
    return requests


def test_a_misspelt_column_is_found_before_the_start(tmp_path: Path):
    """Every placeholder that nothing fills, with where it stands and what was probably meant."""
    file = _data(tmp_path, "user,password\nann,1\n")
    endpoint = {"path": "/${usr}", "method": "POST", "data": {"a": ["${pass}"], "b": "${user} ${iteration}"}}
    problems = _problems(_config(endpoint, {"path": "/x", "headers": {"X-${who}": "1"}}, data_file=file))
    nothing = f"no column of {file} and no extract before it has this name"
    more = "known: iteration, password, user; ${env:who} is a variable of the environment, $${who} the text itself"
    assert problems == [
        f"endpoints[0] (POST /${{usr}}): ${{usr}}: {nothing}, did you mean user?",
        f"endpoints[0] (POST /${{usr}}): ${{pass}}: {nothing}, did you mean password?",
        f"endpoints[1] (GET /x): ${{who}}: {nothing}; {more}",
    ]


def test_a_row_that_lacks_a_value_is_found_before_the_start(tmp_path: Path):
    """Objects of a JSON file need not have the same keys; those that no request uses may be missing."""
    file = tmp_path / "d.json"
    file.write_text('[{"a": 1, "b": 2, "c": 3}, {"a": 1, "c": 3}, {"a": 1}]')
    assert _problems(_config({"path": "/${a}/${b}", "name": "n"}, data_file=file)) == [
        f"endpoints[0] (n): ${{b}}: row 2 of {file} has no b"
    ]
    assert len(check_filling(_config({"path": "/${a}"}, data_file=file))) == 3


def test_a_value_must_have_been_extracted_before():
    """By an earlier step of the same scenario."""
    steps = [{"path": "/a", "headers": {"X-A": "${t}"}, "extract": {"t": "json:t"}}, {"path": "/${t}"}]
    other = {"name": "other", "steps": [{"path": "/${t}"}]}
    problems = _problems(_config(scenarios=[{"steps": steps}, other]))
    assert [problem.partition(" ")[0] for problem in problems] == ["scenarios[0].steps[0]", "scenarios[1].steps[0]"]


def test_forms_uploads_and_workers_are_checked_too(tmp_path: Path):
    """Wherever a placeholder may be; a fleet says it once, before a worker starts."""
    config = _config(
        {"path": "/", "form": {"a": "${x1}"}}, {"path": "/", "multipart": {"f": {"file": "${y1}"}}}, workers=2
    )
    with pytest.raises(ConfigError, match=r"\$\{x1\}") as caught:
        LoadTester(config)
    assert len(caught.value.problems) == 2


def test_a_variable_that_is_not_set_is_found_before_the_start():
    """All of them, in a sentence each."""
    config = _config({"path": "/${env:NO_SUCH_A}", "headers": {"Authorization": "Bearer ${env:NO_SUCH_B}"}})
    assert _problems(config) == [
        "${env:NO_SUCH_A}: the environment has no variable NO_SUCH_A",
        "${env:NO_SUCH_B}: the environment has no variable NO_SUCH_B",
    ]


async def test_variables_of_the_environment(serve: Any, monkeypatch: pytest.MonkeyPatch):
    """Sent in headers, paths (quoted) and bodies; in no report, not even under a name that is no secret's."""
    values = {"T_TOKEN": "tok3n-value", "T_NAME": "a/b ${x}", "T_BODY": 'bo"dy-value'}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    endpoint = {
        "path": "/${env:T_NAME}?q=${env:T_NAME}",
        "method": "POST",
        "headers": {"X-Custom": "${env:T_TOKEN}", "Authorization": "Bearer ${env:T_TOKEN}"},
        "data": {"plain": "${env:T_BODY} $${env:T_BODY}"},
    }
    async with serve(OK) as service:
        config = _config(endpoint).model_copy(update={"base_url": service.url})
        tester = LoadTester(config)
        document = tester.document(await tester.run_load_test())
        wire = service.requests[0]
    assert wire.startswith(b"POST /a%2Fb%20%24%7Bx%7D?q=a%2Fb%20%24%7Bx%7D HTTP/1.1\r\n")
    assert b"\r\nX-Custom: tok3n-value\r\n" in wire
    assert b"\r\nAuthorization: Bearer tok3n-value\r\n" in wire
    assert json.loads(wire.partition(b"\r\n\r\n")[2]) == {"plain": 'bo"dy-value ${env:T_BODY}'}
    for render in RENDERERS.values():
        text = render(document).decode()
        assert not [value for value in ("tok3n-value", "a/b ${x}", "dy-value") if value in text]


def test_what_the_environment_fills_stays_out_of_the_configuration():
    """The copy that is sent has the values, quoted and escaped; the test itself is as it was."""
    test = {"scenarios": [{"steps": [{"path": "/${env:T_A}", "headers": {"X": "$${env:T_A}"}}]}]}
    config = LoadTestConfig.model_validate(test)
    filled = filled_from_environment(config, {"T_A": "ü/${b}"})
    [step] = filled.scenarios[0].steps
    assert (step.path, step.headers, step.label) == ("/%C3%BC%2F%24%7Bb%7D", {"X": "$${env:T_A}"}, "GET /${env:T_A}")
    assert config.scenarios[0].steps[0].path == "/${env:T_A}"
    assert filled.requested == []


def test_addresses_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """base_url, data_file and prometheus_url of a file; a variable that is not set has the line of its key."""
    path = tmp_path / "t.yml"
    path.write_text("load_tests:\n  t:\n    base_url: ${env:T_URL}/v1\n    data_file: ${env:T_FILE}\n")
    monkeypatch.setenv("T_URL", "http://h:1")
    monkeypatch.delenv("T_FILE", raising=False)
    with pytest.raises(
        ConfigError, match=r"t\.yml:4: data_file: \$\{env:T_FILE\}: the environment has no variable T_FILE"
    ):
        LoadTestConfig.from_yaml(path)
    monkeypatch.setenv("T_FILE", "d.csv")
    config = LoadTestConfig.from_yaml(path)
    assert (config.base_url, str(config.data_file)) == ("http://h:1/v1", "d.csv")


async def test_one_more_dollar_sign_is_the_text_itself(serve: Any):
    """In a request without other placeholders, and beside one."""
    wires = await _sent(
        serve,
        {"path": "/a", "method": "POST", "data": "$${x} ${ y } $$ ${}", "name": "closed"},
        {"path": "/b", "method": "POST", "data": "$${x} $$${y} ${iteration}", "name": "open"},
    )
    bodies = {wire.split(b" ")[1]: wire.partition(b"\r\n\r\n")[2] for wire in reversed(wires)}
    assert bodies[b"/api/a" if b"/api/a" in bodies else b"/a"] == b"${x} ${ y } $$ ${}"
    assert bodies[b"/b"].startswith(b"${x} $${y} ")


@pytest.mark.parametrize("path", ["${path}", "${raw:path}"])
async def test_urls_of_a_file(serve: Any, tmp_path: Path, path: str):
    """Paths as they are, with their queries; what a request line cannot hold is encoded, a fragment is not sent."""
    file = _data(tmp_path, "path\n/hello\n/items/?page=2&q=a b,c\n/ü#part\n/%7Ea%20b\n")
    wires = await _sent(serve, {"path": path}, data_file=file)
    assert {wire.split(b" ")[1] for wire in wires} == {
        b"/hello",
        b"/items/?page=2&q=a%20b,c",
        b"/%C3%BC",
        b"/%7Ea%20b",
    }


async def test_whole_urls_of_the_same_service(serve: Any, tmp_path: Path):
    """From the path of base_url on."""
    async with serve(OK) as service:
        file = _data(tmp_path, f"url\n{service.url}/api/x?y=1\n")
        config = _config({"path": "${raw:url}"}, data_file=file).model_copy(update={"base_url": f"{service.url}/api"})
        await LoadTester(config).run_load_test()
        assert service.requests[0].startswith(b"GET /api/x?y=1 HTTP/1.1\r\n")


def test_urls_of_another_service_are_refused_before_the_start(tmp_path: Path):
    """With the row, and so is what is no path at all."""
    file = _data(tmp_path, "path\n/fine\nhttp://elsewhere.example/x\nrelative\nhttp://127.0.0.1:1/other\n")
    problems = _problems(_config({"path": "${raw:path}", "name": "n"}, data_file=file))
    assert [problem.removeprefix("endpoints[0] (n): ").replace(str(file), "FILE") for problem in problems] == [
        "row 2 of FILE: 'http://elsewhere.example/x' is a URL of another service than base_url",
        "row 3 of FILE: 'relative': a path must start with '/', or be a URL of the service at base_url",
        "row 4 of FILE: 'http://127.0.0.1:1/other' does not lie below the path /api of base_url",
    ]


@pytest.mark.parametrize("value", ["/hello", "http://127.0.0.1:1/x"])
def test_a_whole_path_that_would_be_quoted_is_found(tmp_path: Path, value: str):
    """It would be one part of a path, which no server has: green, and nothing of it was tested."""
    file = _data(tmp_path, f"path\nfine\n{value}\n")
    [problem] = _problems(_config({"path": "/${path}", "name": "n"}, data_file=file))
    assert problem.startswith(f"endpoints[0] (n): row 2 of {file}: {value!r} would be sent as /")
    assert problem.endswith("a whole path is ${raw:path}")


async def test_values_within_a_path(serve: Any, tmp_path: Path):
    """Quoted, so that they cannot change its structure; raw ones may."""
    file = _data(tmp_path, "v\na/b?c\n")
    wires = await _sent(serve, {"path": "/q/${v}", "name": "q"}, {"path": "/r/${raw:v}", "name": "r"}, data_file=file)
    assert {wire.split(b" ")[1] for wire in wires} == {b"/q/a%2Fb%3Fc", b"/r/a/b?c"}


async def test_a_link_of_an_answer(serve: Any):
    """What an extract found is a path, too."""
    steps = [{"path": "/a", "extract": {"next": "json:next"}}, {"path": "${raw:next}", "name": "next"}]
    async with serve(OK) as service:
        test = {
            "base_url": service.url,
            "duration_seconds": 0.3,
            "concurrent_users": 1,
            "scenarios": [{"steps": steps}],
        }
        await LoadTester(LoadTestConfig.model_validate(test)).run_load_test()
        assert {wire.split(b" ")[1] for wire in service.requests} == {b"/a", b"/b%20c"}


@pytest.mark.parametrize("mapping", [{"a": "${x}"}, {"${x}": 1}])
def test_a_run_without_data_needs_none(mapping: Mapping[str, Any]):
    """A text that only looks alike is no placeholder."""
    config = _config({"path": "/", "data": {"a": "${ x } ${} $x {x} ${1}"}})
    assert check_filling(config) == []
    assert _problems(_config({"path": "/", "data": mapping}))

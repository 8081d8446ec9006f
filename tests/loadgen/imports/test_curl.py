"""Commands of curl become endpoints that send the same request; curl itself is the oracle where it is installed."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen.app.importing import import_file
from perfloop_loadgen.imports.marks import mark
from perfloop_loadgen.imports.shell_words import split_commands
from perfloop_loadgen.scenario.request import Target, build_request
from perfloop_loadgen.scenario.template import fill, fill_path

if TYPE_CHECKING:
    from pathlib import Path

    from perfloop_loadgen.config import EndpointConfig
    from tests.loadgen.imports.conftest import Imported

FORM = "application/x-www-form-urlencoded"


def _imported(imported: Imported, command: str) -> EndpointConfig:
    [endpoint] = imported.read(import_file("curl", command)).endpoints
    return endpoint


# Each is a command without its URL, which comes last.
SAME = [
    "",
    "-X DELETE",
    "-I",
    "-d a=1 -d b=2",
    "--data 'a=1&b=x y'",
    "-d '{\"a\": 1}' -H 'Content-Type: application/json'",
    "--json '{\"a\": 1.10}'",
    "--data-raw @none",
    "--data-binary $'line\\nnext\\ttab'",
    "--data-urlencode 'q=a b&c' --data-urlencode 'x y' --data-urlencode '=z='",
    "-G -d a=1 --data-urlencode 'q=a b'",
    "-H 'X-A: 1' -H 'X-Empty;' -H 'Accept: text/html'",
    "-H 'X-A: ü' -A agent/1 -e http://r/",
    "-sSLk --compressed -XPUT -dx=1",
    "-r 0-9",
    "-X PATCH -H 'content-type: text/plain' -d 'a ${b} $c'",
    '-d "it\'s \\"quoted\\""',
    "-d ''",
]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("options", SAME)
async def test_the_request_is_curls_own(imported: Imported, serve: Any, options: str):
    """Method, path, body and the headers that say something, beside what curl puts on the wire."""
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as service:
        command = f"curl {options} '{service.url}/p/q?x=1'"
        shell = await asyncio.create_subprocess_exec("bash", "-c", f"{command} -s --max-time 5 -o /dev/null")
        await shell.wait()
        [wanted] = service.requests
        target = Target.from_url(service.url)
    endpoint = _imported(imported, command)
    filled = endpoint.model_copy(
        update={key: fill(getattr(endpoint, key), {}) for key in ("data", "form", "headers")}
        | {"path": fill_path(endpoint.path, {})}
    )
    assert _said(build_request(0, filled, target).wire) == _said(wanted)


def _said(wire: bytes) -> tuple[bytes, dict[bytes, bytes], bytes]:
    """Return what a request says: its line, its headers but those of the program itself, its body."""
    head, _, body = wire.partition(b"\r\n\r\n")
    line, *fields = head.split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (field.partition(b": ") for field in fields)}
    own = {b"host", b"user-agent", b"content-length", b"accept-encoding", b"accept"}
    headers = {name.rstrip(b":"): value for name, value in headers.items() if name not in own}
    return line, headers, body.replace(b'": ', b'":')


def test_a_command_as_browsers_copy_it(imported: Imported):
    """Lines that go on, ANSI-C quotes, cookies: credentials are placeholders, the rest is as it was."""
    command = """curl 'https://shop.example/api/cart?id=7' \\
      -X 'POST' \\
      -H 'accept: application/json' \\
      -H 'authorization: Bearer abc.def' \\
      -H 'user-agent: Mozilla/5.0' \\
      -b 'sid=s3cr3t; theme=dark' \\
      --data-raw $'{"name":"it\\'s \\u00fc \\ud83d\\ude00"}' \\
      --compressed ;"""
    endpoint = _imported(imported, command)
    assert (endpoint.method, endpoint.path) == ("POST", "/api/cart?id=7")
    assert endpoint.headers == {
        "accept": "application/json",
        "authorization": "Bearer ${env:AUTHORIZATION}",
        "user-agent": "Mozilla/5.0",
        "Cookie": "${env:COOKIE}",
        "Content-Type": FORM,
    }
    assert endpoint.data == '{"name":"it\'s ü 😀"}'
    assert "abc.def" not in imported.text
    assert "s3cr3t" not in imported.text


def test_variables_of_the_shell(imported: Imported):
    """Outside of single quotes they are the environment's, as they are for the shell."""
    command = """curl "$BASE/v1/$ID?q=${Q}" -H "Authorization: Bearer $TOKEN" -H 'X-A: $NOT ${NOT}' -H X-B:\\$no$ """
    endpoint = _imported(imported, f"""{command} -d "{{\\"a\\": \\"$A b\\"}}" -H 'Content-Type: application/json'""")
    assert endpoint.path == "/v1/${env:ID}?q=${env:Q}"
    assert endpoint.headers == {
        "Authorization": "Bearer ${env:TOKEN}",
        "X-A": "$NOT $${NOT}",
        "X-B": "$no$",
    }
    assert endpoint.data == {"a": "${env:A} b"}
    assert "The service is a variable of the shell" in imported.notes
    assert [name for name in ("ID", "Q", "TOKEN", "A") if f"Set the variable {name} " not in imported.notes] == []


def test_uploads_and_users(imported: Imported, tmp_path: Path):
    """`-F` with texts and files, `-u`, a body of a file."""
    body = tmp_path / "body.json"
    body.write_text('{"a":\n1}')
    endpoint = _imported(
        imported,
        f"curl -u ann:s3cr3tpw -F 'a=x;type=text/csv' -F 'f=@{body};filename=n.json;type=application/json' "
        f"-F 'password=s3cr3tpw' --form-string 's=@no' -F 'c=<{body}' http://h/x",
    )
    parts = {name: part for name, [part] in endpoint.multipart.items()}
    assert (parts["a"].text, parts["a"].content_type) == ("x", "text/csv")
    assert (parts["f"].file, parts["f"].filename, parts["f"].content_type) == (str(body), "n.json", "application/json")
    assert [parts[name].text for name in ("password", "s", "c")] == ["${env:PASSWORD}", "@no", '{"a":\n1}']
    assert endpoint.headers == {"Authorization": "Basic ${env:AUTHORIZATION}"}
    assert "s3cr3tpw" not in imported.text
    sent = _imported(imported, f"curl --json @{body} http://h/x")
    assert sent.data == '{"a":\n1}'
    assert _imported(imported, f"curl -d @{body} http://h/x").data == '{"a":1}'
    assert _imported(imported, f"curl -T {body} http://h/x").method == "PUT"


def test_several_commands_of_a_script(imported: Imported, tmp_path: Path):
    """A file of commands: one service, a name for each request, what goes elsewhere left out."""
    script = tmp_path / "calls.sh"
    script.write_text(
        "#!/bin/sh\n# a comment with 'a quote\nset -e; curl localhost:8080/a | jq .\ncurl -d x localhost:8080/a\n"
        "curl http://localhost:8080/a?2 --next http://localhost:8080/b && curl https://other.example/\n"
    )
    config = imported.read(import_file("curl", script))
    assert config.base_url == "http://localhost:8080"
    assert [endpoint.label for endpoint in config.endpoints] == ["GET /a", "POST /a", "GET /a (2)", "GET /b"]
    assert "Left out 1 times: a request to https://other.example" in imported.notes


def test_commands_of_windows(imported: Imported):
    """The form for cmd.exe: carets instead of backslashes."""
    endpoint = _imported(imported, 'curl ^"http://h/a?b=^%20^" ^\r\n  -H ^"X-A: $1 $x^" ^\r\n  --data-raw ^"a=1^"')
    assert (endpoint.path, endpoint.method, endpoint.headers, endpoint.form) == (
        "/a?b=%20",
        "POST",
        {"X-A": "$1 $x"},
        {"a": "1"},
    )


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("curl 'http://h", "a quote is not closed"),
        ('curl "http://h', "a quote is not closed"),
        ("curl $'http://h", "a quote is not closed"),
        ('curl "http://h/$(date)"', "the output of another command"),
        ("curl http://h/`date`", "the output of another command"),
        ("curl -s", "names no URL"),
        ("curl --nonsense http://h", "--nonsense: is no option of curl"),
        ("curl -ä http://h", "-ä: is no option of curl"),
        ("curl http://h -d", "-d: its value is missing"),
        ("curl ftp://h/x", "names a URL of ftp"),
        ("curl http://h:99999/", "names a URL that cannot be used"),
        ("curl http://h/ -X BREW", "sends the method 'BREW'"),
        ("curl http://h/ -d @/no/such/file", "takes a body or headers from a file"),
        ("curl http://h/ -d @-", "standard input"),
    ],
)
def test_a_command_that_cannot_be_read(imported: Imported, command: str, problem: str):
    """One sentence."""
    with pytest.raises(ConfigError, match=problem):
        _imported(imported, command)


def test_no_command_at_all(tmp_path: Path):
    """A file of something else."""
    path = tmp_path / "x.sh"
    path.write_text("wget http://h/\n")
    with pytest.raises(ConfigError, match="holds no command of curl"):
        import_file("curl", path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b", [["a", "b"]]),
        ("a'b c'd \"e $ f\" '' '$x `y`'", [["ab cd", "e $ f", "", "$x `y`"]]),
        ('$a "${b}c"', [[mark("env:a"), mark("env:b") + "c"]]),
        ("a \\\n b", [["a", "b"]]),
        ("a\\ b", [["a b"]]),
        ("a # b\nc", [["a"], ["c"]]),
        ("a#b", [["a#b"]]),
        ("$'\\x41\\u00e9\\101\\n\\'' $1", [["Aé" + "A\n'", "$1"]]),
        ("$'\\xc3\\xa9'", [["é"]]),
        ("a && b; c | d", [["a"], ["b"], ["c"], ["d"]]),
        ("", []),
    ],
)
def test_words_are_split_as_a_shell_does(text: str, words: list[Any]):
    """Quotes, escapes, comments and the ends of commands."""
    assert split_commands(text) == words

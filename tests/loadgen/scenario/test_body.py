"""Forms and uploads, read by parsers that others wrote."""

from __future__ import annotations

from email import policy
from email.parser import BytesParser
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig, LoadTester
from perfloop_loadgen.config import EndpointConfig
from perfloop_loadgen.scenario.body import FORM
from perfloop_loadgen.scenario.request import Request, Target, build_request

if TYPE_CHECKING:
    from pathlib import Path

TARGET = Target("http", "shop", 80)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)


def _request(**endpoint: Any) -> Request:
    return build_request(0, EndpointConfig.model_validate({"path": "/", "method": "POST", **endpoint}), TARGET)


def _parts(request: Request) -> list[tuple[str, str | None, str, bytes]]:
    """Return the name, file name, content type and content of each part."""
    head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser(policy=policy.HTTP).parsebytes(head + request.body)
    return [
        (
            str(part.get_param("name", header="content-disposition")),
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    ]


@pytest.mark.parametrize(
    "endpoint",
    [
        {"form": {"user": "a b", "page": 3, "tags": ["x", "y&z"], "sure": True, "empty": None, "city": "Köln"}},
        {
            "data": {"user": "a b", "page": 3, "tags": ["x", "y&z"], "sure": True, "empty": None, "city": "Köln"},
            "headers": {"content-type": "application/X-WWW-Form-Urlencoded; charset=utf-8"},
        },
    ],
)
def test_a_form_is_sent_as_browsers_send_it(endpoint: dict[str, Any]):
    """As `form`, or as `data` whose Content-Type says so; a list is a field that comes several times."""
    request = _request(**endpoint)
    kind = next(value for name, value in request.headers.items() if name.lower() == "content-type")
    assert kind.lower().startswith(FORM)
    assert b"user=a+b" in request.body
    assert parse_qsl(request.body.decode(), keep_blank_values=True) == [
        ("user", "a b"),
        ("page", "3"),
        ("tags", "x"),
        ("tags", "y&z"),
        ("sure", "true"),
        ("empty", ""),
        ("city", "Köln"),
    ]
    assert request.headers["Content-Length"] == str(len(request.body))


@pytest.mark.parametrize("body", [{"form": {"a": 1}}, {"multipart": {"a": "x"}}])
def test_forms_are_posted_unless_the_test_says_otherwise(body: dict[str, Any]):
    """As a browser posts them; the name of the row follows."""
    endpoint = EndpointConfig.model_validate({"path": "/a", **body})
    assert (endpoint.method, endpoint.label) == ("POST", "POST /a")
    assert EndpointConfig.model_validate({"path": "/a", "method": "PUT", **body}).method == "PUT"
    assert EndpointConfig(path="/a", data={"a": 1}).method == "GET"


@given(st.dictionaries(TEXT, TEXT, max_size=5))
def test_any_form_comes_back(form: dict[str, str]):
    """Whatever is in names and values."""
    assert dict(parse_qsl(_request(form=form).body.decode(), keep_blank_values=True)) == form


def test_other_bodies_are_what_they_were():
    """A text under a form's Content-Type is the test's own work; without one a mapping is JSON."""
    assert _request(data="a=1&b", headers={"Content-Type": FORM}).body == b"a=1&b"
    assert _request(data={"a": 1}).body == b'{"a":1}'
    assert _request(form={}).body == b""


def test_an_upload_has_its_parts(tmp_path: Path):
    """Fields, files with and without a content type of their own, a JSON part, a field of two values."""
    picture = tmp_path / "cat.png"
    picture.write_bytes(b"\x89PNG\r\n--x\r\n\0")
    multipart = {
        "caption": "Käse",
        "sizes": [1, 2],
        "image": {"file": str(picture)},
        "raw": {"file": str(picture), "filename": "a b.bin", "content_type": "application/x-cat"},
        "meta": {"text": {"a": 1}, "content_type": "application/json"},
    }
    parts = _parts(_request(multipart=multipart))
    assert parts == [
        ("caption", None, "text/plain", "Käse".encode()),
        ("sizes", None, "text/plain", b"1"),
        ("sizes", None, "text/plain", b"2"),
        ("image", "cat.png", "image/png", picture.read_bytes()),
        ("raw", "a b.bin", "application/x-cat", picture.read_bytes()),
        ("meta", None, "application/json", b'{"a": 1}'),
    ]


@pytest.mark.parametrize("kind", ["multipart/form-data", "Multipart/Form-Data; boundary=of-the-test"])
def test_data_under_the_content_type_of_an_upload_is_one(kind: str):
    """A mapping becomes fields, between boundaries that the header names."""
    request = _request(data={"a": "1"}, headers={"content-type": kind})
    assert _parts(Request(**{**_fields(request), "headers": {"Content-Type": _kind(request)}})) == [
        ("a", None, "text/plain", b"1")
    ]
    assert ("of-the-test" in _kind(request)) == ("of-the-test" in kind)


def _kind(request: Request) -> str:
    [kind] = [value for name, value in request.headers.items() if name.lower() == "content-type"]
    return kind


def _fields(request: Request) -> dict[str, Any]:
    return {name: getattr(request, name) for name in ("index", "label", "method", "path", "headers", "body", "wire")}


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ({"data": "x", "form": {"a": 1}}, "a request has one body: choose one of data and form"),
        ({"form": {"a": 1}, "multipart": {"b": "x"}}, "choose one of form and multipart"),
        ({"form": {"a": {"b": 1}}}, "a must be a text, a number, or a list of them"),
        ({"multipart": {"a": {"file": "x", "text": "y"}}}, "give either file or text"),
        ({"multipart": {"a": {"path": "x"}}}, "Extra inputs are not permitted"),
        ({"multipart": {"a": {"file": "x", "content_type": "a\r\nb: c"}}}, "must not hold line ends"),
        ({"llm": {"model": "m"}, "form": {"a": 1}}, "llm makes the request's body: leave form out"),
    ],
)
def test_a_body_that_cannot_be_is_refused(endpoint: dict[str, Any], sentence: str):
    """Each mistake: one sentence."""
    with pytest.raises(ValidationError, match=sentence):
        EndpointConfig.model_validate({"path": "/", **endpoint})


def test_a_file_that_is_not_there_is_found_before_the_run():
    """Its name and the reason."""
    endpoints = [{"path": "/", "method": "POST", "multipart": {"image": {"file": "none/cat.png"}}}]
    with pytest.raises(ConfigError, match=r"multipart: none/cat\.png: cannot be read: No such file"):
        LoadTester(LoadTestConfig.model_validate({"endpoints": endpoints}))


@pytest.mark.parametrize("engine", ["http1", "httpx"])
async def test_forms_and_uploads_take_values(serve: Any, tmp_path: Path, engine: str):
    """Columns of the data file fill fields, and name the files to send."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.txt").write_text(f"content of {name}")
    rows = tmp_path / "rows.csv"
    rows.write_text(f"name,file\none,{tmp_path}/one.txt\ntwo,{tmp_path}/two.txt\n")
    steps = [
        {"path": "/form", "method": "POST", "form": {"who": "${name}"}},
        {"path": "/upload", "method": "POST", "multipart": {"who": "${name}", "file": {"file": "${file}"}}},
    ]
    async with serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") as service:
        config = LoadTestConfig.model_validate(
            {"base_url": service.url, "engine": engine, "duration_seconds": 0.5, "concurrent_users": 1}
            | {"think_time_seconds": 0.02, "data_file": rows, "scenarios": [{"steps": steps}]}
        )
        summary = await LoadTester(config).run_load_test()
        requests = service.requests
    assert set(summary.outcomes) == {"ok"}
    assert requests[0].endswith(b"\r\n\r\nwho=one")
    assert b'name="file"; filename="one.txt"' in requests[1]
    assert b"content of one" in requests[1]
    assert b"content of two" in requests[3]

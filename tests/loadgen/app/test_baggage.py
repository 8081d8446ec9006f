"""What of a test travels to other machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfloop_base.errors import ConfigError
from perfloop_loadgen import LoadTestConfig
from perfloop_loadgen.app.baggage import pack

SECRET = "rosebud-rosebud-rosebud"


def _packed(changes: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    config = LoadTestConfig.model_validate({"base_url": "http://127.0.0.1:1", "duration_seconds": 1} | changes)
    return pack(config, config.model_dump(mode="json", by_alias=True))


def test_every_file_of_a_test_travels_under_a_name_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Data, trace, certificates, prompts, lengths, code, uploads: the worker's test names the copies."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "rows.csv",
        "trace.csv",
        "ca.pem",
        "cert.pem",
        "key.pem",
        "word.txt",
        "prompts.txt",
        "shop.py",
        "cat.png",
    ):
        (tmp_path / name).write_text(f"content of {name}")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "cat.png").write_text("another cat")
    (tmp_path / "lengths.txt").write_text("10\n20\n")
    config, baggage = _packed(
        {
            "base_url": "https://127.0.0.1:1",
            "data_file": "rows.csv",
            "load": {"shape": "trace", "file": str(tmp_path / "trace.csv")},
            "tls": {
                "ca_file": "ca.pem",
                "cert_file": "cert.pem",
                "key_file": "key.pem",
                "key_password_file": "word.txt",
            },
            "scenarios": [
                {"python": "shop.py:buy"},
                {"name": "up", "steps": [{"path": "/", "multipart": {"image": {"file": "cat.png"}}}]},
            ],
            "endpoints": [
                {"path": "/", "multipart": {"file": {"file": "more/cat.png"}, "data": "a text"}},
                {"path": "/v1/messages", "llm": {"model": "m", "prompts_file": "prompts.txt", "max_tokens": 5}},
                {
                    "path": "/v1/chat/completions",
                    "llm": {"model": "m", "prompt_words": {"distribution": "file", "file": "lengths.txt"}},
                },
                # What only looks like the name of a file is sent as it is.
                {"path": "/", "method": "POST", "data": {"file": "nowhere.txt", "data_file": "nowhere.csv"}},
            ],
        }
    )
    assert sorted(Path(name).name for name in baggage.files) == sorted(
        [
            *("rows.csv", "trace.csv", "ca.pem", "cert.pem", "key.pem", "word.txt", "prompts.txt", "shop.py"),
            *("cat.png", "cat.png", "lengths.txt"),
        ]
    )
    named = [
        config["data_file"],
        config["load"]["file"],
        *(config["tls"][key] for key in ("ca_file", "cert_file", "key_file", "key_password_file")),
        config["scenarios"][0]["python"].removesuffix(":buy"),
        config["scenarios"][1]["steps"][0]["multipart"]["image"][0]["file"],
        config["endpoints"][0]["multipart"]["file"][0]["file"],
        config["endpoints"][1]["llm"]["prompts_file"],
        config["endpoints"][2]["llm"]["prompt_words"]["file"],
    ]
    assert sorted(named) == sorted(baggage.files)
    assert baggage.files[config["endpoints"][0]["multipart"]["file"][0]["file"]] == b"another cat"
    assert config["endpoints"][3]["data"]["file"] == "nowhere.txt"
    LoadTestConfig.model_validate(config)


def test_files_that_the_data_name_travel_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each once, where its name leads."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    for name in ("a", "b"):
        (tmp_path / "pictures" / f"{name}.png").write_text(name)
    (tmp_path / "rows.csv").write_text("picture\na\nb\na\n")
    upload = {"path": "/", "multipart": {"image": {"file": "pictures/${picture}.png"}}}
    config, baggage = _packed({"data_file": "rows.csv", "endpoints": [upload]})
    assert baggage.files["pictures/a.png"] == b"a"
    assert len(baggage.files) == 3
    assert config["endpoints"][0]["multipart"]["image"][0]["file"] == "pictures/${picture}.png"


@pytest.mark.parametrize(
    ("name", "rows", "sentence"),
    [
        ("${answer}.png", "picture\na\n", "its name is known only while the test runs, so it cannot travel"),
        ("${picture}", "picture\n/etc/hostname\n", "does not lie below the current directory"),
        ("${picture}", "picture\n../secret.png\n", "does not lie below the current directory"),
        ("${picture}.png", "picture\na\n", "a.png: cannot be read: No such file or directory"),
        ("gone.png", "picture\na\n", "multipart: gone.png: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_travel_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, rows: str, sentence: str
):
    """Before anything starts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(rows)
    with pytest.raises(ConfigError) as caught:
        _packed({"data_file": "rows.csv", "endpoints": [{"path": "/", "multipart": {"image": {"file": name}}}]})
    assert sentence in str(caught.value)
    assert len(caught.value.problems) == 1


def test_variables_of_requests_travel_and_are_shown_nowhere(monkeypatch: pytest.MonkeyPatch):
    """Those that the test names, no other; and no form of the baggage has them."""
    monkeypatch.setenv("SHOP_PASSWORD", SECRET)
    monkeypatch.setenv("OTHER_PASSWORD", f"other-{SECRET}")
    headers = {"Authorization": "Bearer ${env:SHOP_PASSWORD}", "X": "$${env:OTHER_PASSWORD}"}
    config, baggage = _packed({"endpoints": [{"path": "/", "headers": headers}]})
    assert baggage.environment == {"SHOP_PASSWORD": SECRET}
    assert SECRET not in f"{config} {baggage!r} {baggage}"

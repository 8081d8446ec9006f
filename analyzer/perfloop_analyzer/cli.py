"""The command line: flags in, exit code out."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.console import Console

from perfloop_analyzer.app import open_store, run_once, serve, write_report
from perfloop_analyzer.config import RunConfig, SourceConfig, parse_duration
from perfloop_analyzer.errors import AnalyzerError, ConfigError, ExitCode
from perfloop_analyzer.recommend.recommendation import STATES
from perfloop_analyzer.reporters.terminal import print_recommendations, print_result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LEVELS = ("debug", "info", "warning", "error")


def main(argv: list[str] | None = None) -> int:
    """Run one command; every error is one sentence per problem on stderr."""
    try:
        arguments = build_parser().parse_args(argv)
    except SystemExit as left:
        return int(left.code or 0)
    logging.basicConfig(
        stream=sys.stderr,
        level=arguments.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("httpx", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return COMMANDS[arguments.command](arguments)
    except AnalyzerError as error:
        for sentence in str(error).splitlines():
            print(f"perfloop analyzer: {sentence}", file=sys.stderr)  # noqa: T201 - the command line speaks here
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.OK


def build_parser() -> argparse.ArgumentParser:
    """Describe every command and flag."""
    parser = argparse.ArgumentParser(prog="perfloop analyzer", description="What is wrong, and what to do.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the service")
    _source_flags(run)
    run.add_argument("--web.listen-address", dest="listen", default="127.0.0.1:19110", metavar="HOST:PORT")
    run.add_argument("--web.token-file", dest="token_file", type=Path, help="file with the bearer token for changes")
    once = commands.add_parser("once", help="analyze once and print what was found")
    _source_flags(once)
    once.add_argument("--json", action="store_true", help="print JSON instead of a table")
    report = commands.add_parser("report", help="analyze once and write one self-contained HTML report")
    _source_flags(report)
    report.add_argument("--html", type=Path, required=True, metavar="FILE")
    _lifecycle_commands(commands)
    return parser


def _lifecycle_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = commands.add_parser("recommendations", help="list what is recommended")
    listing.add_argument("--state", choices=sorted(STATES))
    listing.add_argument("--json", action="store_true")
    parsers = [listing]
    for step in ("accept", "implement", "dismiss", "reopen"):
        parser = commands.add_parser(step, help=f"{step} a recommendation")
        parser.add_argument("id")
        parser.set_defaults(step=step)
        parsers.append(parser)
    for parser in parsers:
        parser.add_argument("--store.url", dest="store", required=True, help="the database of the running analyzer")
        parser.add_argument("--log.level", dest="log_level", default="warning", choices=LEVELS)


def _source_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--prometheus.url", dest="url", default="http://127.0.0.1:9090", help="any Prometheus API, with its path prefix"
    )
    add("--prometheus.header", dest="headers", action="append", default=[], metavar="NAME: VALUE", help="repeatable")
    add("--prometheus.tenant", dest="tenant", help="value of X-Scope-OrgID (Mimir, Cortex)")
    add("--prometheus.username", dest="username")
    add("--prometheus.password-file", dest="password_file", type=Path)
    add("--prometheus.bearer-token-file", dest="bearer_token_file", type=Path)
    add("--prometheus.ca-file", dest="ca_file", type=Path)
    add("--prometheus.cert-file", dest="cert_file", type=Path)
    add("--prometheus.key-file", dest="key_file", type=Path)
    add("--prometheus.insecure", dest="insecure", action="store_true", help="do not check the certificate")
    add("--query.timeout", dest="timeout", default="10s")
    add("--query.concurrency", dest="concurrency", type=int, default=4)
    add("--query.max-samples", dest="max_samples", type=int, default=20_000_000, help="per cycle")
    add("--query.step", dest="step", default="auto", help="auto = the scrape interval")
    add("--query.points", dest="points", type=int, default=240)
    add("--query.rate-window", dest="rate_window", default="auto", help="auto = four scrape intervals")
    add("--interval", dest="interval", default="10s")
    add("--store.url", dest="store", default="sqlite://", help="a SQLAlchemy URL; sqlite:// forgets at exit")
    add("--thresholds.file", dest="thresholds", type=Path)
    add("--catalog.file", dest="catalogs", type=Path, action="append", default=[], help="more signals; repeatable")
    add("--rules.file", dest="rules", type=Path, action="append", default=[], help="more rules; repeatable")
    add("--topology.file", dest="topology", type=Path, help="the call graph between services")
    add("--llm.url", dest="llm_url", help="an OpenAI-compatible API that may reword recommendations, as http://host/v1")
    add("--llm.model", dest="llm_model", default="")
    add("--llm.token-file", dest="llm_token_file", type=Path)
    add("--log.level", dest="log_level", default="info", choices=LEVELS)


def read_config(arguments: argparse.Namespace) -> RunConfig:
    """Check the flags; all problems at once."""
    problems: list[str] = []
    numbers = {
        name: _duration(f"--{flag}", getattr(arguments, name), problems)
        for name, flag in (("timeout", "query.timeout"), ("interval", "interval"))
    }
    step = None if arguments.step == "auto" else _duration("--query.step", arguments.step, problems)
    if arguments.rate_window != "auto":
        _duration("--query.rate-window", arguments.rate_window, problems)
    for flag, value, least in (("query.concurrency", arguments.concurrency, 1), ("query.points", arguments.points, 16)):
        if value < least:
            problems.append(f"--{flag} has value {value}: it must be at least {least}")
    host, port = _address(getattr(arguments, "listen", "127.0.0.1:19110"), problems)
    headers = _headers(arguments, problems)
    if not arguments.url.startswith(("http://", "https://")):
        problems.append(f"--prometheus.url has value '{arguments.url}': it must begin with http:// or https://")
    if problems:
        raise ConfigError(problems)
    return RunConfig(
        source=_source(arguments, headers, numbers["timeout"]),
        listen_host=host,
        listen_port=port,
        token_file=getattr(arguments, "token_file", None),
        store_url=arguments.store,
        thresholds_file=arguments.thresholds,
        catalog_files=arguments.catalogs,
        rule_files=arguments.rules,
        topology_file=arguments.topology,
        interval_seconds=numbers["interval"],
        points=arguments.points,
        step_seconds=step,
        rate_window=arguments.rate_window,
        llm_url=arguments.llm_url,
        llm_model=arguments.llm_model,
        llm_token_file=arguments.llm_token_file,
    )


def _source(arguments: argparse.Namespace, headers: Mapping[str, str], timeout: float) -> SourceConfig:
    return SourceConfig(
        url=arguments.url,
        headers=headers,
        username=arguments.username,
        password_file=arguments.password_file,
        bearer_token_file=arguments.bearer_token_file,
        ca_file=arguments.ca_file,
        cert_file=arguments.cert_file,
        key_file=arguments.key_file,
        insecure=arguments.insecure,
        timeout_seconds=timeout,
        concurrency=arguments.concurrency,
        max_samples=arguments.max_samples,
    )


def _duration(flag: str, text: str, problems: list[str]) -> float:
    try:
        seconds = parse_duration(text)
    except ConfigError as error:
        problems.append(f"{flag}: {error}")
        return 0.0
    if seconds <= 0:
        problems.append(f"{flag} has value '{text}': it must be more than nothing")
    return seconds


def _address(text: str, problems: list[str]) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) <= 65535:  # noqa: PLR2004 - the last port there is
        problems.append(f"--web.listen-address has value '{text}': it must be HOST:PORT, the port from 1 to 65535")
        return "", 0
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - an empty host is the user's word for all


def _headers(arguments: argparse.Namespace, problems: list[str]) -> dict[str, str]:
    headers = {}
    for text in arguments.headers:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            problems.append(f"--prometheus.header has value '{text}': it must be NAME: VALUE")
        headers[name.strip()] = value.strip()
    if arguments.tenant:
        headers["X-Scope-OrgID"] = arguments.tenant
    return headers


def _run(arguments: argparse.Namespace) -> int:
    asyncio.run(serve(read_config(arguments)))
    return ExitCode.OK


def _once(arguments: argparse.Namespace) -> int:
    result = asyncio.run(run_once(read_config(arguments)))
    if arguments.json:
        sys.stdout.buffer.write(orjson.dumps(result.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print_result(result, Console())
    return ExitCode.OK


def _report(arguments: argparse.Namespace) -> int:
    page = asyncio.run(write_report(read_config(arguments)))
    try:
        arguments.html.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--html has value '{arguments.html}': it cannot be written: {error.strerror}") from error
    return ExitCode.OK


def _recommendations(arguments: argparse.Namespace) -> int:
    store = open_store(RunConfig(store_url=arguments.store))
    found = store.recommendations(arguments.state)
    store.close()
    if arguments.json:
        sys.stdout.buffer.write(orjson.dumps([made.as_dict() for made in found], option=orjson.OPT_INDENT_2) + b"\n")
    else:
        print_recommendations(found, Console())
    return ExitCode.OK


def _transition(arguments: argparse.Namespace) -> int:
    store = open_store(RunConfig(store_url=arguments.store))
    try:
        made = store.transition(arguments.id, arguments.step, time.time())
    finally:
        store.close()
    Console().print(f"{made.id} is now {made.state}", highlight=False)
    return ExitCode.OK


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "run": _run,
    "once": _once,
    "report": _report,
    "recommendations": _recommendations,
    "accept": _transition,
    "implement": _transition,
    "dismiss": _transition,
    "reopen": _transition,
}

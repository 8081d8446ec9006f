"""The command line of reports: `perfloop report weekly` says what happened, what matters and what to do next."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx

from perfloop_analyzer.config import AnalysisConfig, SourceConfig, TargetConfig, database_url
from perfloop_analyzer.configuration import load_knowledge
from perfloop_analyzer.errors import AnalyzerError, ConfigError, NotRunningError
from perfloop_analyzer.report_config import ReportSources
from perfloop_analyzer.reporting import open_maker
from perfloop_analyzer.reports.pages import read_window
from perfloop_analyzer.reports.rendering import FORMATS, RENDERERS
from perfloop_analyzer.store import Database
from perfloop_base.cli import Parser, add_log_flags, exit_codes, guard, set_up_logs
from perfloop_base.errors import ExitCode
from perfloop_base.flags import add_flags, flag, read_flags, section
from perfloop_base.home import running_url
from perfloop_base.redaction import redact, redact_url, split_user
from perfloop_base.reports import KINDS
from perfloop_base.terminal import show
from perfloop_base.visible import visible

if TYPE_CHECKING:
    import argparse

    from perfloop_analyzer.reports.window import Window

PROGRAM = "perfloop report"
CODES = (
    ExitCode.OK,
    ExitCode.FAILED,
    ExitCode.USAGE,
    ExitCode.NOT_RUNNING,
    ExitCode.NOT_WRITTEN,
    ExitCode.SOURCE_UNAVAILABLE,
    ExitCode.STORE_FAILED,
    ExitCode.INTERRUPTED,
)
MAKING_SECONDS = 300.0
_SUFFIXES = {".html": "html", ".htm": "html", ".md": "md", ".json": "json"}
_LONGEST_SHOWN = 300


class NotWrittenError(AnalyzerError):
    """A report could not be written."""

    exit_code = ExitCode.NOT_WRITTEN


@dataclass(frozen=True, slots=True)
class SpanConfig:
    """Which report, of which span, and where it goes."""

    start: str | None = flag("--from", None, metavar="MOMENT", help="where it begins: a date, Unix seconds, or 7d ago")
    end: str | None = flag("--to", None, metavar="MOMENT", help="where it ends (default: now, where --from is given)")
    time_zone: str = flag("--time-zone", "UTC", metavar="ZONE", help="in which weeks and days are counted")
    out: Path | None = flag(
        "--out", None, parse=Path, metavar="FILE|DIR", help="where to write it (default: to the terminal, as Markdown)"
    )
    form: str = flag(
        "--format", "", metavar="{html,md,json}", help="its form (default: by the name of --out, else html)"
    )


@dataclass(frozen=True, slots=True)
class LocalConfig:
    """Where a report is made from when no analyzer is asked."""

    source: SourceConfig = section(SourceConfig, "Prometheus, in place of the running analyzer")
    sources: ReportSources = section(ReportSources, "what Prometheus does not have")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    return guard(PROGRAM, lambda: _run_command(argv))


def build_parser() -> Parser:
    """Return the parser of every command and flag."""
    parser = Parser(
        prog=PROGRAM,
        description="Write a report about a span of time, by default the last full week, Monday to Monday. The running "
        "analyzer makes it; with --prometheus.url or --store.url it is made here.",
        epilog=exit_codes(*CODES),
    )
    parser.add_argument(
        "kind",
        choices=KINDS,
        metavar="KIND",
        help="alerts, capacity (history, growth and headroom), optimization (recommendations), or weekly: the three on "
        "two pages",
    )
    add_flags(parser, SpanConfig)
    add_flags(parser, TargetConfig, "the running analyzer")
    add_flags(parser, LocalConfig)
    add_log_flags(parser)
    return parser


def _run_command(argv: list[str] | None) -> int:
    arguments = build_parser().parse_args(argv)
    set_up_logs(arguments)
    span = read_flags(SpanConfig, arguments)
    form = choose_form(span)
    target, local = read_flags(TargetConfig, arguments), read_flags(LocalConfig, arguments)
    is_here = any((local.source.url, local.source.url_file, target.store_url, target.store_url_file))
    if is_here:
        text = asyncio.run(_make(arguments.kind, span, form, target, local))
    else:
        text = _ask(arguments.kind, span, form, target.web_url or running_url("analyzer"))
    _write(text, span, form, arguments)
    return ExitCode.OK


def choose_form(span: SpanConfig) -> str:
    """Return the form of a report: as it is asked for, else by the name of its file.

    Raises:
        ConfigError: There is no such form.
    """
    if span.form and span.form not in FORMATS:
        raise ConfigError(f"--format: {span.form!r} is not one of {', '.join(FORMATS)}")
    if span.form:
        return span.form
    if span.out is None:
        return "md"
    return _SUFFIXES.get(span.out.suffix.lower(), "html")


async def _make(kind: str, span: SpanConfig, form: str, target: TargetConfig, local: LocalConfig) -> str:
    """Make a report without a running analyzer, from Prometheus and, where it is given, the analyzer's database."""
    now = time.time()
    window = _window(span, now)
    knowledge = load_knowledge(AnalysisConfig())
    database = Database(database_url(target.store_url or "sqlite://", target.store_url_file))
    try:
        async with open_maker(local.source, local.sources.located(), database, lambda: knowledge.catalog) as maker:
            return RENDERERS[form](await maker.make(kind, window, now))
    finally:
        database.close()


def _window(span: SpanConfig, now: float) -> Window:
    try:
        return read_window(span.start, span.end, span.time_zone, now)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _ask(kind: str, span: SpanConfig, form: str, url: str) -> str:
    """Return the report that the running analyzer makes.

    Raises:
        ConfigError: It refuses the span.
        NotRunningError: It does not answer.
        AnalyzerError: It could not make the report.
    """
    _window(span, time.time())  # what is wrong with it is said here, whoever runs there
    base, authorization = split_user(url)
    asked = {"start": span.start, "end": span.end, "time_zone": span.time_zone, "form": form}
    headers = {"Authorization": authorization} if authorization else {}
    shown = redact_url(base)
    try:
        answer = httpx.get(
            f"{base.rstrip('/')}/api/v1/reports/make/{kind}",
            params={name: value for name, value in asked.items() if value is not None},
            headers=headers,
            timeout=MAKING_SECONDS,
        )
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotRunningError(f"the analyzer at {shown} does not answer: {redact(str(error))}") from error
    if answer.status_code == httpx.codes.OK:
        return answer.text
    try:
        said = str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        said = f"status {answer.status_code}, which is none of an analyzer that makes reports"
    sentence = visible(redact(said))[:_LONGEST_SHOWN]
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        raise ConfigError(sentence)
    raise AnalyzerError(f"the analyzer at {shown} made no report: {sentence}")


def _write(text: str, span: SpanConfig, form: str, arguments: argparse.Namespace) -> None:
    if span.out is None:
        show(text.rstrip("\n"))
        return
    path = span.out
    try:
        if path.is_dir() or str(arguments.out).endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            path /= f"{arguments.kind}.{form}"
        # Whole or not at all: a full disk leaves no half of a report, and what was there before.
        fresh = path.with_name(f".{path.name}.new")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
    except OSError as error:
        raise NotWrittenError(f"--out: {path} cannot be written: {error.strerror}") from error
    show(f"wrote {path}")

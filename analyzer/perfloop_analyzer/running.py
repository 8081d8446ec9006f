"""The recommendations and changes of an analyzer: over its HTTP API where it answers, else in its database.

The running program sees a change over HTTP immediately; the database is the way while it is stopped. What is not given
by a flag is looked for where `perfloop up` puts it: see perfloop_base.home.
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import httpx

from perfloop_analyzer.changes import KEEP_SECONDS, Change, read_change
from perfloop_analyzer.config import TargetConfig, database_url, read_secret
from perfloop_analyzer.errors import (
    AccessError,
    AnalyzerError,
    ConfigError,
    NotFoundError,
    NotRunningError,
    StoreError,
    TransitionError,
)
from perfloop_analyzer.recommend.recommendation import Recommendation, from_dict
from perfloop_analyzer.store import Database
from perfloop_base.home import find_home, running_url
from perfloop_base.redaction import redact, redact_url, split_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from perfloop_base.errors import PerfloopError

TOKEN_VARIABLE = "PERFLOOP_ANALYZER_TOKEN_FILE"  # noqa: S105 - the name of a variable
TIMEOUT_SECONDS = 5.0
HEALTHY = "Analyzer is healthy."
OLD_SECONDS = 60.0  # as long as the running program lets a result stand


@dataclass(frozen=True, slots=True)
class LastResult:
    """When the analyzer last had a result.

    Attributes:
        at: Unix seconds; None where it never had one, or it is not known.
        is_old: Whether it no longer describes the present.
        answers: Whether the running analyzer said so itself.
    """

    at: float | None
    is_old: bool
    answers: bool


class Records(Protocol):
    """Recommendations that can be listed and moved on, and changes that can be listed and recorded."""

    def recommendations(self, state: str | None = None) -> Sequence[Recommendation]:
        """Return the recommendations, of one state if it is given, the most urgent first."""

    def last_result(self, now: float) -> LastResult:
        """Return when the analyzer last had a result; `now` is in Unix seconds."""

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Move one recommendation on and return it; `effort_hours` is the work that a person expects of it.

        Raises:
            NotFoundError: There is none of that id.
            TransitionError: Its state does not allow the step.
        """

    def changes(self, now: float) -> Sequence[Change]:
        """Return what was changed within KEEP_SECONDS, newest first; `now` is in Unix seconds."""

    def record_change(self, body: Mapping[str, Any], now: float) -> Change:
        """Record a change and return it.

        Raises:
            ConfigError: With every problem of it.
        """

    def record_proof(self, identifier: str, body: Mapping[str, Any], now: float) -> Recommendation:
        """Keep the outcome of a proof and return the recommendation; `now` is in Unix seconds.

        Raises:
            NotFoundError: There is none of that id.
        """


class RemoteAnalyzer:
    """A running analyzer, through its HTTP API."""

    def __init__(self, client: httpx.Client, token: str | None, looked_for: str) -> None:
        """Use an open client.

        Args:
            client: Its base URL is the analyzer's.
            token: The bearer token for changes.
            looked_for: Where a token was looked for, for the error when there is none.
        """
        self._client = client
        self._token = token
        self._looked_for = looked_for

    def last_result(self, now: float) -> LastResult:
        """Return when the analyzer last had a result, by its own clock."""
        del now
        try:
            body = self._client.get("api/v1/health").json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError):
            return LastResult(None, is_old=True, answers=False)
        at = body.get("at") if isinstance(body, dict) else None
        if not isinstance(at, int | float) or not math.isfinite(at):
            return LastResult(None, is_old=True, answers=True)
        return LastResult(float(at), is_old=bool(body.get("stale")), answers=True)

    def recommendations(self, state: str | None = None) -> list[Recommendation]:
        """Return the stored recommendations, the most urgent first."""
        found = self._request("GET", "recommendations", params={"state": state} if state else {})
        if not isinstance(found, list):
            raise AnalyzerError(f"the analyzer at {redact_url(str(self._client.base_url))} did not answer with a list")
        return [self._read(one) for one in found]

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Move one recommendation on; the analyzer's own clock counts."""
        del at
        path = f"recommendations/{quote(identifier, safe='')}/{step}"
        body = {} if effort_hours is None else {"json": {"effort_hours": effort_hours}}
        return self._read(self._request("POST", path, headers=self._authorization(), **body))

    def changes(self, now: float) -> list[Change]:
        """Return what was changed, as the analyzer's last good cycle knew it."""
        del now
        body = self._request("GET", "changes")
        try:
            return [Change(**one) for one in body["changes"]]
        except (KeyError, TypeError) as error:
            shown = redact_url(str(self._client.base_url))
            raise AnalyzerError(f"the analyzer at {shown} did not answer with changes: {error}") from error

    def record_change(self, body: Mapping[str, Any], now: float) -> Change:
        """Record a change; the analyzer's own clock counts where none is given."""
        read_checked(body, now)
        return Change(**self._request("POST", "changes", headers=self._authorization(), json=dict(body)))

    def record_proof(self, identifier: str, body: Mapping[str, Any], now: float) -> Recommendation:
        """Keep the outcome of a proof; the analyzer's own clock counts."""
        del now
        path = f"recommendations/{quote(identifier, safe='')}/proof"
        return self._read(self._request("POST", path, headers=self._authorization(), json=dict(body)))

    def _authorization(self) -> dict[str, str]:
        if self._token is None:
            raise AccessError(
                f"the analyzer at {redact_url(str(self._client.base_url))} needs a token; none in {self._looked_for}"
            )
        return {"Authorization": f"Bearer {self._token}"}

    def _request(self, method: str, path: str, **options: Any) -> Any:
        url = f"api/v1/{path}"
        shown = redact_url(str(self._client.base_url))
        try:
            response = self._client.request(method, url, **options)
            body = response.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise AnalyzerError(f"the analyzer at {shown} did not answer: {redact(str(error))}") from error
        if response.is_success:
            return body
        detail = str(body.get("detail", response.status_code) if isinstance(body, dict) else response.status_code)
        kinds: dict[int, type[PerfloopError]] = {
            401: AccessError,
            403: AccessError,
            404: NotFoundError,
            409: TransitionError,
            422: ConfigError,
        }
        raise kinds.get(response.status_code, AnalyzerError)(redact(detail))

    def _read(self, body: Any) -> Recommendation:
        try:
            return from_dict(body)
        except (ValueError, TypeError) as error:
            shown = redact_url(str(self._client.base_url))
            raise AnalyzerError(f"the analyzer at {shown} did not answer with a recommendation: {error}") from error


class StoppedAnalyzer:
    """An analyzer that does not run, or does not answer: its database."""

    def __init__(self, database: Database) -> None:
        """Use an open database."""
        self._database = database

    def recommendations(self, state: str | None = None) -> Sequence[Recommendation]:
        """Return the stored recommendations, the most urgent first."""
        return self._database.recommendations(state)

    def transition(self, identifier: str, step: str, at: float, effort_hours: float | None = None) -> Recommendation:
        """Move one recommendation on."""
        return self._database.transition(identifier, step, at, effort_hours)

    def changes(self, now: float) -> Sequence[Change]:
        """Return what was changed, newest first."""
        return self._database.changes(now - KEEP_SECONDS)

    def record_change(self, body: Mapping[str, Any], now: float) -> Change:
        """Record a change."""
        change = read_checked(body, now)
        self._database.record_change(change)
        return change

    def record_proof(self, identifier: str, body: Mapping[str, Any], now: float) -> Recommendation:
        """Keep the outcome of a proof."""
        return self._database.record_proof(identifier, body, now)

    def last_result(self, now: float) -> LastResult:
        """Return when the last cycle that was stored saw any data."""
        looked = self._database.memory().looked
        return LastResult(looked, looked is None or now - looked > OLD_SECONDS, answers=False)


def read_checked(body: Mapping[str, Any], now: float) -> Change:
    """Return the change that is to be recorded.

    Raises:
        ConfigError: With every problem of it.
    """
    try:
        return read_change(body, now)
    except ValueError as error:
        raise ConfigError(str(error)) from error


@contextlib.contextmanager
def open_records(target: TargetConfig) -> Iterator[Records]:
    """Open the recommendations and changes of the analyzer that the flags name, else of the running stack's.

    Raises:
        NotRunningError: Nothing was found; the message names the places.
        ConfigError: A port variable or a token file is wrong.
        StoreError: The database cannot be opened.
    """
    if (target.store_url or target.store_url_file) and not target.web_url:
        url = database_url(target.store_url, target.store_url_file)
        with contextlib.closing(Database(url)) as database:
            yield StoppedAnalyzer(database)
        return
    url = target.web_url or running_url("analyzer")
    url, authorization = split_user(url)
    headers = {"Authorization": authorization} if authorization else {}
    with httpx.Client(base_url=url.rstrip("/") + "/", timeout=TIMEOUT_SECONDS, headers=headers) as client:
        if _answers(client):
            yield RemoteAnalyzer(client, *_token(target))
            return
    if target.web_url:
        raise NotRunningError(f"no analyzer answers at {redact_url(url)}: check --web.url")
    path = find_home().absolute() / "analyzer" / "analyzer.sqlite"
    if not path.is_file():
        raise NotRunningError(
            f"no analyzer was found: {url} does not answer and {path} does not exist; start the stack with "
            "`perfloop up`, or give --web.url or --store.url"
        )
    try:
        with contextlib.closing(Database(f"sqlite:///{path}")) as database:
            yield StoppedAnalyzer(database)
    except StoreError as error:
        # A program that is frozen while it writes keeps the lock.
        raise StoreError(f"no analyzer answers at {redact_url(url)}, and {error}") from error


def _answers(client: httpx.Client) -> bool:
    """Return whether an analyzer, and not another program, listens there."""
    try:
        response = client.get("-/healthy")
    except httpx.HTTPError:
        return False
    return response.is_success and response.text.strip() == HEALTHY


def _token(target: TargetConfig) -> tuple[str | None, str]:
    """Return the token, and the places that were looked at."""
    default = find_home().absolute() / "analyzer" / "token"
    named = target.token_file or (Path(os.environ[TOKEN_VARIABLE]) if os.environ.get(TOKEN_VARIABLE) else None)
    if named:
        return read_secret(named), str(named)
    looked_for = f"--web.token-file, {TOKEN_VARIABLE} or {default}"
    return (read_secret(default) if default.is_file() else None), looked_for

"""The pages of alerts and silences, through Alertmanager's API.

Debian's build of Alertmanager comes without pages of its own, and an official one is reached by other addresses than
those that messages know. So links in messages and on boards lead here: what fires, who is notified of it, and silences.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
import yaml
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from markupsafe import Markup

from perfloop_base.errors import ConfigError
from perfloop_base.pages import style
from perfloop_base.templating import load_templates
from perfloop_base.web.headers import POLICY, page_policy
from perfloop_inbox.channels import read_body
from perfloop_inbox.reasons import Situation, explain, name_alert, read_channels, read_failures, read_waits
from perfloop_inbox.replies import make_presentable, parse_json
from perfloop_inbox.silences import build_silence, parse_matchers, read_matcher, show_labels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfloop_inbox.notices import Notices

router = APIRouter()

_ANSWER_SECONDS = 5.0
_MAX_WISH_BYTES = 64 * 1024
_MAX_SHOWN = 200
# How an answer that is not Alertmanager's shows.
_BAD_ANSWERS = (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError, AttributeError)
_STYLE = style("""
form { display: grid; gap: .6rem; max-width: 44rem; }
label { display: grid; gap: .15rem; }
input { width: 100%; }
td.words { overflow-wrap: anywhere; }
""")
_ENVIRONMENT = load_templates(Path(__file__).parent)
_ENVIRONMENT.globals["style"] = Markup(_STYLE)  # noqa: S704 - ours
_ENVIRONMENT.filters["moment"] = lambda text: f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
_ENVIRONMENT.filters["query"] = lambda text: quote(text, safe="")
_ORDER = {"critical": 0, "warning": 1, "info": 2}
UNAVAILABLE = 503
NOBODY = "The inbox was started without --alertmanager.url: it has no Alertmanager to ask."
SILENT = "Alertmanager does not answer: alerts and silences cannot be read or changed until it does."


class Manager:
    """Alertmanager's API, by the first member of a cluster that answers.

    Args:
        urls: the members; none where the inbox was given none.
    """

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = urls

    async def ask(self, method: str, path: str, body: Any = None) -> httpx.Response | None:
        """Return the first answer; None where no member answers."""
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
            for url in self._urls:
                try:
                    return await client.request(method, f"{url}/api/v2/{path}", json=body)
                except (httpx.HTTPError, httpx.InvalidURL):
                    continue
        return None

    async def list(self, path: str) -> list[dict[str, Any]] | None:
        """Return a list of the API; None where no member answers as Alertmanager does."""
        answer = await self.ask("GET", path)
        try:
            return None if answer is None else [dict(one) for one in answer.raise_for_status().json()]
        except _BAD_ANSWERS:
            return None

    async def read_situation(self, alerts: Sequence[Mapping[str, Any]]) -> Situation:
        """Return what Alertmanager says beside its alerts; what it does not say is left out."""
        status, silences = await self.ask("GET", "status"), await self.list("silences")
        try:
            config = yaml.safe_load(status.raise_for_status().json()["config"]["original"]) if status else {}
            channels, waits = read_channels(config), read_waits(config) if config else {}
        except (*_BAD_ANSWERS, yaml.YAMLError):
            channels, waits = {}, {}
        return Situation(
            channels,
            waits,
            read_failures(await self._read_metrics()),
            {str(one.get("fingerprint")): name_alert(one.get("labels") or {}) for one in alerts},
            {str(one.get("id")): _describe_silence(one) for one in silences or []},
        )

    async def _read_metrics(self) -> str:
        """Return the metrics of every member that answers: each counts what it sent itself."""
        texts = []
        async with httpx.AsyncClient(timeout=_ANSWER_SECONDS, trust_env=False) as client:
            for url in self._urls:
                try:
                    texts.append((await client.get(f"{url}/metrics")).raise_for_status().text)
                except (httpx.HTTPError, httpx.InvalidURL):
                    continue
        return "\n".join(texts)

    @property
    def problem(self) -> str:
        """Why there is no answer."""
        return SILENT if self._urls else NOBODY


@router.get("/alerts")
async def get_alerts(request: Request) -> HTMLResponse:
    """Return the page of what fires, as Alertmanager has it."""
    manager: Manager = request.app.state.manager
    rows = await _list_alerts(request)
    return _page("alerts.html", manager, answered=rows is not None, alerts=make_presentable(rows or []))


@router.get("/api/alerts")
async def get_notified(request: Request) -> JSONResponse:
    """Return what fires, and for each alert who was notified and when, or why nobody was."""
    manager: Manager = request.app.state.manager
    rows = await _list_alerts(request)
    return (
        JSONResponse({"detail": manager.problem}, UNAVAILABLE) if rows is None else JSONResponse(make_presentable(rows))
    )


async def _list_alerts(request: Request) -> list[dict[str, Any]] | None:
    """Return the rows of what fires; None where no Alertmanager answers."""
    manager: Manager = request.app.state.manager
    notices: Notices = request.app.state.inbox.notices
    alerts = await manager.list("alerts")
    if alerts is None:
        return None
    situation, now = await manager.read_situation(alerts), datetime.now(tz=UTC).timestamp()
    rows = [
        _read_alert(one) | {"notified": explain(one, notices.find(one["labels"]), situation, now)} for one in alerts
    ]
    return sorted(rows, key=lambda row: (_ORDER.get(row["severity"], 9), row["alertname"], row["service"]))


@router.get("/silences")
async def get_silences(request: Request) -> HTMLResponse:
    """Return the page of silences that hold or are still to come."""
    manager: Manager = request.app.state.manager
    silences = await manager.list("silences")
    rows = [_read_silence(one) for one in silences or [] if one["status"]["state"] != "expired"]
    rows.sort(key=lambda row: row["ends"])
    return _page("silences.html", manager, answered=silences is not None, silences=make_presentable(rows))


@router.get("/silences/new")
async def get_silence_form(request: Request) -> HTMLResponse:
    """Return the page on which the alerts of a filter are silenced; links of messages and boards lead here."""
    manager: Manager = request.app.state.manager
    wanted, problem = request.query_params.get("filter", ""), ""
    matchers: tuple[Any, ...] = ()
    try:
        matchers = parse_matchers(wanted)
    except ConfigError as error:
        problem = str(error)
    found = await manager.list("alerts?" + "&".join(f"filter={quote(str(one), safe='')}" for one in matchers))
    silenced = None if problem or found is None else len(found)
    shown = ", ".join(map(str, matchers)) or wanted
    return _page("silence.html", manager, answered=found is not None, matchers=shown, unread=problem, count=silenced)


@router.post("/api/silences")
async def post_silence(request: Request) -> JSONResponse:
    """Silence what `matchers` match for `duration`; `author` and `comment` say who wants it and why."""
    manager: Manager = request.app.state.manager
    body = await read_body(request, _MAX_WISH_BYTES)
    if body is None:
        raise ConfigError(f"The body is longer than {_MAX_WISH_BYTES} bytes.")
    silence = build_silence(parse_json(body), datetime.now(tz=UTC))
    return _pass_on(manager, await manager.ask("POST", "silences", silence))


@router.delete("/api/silences/{silence_id}")
async def delete_silence(silence_id: str, request: Request) -> JSONResponse:
    """End a silence."""
    manager: Manager = request.app.state.manager
    return _pass_on(manager, await manager.ask("DELETE", f"silence/{quote(silence_id, safe='')}"))


def _pass_on(manager: Manager, answer: httpx.Response | None) -> JSONResponse:
    if answer is None:
        return JSONResponse({"detail": manager.problem}, UNAVAILABLE)
    if answer.is_error:
        # What is wrong with the request is the caller's to know; what is wrong with Alertmanager is not the inbox's.
        status = answer.status_code if answer.is_client_error else UNAVAILABLE
        return JSONResponse({"detail": f"Alertmanager refused: {make_presentable(answer.text)[:500]}"}, status)
    try:
        return JSONResponse({"id": str(answer.json()["silenceID"])} if answer.content else {})
    except _BAD_ANSWERS:
        return JSONResponse({})


def _page(template: str, manager: Manager, *, answered: bool, **content: Any) -> HTMLResponse:
    notice = "" if answered else manager.problem
    html = _ENVIRONMENT.get_template(template).render(notice=notice, **content)
    return HTMLResponse(html, 200 if answered else UNAVAILABLE, headers={POLICY: _POLICIES[template]})


def _read_policy(template: str) -> str:
    source = Path(__file__).with_name(template).read_text(encoding="utf-8")
    return page_policy(_STYLE + source, "connect-src 'self'")


_POLICIES = {name: _read_policy(name) for name in ("alerts.html", "silences.html", "silence.html")}


def _read_alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    labels, annotations = dict(alert["labels"]), dict(alert.get("annotations") or {})
    status = alert["status"]
    held = "silenced" if status.get("silencedBy") else "inhibited" if status.get("inhibitedBy") else ""
    runbook = str(annotations.get("runbook_url", ""))
    return {
        "alertname": str(labels.get("alertname", "")),
        "service": str(labels.get("service", "")),
        "severity": str(labels.get("severity", "")),
        "state": held or "to " + ", ".join(sorted(str(one["name"]) for one in alert.get("receivers") or [])),
        "since": alert["startsAt"],
        "summary": str(annotations.get("summary", "")),
        "labels": show_labels({str(name): str(value) for name, value in labels.items()}),
        "runbook": runbook if runbook.startswith(("http://", "https://")) else "",
    }


def _describe_silence(silence: Mapping[str, Any]) -> str:
    """Return who silenced, why and until when, as it stands behind "silenced"."""
    author, comment = (str(silence.get(name) or "")[:_MAX_SHOWN] for name in ("createdBy", "comment"))
    who = f" by {author}" if author else ""
    until = str(silence.get("endsAt", ""))[:16].replace("T", " ")
    return f"{who} until {until} UTC" + (f": {comment.rstrip('.')}" if comment else "")


def _read_silence(silence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": str(silence["id"]),
        "matchers": ", ".join(str(read_matcher(one)) for one in silence["matchers"]),
        "state": str(silence["status"]["state"]),
        "starts": silence["startsAt"],
        "ends": silence["endsAt"],
        "author": str(silence.get("createdBy", "")),
        "comment": str(silence.get("comment", "")),
    }

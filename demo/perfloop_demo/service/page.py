"""The page at `/`: what the service is, and a switch for each fault; and the API's page, without scripts of others."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from perfloop_base.pages import style
from perfloop_base.templating import load_templates
from perfloop_base.web.headers import POLICY, page_policy
from perfloop_demo.service.service import ServiceDep

router = APIRouter()

# The value that the page suggests for each fault: visible, and well within the fault's limits.
_SUGGESTIONS = {
    "slow_queries": 0.3,
    "cpu_burn": 1,
    "errors": 0.2,
    "memory_leak": 10,
    "pool_exhausted": 9,
    "slow_first_token": 8,
}
_ENVIRONMENT = load_templates(Path(__file__).parent)
_STYLE = style()
_ENVIRONMENT.globals["style"] = Markup(_STYLE)  # noqa: S704 - our own


def _policy(template: str, *extra: str) -> dict[str, str]:
    # Of the template, not of a rendered page: what could ever be injected into one is not allowed to run.
    return {POLICY: page_policy(_STYLE + Path(__file__).with_name(template).read_text(encoding="utf-8"), *extra)}


_PAGE_HEADERS = _policy("page.html", "connect-src 'self'")
_DOCS_HEADERS = _policy("docs.html")


@router.get("/", include_in_schema=False)
async def get_page(service: ServiceDep) -> HTMLResponse:
    """Return the page with the service's faults."""
    page = _ENVIRONMENT.get_template("page.html").render(
        rules=service.faults.rules.values(),
        active=service.faults.get_active(),
        suggestions=_SUGGESTIONS,
        database=service.database.system,
        cache=service.cache_name,
    )
    return HTMLResponse(page, headers=_PAGE_HEADERS)


@router.get("/docs", include_in_schema=False)
async def get_docs(request: Request) -> HTMLResponse:
    """Return the list of the API's operations: FastAPI's own page runs a script from elsewhere."""
    schema = request.app.openapi()
    operations = [
        (method.upper(), path, str(operation.get("description", operation["summary"])).partition("\n")[0])
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
    docs = _ENVIRONMENT.get_template("docs.html").render(title=schema["info"]["title"], operations=operations)
    return HTMLResponse(docs, headers=_DOCS_HEADERS)

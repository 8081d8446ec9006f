"""The page at `/`: what the service is, and a switch for each fault."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

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
_ENVIRONMENT = Environment(
    loader=PackageLoader("perfloop_demo.service", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
# Of the template, not of a rendered page: what could ever be injected into one is not allowed to run.
_PAGE_POLICY = page_policy(Path(__file__).with_name("page.html").read_text(encoding="utf-8"), "connect-src 'self'")


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
    return HTMLResponse(page, headers={POLICY: _PAGE_POLICY})

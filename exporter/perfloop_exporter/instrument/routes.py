"""The template of the route that served a request: one look-up after the call, no second matching.

Starlette leaves the route and the mounts' part of the path (`root_path`) in the scope. FastAPI since 0.137 keeps the
prefixes of included routers in a context beside it; before, they stand in the route's own path. Starlette before 1.0
leaves the endpoint alone, which leads to its route.
"""

from __future__ import annotations

import weakref
from collections.abc import MutableMapping
from typing import Any

UNMATCHED = "unmatched"

Scope = MutableMapping[str, Any]


def route_template(scope: Scope, root_before: str) -> str:
    """`/v1/items/{id}` for `/v1/items/7`; `unmatched` where no route took the request."""
    root = scope.get("root_path", "")
    mounts: str = root[len(root_before) :] if root != root_before and root.startswith(root_before) else ""
    path = _path_behind(scope, mounts)
    if path is None:
        return UNMATCHED
    if not mounts:
        return path
    return _mount_template(mounts, scope.get("path_params") or {}, path) + path


def _path_behind(scope: Scope, mounts: str) -> str | None:
    """The route's own path, with its routers' prefixes, below the mounts."""
    route = scope.get("route") or find_route(scope)
    if route is None or hasattr(route, "routes"):
        # At most a mount took the request: behind it is a router in which nothing matched, or a foreign app.
        foreign = mounts and not getattr(scope.get("endpoint"), "routes", None)
        return "/{path}" if foreign else None
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is route:
        return str(context.path)
    path = getattr(route, "path", None)
    return None if path is None else str(path)


def _mount_template(mounts: str, parameters: Any, path: str) -> str:
    """The mounts' part with the values of its own parameters put back to their names."""
    for name, value in parameters.items():
        if f"{{{name}}}" not in path and f"{{{name}:" not in path:
            mounts = f"{mounts}/".replace(f"/{value}/", f"/{{{name}}}/", 1)[:-1]
    return mounts


# The routes of an app by their endpoint, and how many routes it had then.
_tables: weakref.WeakKeyDictionary[Any, tuple[int, dict[int, list[Any]]]] = weakref.WeakKeyDictionary()


def find_route(scope: Scope) -> Any:
    """The route of the endpoint that served, where nothing in the scope names it; None where there is none."""
    endpoint, app = scope.get("endpoint"), scope.get("app")
    routes = getattr(app, "routes", None)
    if endpoint is None or not routes:
        return None
    size, table = _tables.get(app, (0, {}))
    if size != len(routes):
        table = {}
        _collect(routes, table)
        _tables[app] = (len(routes), table)
    candidates = table.get(id(endpoint), [])
    if len(candidates) < 2:  # noqa: PLR2004 - one function behind two paths is the rare case
        return candidates[0] if candidates else None
    path = str(scope.get("path", "")).removeprefix(scope.get("root_path", ""))
    return next((route for route in candidates if route.path_regex.match(path)), None)


def _collect(routes: Any, table: dict[int, list[Any]]) -> None:
    for route in routes:
        below = getattr(route, "routes", None)
        if below:
            _collect(below, table)
        elif hasattr(route, "path_regex") and hasattr(route, "methods"):
            table.setdefault(id(route.endpoint), []).append(route)

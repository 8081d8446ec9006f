"""The template of the route that served a request, looked up after the call instead of matching it again.

Starlette stores the route, and the path of the mounts (`root_path`), in the scope. FastAPI stores the prefixes of
included routers in a context in the scope since 0.137, before that in the route's own path. Starlette before 1.0 stores
only the endpoint, from which the route is found.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, MutableMapping
from typing import Any

UNMATCHED = "unmatched"

Scope = MutableMapping[str, Any]


def route_template(scope: Scope, root_before: str) -> str:
    """Return `/v1/items/{id}` for `/v1/items/7`, or `unmatched` where no route matched.

    Args:
        scope: The ASGI scope after the call.
        root_before: Its `root_path` before the call.
    """
    root = scope.get("root_path", "")
    mounts: str = root[len(root_before) :] if root != root_before and root.startswith(root_before) else ""
    path = _path_behind(scope, mounts)
    if path is None:
        return UNMATCHED
    if not mounts:
        return path
    return _mount_template(mounts, scope.get("path_params") or {}, path) + path


def _path_behind(scope: Scope, mounts: str) -> str | None:
    """Return the route's path below the mounts, with the prefixes of its routers; None without a route."""
    route = scope.get("route") or find_route(scope)
    if route is None or hasattr(route, "routes"):
        # At most a mount matched: behind it is a router in which nothing matched, or an app without routes.
        foreign = mounts and not getattr(scope.get("endpoint"), "routes", None)
        return "/{path}" if foreign else None
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if context is not None and getattr(context, "original_route", None) is route:
        return str(context.path)
    path = getattr(route, "path", None)
    return None if path is None else str(path)


def _mount_template(mounts: str, parameters: Any, path: str) -> str:
    """Return the mounts' path with the values of its path parameters replaced by their names."""
    for name, value in parameters.items():
        if f"{{{name}}}" not in path and f"{{{name}:" not in path:
            mounts = f"{mounts}/".replace(f"/{value}/", f"/{{{name}}}/", 1)[:-1]
    return mounts


# What routers write into a scope, which a second look must not start from.
_ROUTED = ("route", "router", "endpoint", "fastapi", "app_root_path")
_NO_MATCH, _FULL_MATCH = 0, 2  # values of starlette.routing.Match


def template_behind(app: Any, scope: Scope, root_before: str) -> str:
    """Return the template of the route that would have served a request that a middleware has answered.

    Only for such requests: it asks the routes of `app`, one after the other, as their router would have.
    """
    fresh = {key: value for key, value in scope.items() if key not in _ROUTED}
    fresh.update(root_path=root_before, path_params={})
    return _first_match(getattr(app, "routes", None) or (), fresh) or UNMATCHED


def _first_match(routes: Iterable[Any], scope: Scope) -> str | None:
    partial: str | None = None
    for route in _with_prefixes(routes):
        match, child = route.matches(scope)
        if match.value == _NO_MATCH:
            continue
        template = _template_of(route, {**scope, **child})
        if match.value == _FULL_MATCH:
            return template
        partial = partial or template  # the path, by another method: a CORS preflight
    return partial


def _template_of(route: Any, scope: Scope) -> str | None:
    path: str | None = getattr(route, "path", None)
    if not hasattr(route, "routes"):
        return path
    if not route.routes:  # a mounted app that is not Starlette's
        return f"{path or ''}/{{path}}"
    below = _first_match(route.routes, scope)
    return None if below is None else (path or "") + below


def _with_prefixes(routes: Iterable[Any]) -> Iterable[Any]:
    """Return the routes, those of FastAPI's included routers (since 0.137) with the routers' prefixes."""
    flatten = getattr(sys.modules.get("fastapi.routing"), "iter_route_contexts", None)
    return routes if flatten is None else flatten(routes)


# By app: the number of its routes when they were indexed, and the routes by the id of their endpoint.
_tables: weakref.WeakKeyDictionary[Any, tuple[int, dict[int, list[Any]]]] = weakref.WeakKeyDictionary()


def find_route(scope: Scope) -> Any:
    """Return the route of the scope's endpoint; None where there is none."""
    endpoint, app = scope.get("endpoint"), scope.get("app")
    routes = getattr(app, "routes", None)
    if endpoint is None or not routes:
        return None
    size, table = _tables.get(app, (0, {}))
    if size != len(routes):
        table = {}
        _collect(routes, table)
        _tables[app] = (len(routes), table)
    # By id, since an endpoint need not be hashable; the routes keep it alive.
    candidates = table.get(id(endpoint), [])
    if len(candidates) < 2:  # noqa: PLR2004 - two routes with one endpoint are rare
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

"""The credentials that a document asks for, as placeholders that the run reads from the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from perfloop_loadgen.imports.found import Found
    from perfloop_loadgen.imports.references import Part, References


def add_credentials(
    root: Part, operation: Part, references: References, endpoint: dict[str, Any], found: Found
) -> None:
    """Add what the first alternative of an operation's `security` asks for; none where it may be left out.

    A requirement names schemes that are all needed at once; the requirements of the list are alternatives.
    """
    rules = operation if "security" in operation.mapping() else root
    alternatives = [one.mapping() for one in rules.get("security").parts()]
    if not alternatives or not all(alternatives):
        return
    schemes = references.follow(references.follow(root.get("components")).get("securitySchemes"))
    if not schemes.mapping():
        schemes = references.follow(root.get("securityDefinitions"))
    for name in alternatives[0]:
        _add(str(name), references.follow(schemes.get(str(name))).mapping(), endpoint, found)


def _add(name: str, scheme: dict[str, Any], endpoint: dict[str, Any], found: Found) -> None:
    headers = endpoint["headers"]
    kind = str(scheme.get("type", "")).lower()
    how = str(scheme.get("scheme", "")).lower()
    if kind == "apikey":
        _add_key(name, scheme, endpoint, found)
    elif kind == "basic" or (kind == "http" and how == "basic"):
        headers["Authorization"] = f"Basic {found.secret(name, holds='Base64 of user:password')}"
    elif kind in {"oauth2", "openidconnect"} or (kind == "http" and how == "bearer"):
        headers["Authorization"] = f"Bearer {found.secret(name, holds='an access token')}"
    elif kind == "http" and how:
        headers["Authorization"] = f"{how.capitalize()} {found.secret(name)}"
    else:
        found.leave_out(f"credentials of the kind {kind or 'unknown'}")


def _add_key(name: str, scheme: dict[str, Any], endpoint: dict[str, Any], found: Found) -> None:
    key = str(scheme.get("name", name))
    placeholder = found.secret(name)
    headers = endpoint["headers"]
    match scheme.get("in"):
        case "query":
            sign = "&" if "?" in endpoint["path"] else "?"
            endpoint["path"] += f"{sign}{quote(key, safe='')}={placeholder}"
        case "cookie":
            have = f"{headers['Cookie']}; " if "Cookie" in headers else ""
            headers["Cookie"] = f"{have}{key}={placeholder}"
        case _:
            # `Authorization` as a key is mostly a bearer token; the variable may hold the word before it, too.
            headers[key] = placeholder

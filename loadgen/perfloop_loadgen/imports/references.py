"""What `$ref` refers to: a part of the document, or of another file beside it. Nothing is fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource, Unresolvable
from referencing.jsonschema import DRAFT202012

from perfloop_base.errors import ConfigError
from perfloop_loadgen.config.texts import read_text
from perfloop_loadgen.imports.found import ImportProblem
from perfloop_loadgen.imports.reading import parse_document

_MOST_REFERENCES = 32  # from one to the next
_MOST_MISSING = 10


class Part(NamedTuple):
    """A value of a document, and the base that references in it are relative to."""

    value: Any
    base: Any

    def get(self, key: str) -> Part:
        """Return the value of a mapping's key; None where there is none."""
        return Part(self.value.get(key) if isinstance(self.value, dict) else None, self.base)

    def items(self) -> list[tuple[str, Part]]:
        """Return the keys and values of a mapping; none of anything else."""
        pairs = self.value.items() if isinstance(self.value, dict) else ()
        return [(str(key), Part(value, self.base)) for key, value in pairs]

    def parts(self) -> list[Part]:
        """Return the values of a list; none of anything else."""
        return [Part(value, self.base) for value in self.value] if isinstance(self.value, list) else []

    def mapping(self) -> dict[str, Any]:
        """Return the value if it is a mapping, else an empty one."""
        return self.value if isinstance(self.value, dict) else {}


class References:
    """Follows references, and remembers those that lead nowhere.

    Args:
        document: the whole document.
        path: its file, beside which other files are looked for; None: it has none.
    """

    def __init__(self, document: Any, path: Path | None = None) -> None:
        self._uri = path.resolve().as_uri() if path else "document:"
        self._directory = self._uri.rpartition("/")[0] + "/"
        registry: Registry[Any] = Registry(retrieve=self._retrieve)  # type: ignore[call-arg] # an attrs class
        # Versions before 3.1 have no dialect of their own here: what matters are pointers, and they are alike.
        registry = registry.with_resource(self._uri, DRAFT202012.create_resource(document))
        self.root = Part(document, registry.resolver(base_uri=self._uri))
        self._found: dict[tuple[str, str], Part | None] = {}
        self.dangling: list[str] = []
        # Files that are not there, and addresses, each with the reason.
        self.missing: dict[str, str] = {}

    def follow(self, part: Part) -> Part:
        """Return what a part refers to, over several references; the part itself where it has none.

        A reference that leads nowhere, or back to itself, is an empty mapping, and is remembered.
        """
        for _ in range(_MOST_REFERENCES):
            reference = part.value.get("$ref") if isinstance(part.value, dict) else None
            if not isinstance(reference, str):
                return part
            part = self._look_up(part, reference)
        self._remember(str(part.value.get("$ref")))
        return Part({}, part.base)

    def check(self) -> None:
        """Refuse a document that lies in several files of which some are not there.

        Raises:
            ImportProblem: with every one of them.
        """
        if self.missing:
            shown = [f"{uri.removeprefix(self._directory)} ({reason})" for uri, reason in self.missing.items()]
            more = f" and {len(shown) - _MOST_MISSING} more" if len(shown) > _MOST_MISSING else ""
            raise ImportProblem(f"refers to what is not here: {', '.join(shown[:_MOST_MISSING])}{more}")

    def _look_up(self, part: Part, reference: str) -> Part:
        # The resolver's own base has no public name: where it is, only its references say.
        key = (_base_of(part.base), reference)
        if key not in self._found:
            self._found[key] = self._resolve(part, reference)
        found = self._found[key]
        return found if found is not None else Part({}, part.base)

    def _resolve(self, part: Part, reference: str) -> Part | None:
        try:
            resolved = part.base.lookup(reference)
        except (Unresolvable, ValueError, TypeError, AttributeError, RecursionError):
            if self._is_elsewhere(part, reference):
                return None  # remembered by `_retrieve`
            found = self._walk(part, reference)
            if found is None:
                self._remember(reference)
            return found
        return Part(resolved.contents, resolved.resolver)

    def _walk(self, part: Part, reference: str) -> Part | None:
        """Return what a pointer leads to through references: `#/components/schemas/A`, where `schemas` is a file."""
        file, fragment = urldefrag(reference)
        try:
            whole = part.base.lookup(file or "#")
        except (Unresolvable, ValueError):
            return None
        at = Part(whole.contents, whole.resolver)
        for name in fragment.removeprefix("/").split("/"):
            at = self.follow(at).get(unquote(name).replace("~1", "/").replace("~0", "~"))
            if at.value is None:
                return None
        return at

    def _remember(self, reference: str) -> None:
        if reference not in self.dangling:
            self.dangling.append(reference)

    def _is_elsewhere(self, part: Part, reference: str) -> bool:
        try:
            return urldefrag(urljoin(_base_of(part.base), reference))[0] in self.missing
        except ValueError:
            return False

    def _retrieve(self, uri: str) -> Resource[Any]:
        """Return another file of the document."""
        reason = self._reason(uri)
        if not reason:
            path = Path(unquote(urlsplit(uri).path))
            try:
                return DRAFT202012.create_resource(parse_document(read_text(path, str(path))))
            except (ConfigError, ImportProblem) as error:
                reason = str(error).removeprefix(f"{path}: ")
        self.missing[uri] = reason
        raise NoSuchResource(ref=uri)  # type: ignore[call-arg] # an attrs class

    def _reason(self, uri: str) -> str:
        try:
            parts = urlsplit(uri)
        except ValueError:
            return "is no address"
        if parts.scheme != "file":
            return "nothing is fetched: save it beside the document, and refer to the file"
        return "" if Path(unquote(parts.path)).is_file() else "no such file"


def _base_of(resolver: Any) -> str:
    return str(resolver._base_uri)  # noqa: SLF001 - a resolver has no public name for where it is

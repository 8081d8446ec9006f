"""Lists the licence of each dependency of users in docs/licenses.md, and refuses one that would bind them.

`python -m tests.support.licenses` fails on a licence that is not allowed or not known, and when the list is stale;
`--write` writes it, as `make lock` does.
"""

from __future__ import annotations

import argparse
import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKOUT = Path(__file__).parents[2]
PAGE = CHECKOUT / "docs" / "licenses.md"
# Licences by which a program may be used and passed on under its own: permissive ones, and those that bind only changes
# to the library's own files (MPL) or its replacement (LGPL, as psycopg is used: an unchanged, separate package).
ALLOWED = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "LGPL-3.0-only",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
        "ZPL-2.1",
    }
)
# What the packages' own metadata calls them.
SPELLINGS = {
    "3-clause bsd license": "BSD-3-Clause",
    "apache 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "bsd-derived (http://www.repoze.org/license.txt)": "BSD-3-Clause",
    "gnu lesser general public license v3 (lgplv3)": "LGPL-3.0-only",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the mit license (mit)": "MIT",
}
# Read in the package's own licence file, where its metadata names none, or one of another Python or system than this.
READ = {
    "async-timeout": "Apache-2.0",
    "promql-parser": "MIT",
    "tzdata": "Apache-2.0",
    "verlib2": "BSD-2-Clause",
}
_UNKNOWN = "UNKNOWN"


class Row(NamedTuple):
    """One locked package: its version, its licence as an SPDX expression, and whether it is in the image."""

    name: str
    version: str
    licence: str
    shipped: bool


def _spdx(text: str) -> str:
    text = text.strip()
    return SPELLINGS.get(text.lower(), text)


def read_licence(found: Distribution) -> str:
    """Return the licence that a package's metadata names, as an SPDX expression; `UNKNOWN` where it names none."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    text = _spdx(str(metadata.get("License") or ""))
    if text and "\n" not in text and not is_unknown(text):
        return text
    classifiers = [
        one.rpartition("::")[2] for one in metadata.get_all("Classifier") or () if one.startswith("License ::")
    ]
    named = sorted({_spdx(one) for one in classifiers} - {"OSI Approved"})
    return " OR ".join(named) if named else _UNKNOWN


def _operands(expression: str) -> list[str]:
    return re.findall(r"[\w.+-]+", re.sub(r"\b(?:AND|OR|WITH)\b", " ", expression))


def is_unknown(expression: str) -> bool:
    """Return whether an expression names a licence that is not in the list, so that somebody must look."""
    return not _operands(expression) or not {*_operands(expression)} <= ALLOWED


def is_allowed(expression: str) -> bool:
    """Return whether every licence that must be kept is allowed; of alternatives, one is enough."""
    alternatives = re.split(r"\bOR\b", expression) if "(" not in expression else [expression.replace(" OR ", " AND ")]
    return any(_operands(one) and {*_operands(one)} <= ALLOWED for one in alternatives)


def _pins(path: Path) -> dict[str, Requirement]:
    lines = path.read_text(encoding="utf-8").splitlines()
    pins = (Requirement(line.removesuffix(" \\")) for line in lines if re.match(r"[A-Za-z0-9][\w.-]*==", line))
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}
    pythons = ("3.11.0", "3.12.0", "3.13.0")
    return {
        canonicalize_name(pin.name): pin
        for pin in pins
        if pin.marker is None
        or any(pin.marker.evaluate({**linux, "python_full_version": one, "python_version": one[:4]}) for one in pythons)
    }


def _find_needed(requirements: Iterable[str], extra: str, found: set[str]) -> None:
    """Add the names of what is installed for `requirements`, and of what that needs in turn."""
    for requirement in map(Requirement, requirements):
        name = canonicalize_name(requirement.name)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        for inner in ("", *requirement.extras):
            if (key := f"{name}[{inner}]") not in found:
                found.add(key)
                _find_needed(distribution(name).requires or (), inner, found)


def read_rows(shipped: Path, every: Path) -> list[Row]:
    """Return a row for each package that is in the image, or that `pip install perfloop[all]` installs, by name."""
    in_image = _pins(shipped)
    pins = _pins(every) | in_image
    needed: set[str] = set()
    _find_needed(["perfloop[all]"], "", needed)
    names = {name.partition("[")[0] for name in needed} - {"perfloop"} | in_image.keys()
    rows = []
    for name in sorted(names):
        version = str(pins[name].specifier).removeprefix("==") if name in pins else _UNKNOWN
        try:
            licence = READ.get(name) or read_licence(distribution(name))
        except PackageNotFoundError:
            licence = _UNKNOWN
        rows.append(Row(name, version, licence, name in in_image))
    return rows


def render(rows: list[Row]) -> str:
    """Return the page."""
    head = (
        "# Licences of the dependencies\n\n"
        "Perfloop itself is under the Apache License 2.0. `make lock` writes this list from the packages' own\n"
        "metadata; `make check` fails on a licence that `tests/support/licenses.py` does not allow. Of the programs\n"
        "that the stack downloads or pulls, unchanged and apart, Prometheus and Alertmanager are under Apache-2.0,\n"
        "Grafana under AGPL-3.0-only, PostgreSQL under its own licence, and Redis (for the demo) under RSALv2,\n"
        "SSPLv1 or AGPLv3.\n\n"
        "| package | version | licence | in the image |\n|---|---|---|---|\n"
    )
    lines = (f"| {row.name} | {row.version} | {row.licence} | {'yes' if row.shipped else 'no'} |\n" for row in rows)
    return head + "".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Check or write the list; return 1 when a licence is not allowed, or the list is stale."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.licenses", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write docs/licenses.md")
    options = parser.parse_args(argv)
    rows = read_rows(CHECKOUT / "requirements.lock", CHECKOUT / "constraints.txt")
    refused = [row for row in rows if not is_allowed(row.licence)]
    for row in refused:
        sys.stderr.write(f"{row.name} {row.version} has the licence {row.licence}, which is not allowed\n")
    text = render(rows)
    if options.write:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/licenses.md is stale: run `make lock`\n")
        return 1
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())

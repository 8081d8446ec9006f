"""The flags about stored runs: where they are, what is kept of them and under which names, and which are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perfloop_base.errors import ConfigError
from perfloop_base.flags import flag
from perfloop_base.redaction import is_secret_name
from perfloop_base.visible import brief
from perfloop_loadgen.app.memory import Keeping
from perfloop_loadgen.store.location import NONE, chosen_url
from perfloop_loadgen.store.references import checked_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = re.compile(r"[A-Za-z_][\w.-]{0,63}", re.ASCII)
_LONGEST_VALUE = 200


def parse_label(text: str) -> tuple[str, str]:
    """Return the name and the value of `version=1.4`.

    Raises:
        ValueError: one sentence with the value and the rule.
    """
    name, equals, value = text.partition("=")
    if not (equals and value and len(value) <= _LONGEST_VALUE and _NAME.fullmatch(name)):
        raise ValueError(
            f"{brief(text)} is not a label: write NAME=VALUE, such as version=1.4, with a name of letters, digits, "
            f"'_', '.' and '-', and a value of at most {_LONGEST_VALUE} characters"
        )
    if is_secret_name(name):
        raise ValueError(f"{brief(name)} is the name of a secret: every report, page and series shows labels")
    return name, value


def labels_of(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return labels by name.

    Raises:
        ConfigError: one name has several values.
    """
    labels = dict(pairs)
    problems = [f"--label {name}: given with several values" for name in labels if labels[name] != _first(pairs, name)]
    if problems:
        raise ConfigError(problems)
    return labels


def _first(pairs: Sequence[tuple[str, str]], name: str) -> str:
    return next(value for key, value in pairs if key == name)


@dataclass(frozen=True, slots=True)
class StoreFlags:
    """Where the runs are."""

    url: str = flag(
        "--store.url",
        "",
        metavar="URL",
        help="database of the runs, as postgresql+psycopg://HOST/NAME; none stores nothing "
        "(default: PERFLOOP_LOADGEN_STORE_URL, else a file in the home directory)",
    )
    file: Path | None = flag(
        "--store.url-file", None, parse=Path, help="file with the database's URL, for one that contains a password"
    )

    def chosen(self) -> str:
        """Return the URL.

        Raises:
            ConfigError: the file cannot be read.
        """
        return chosen_url(self.url, self.file)


@dataclass(frozen=True, slots=True)
class KeepFlags:
    """What is kept of the runs of a command, and under which names."""

    labels: tuple[tuple[str, str], ...] = flag(
        "--label", (), repeat=True, parse=parse_label, metavar="NAME=VALUE", help="label of the runs (may be repeated)"
    )
    baseline: str = flag("--save-baseline", "", metavar="NAME", help="make the runs the baseline of this name")
    keep_days: float = flag(
        "--store.keep-days", 365.0, minimum=0, metavar="DAYS", help="delete stored runs that are older; 0 for never"
    )
    keep_runs: int = flag(
        "--store.keep-runs", 2000, minimum=0, metavar="N", help="delete the oldest beyond so many; 0 for never"
    )


@dataclass(frozen=True, slots=True)
class ListFlags:
    """Which runs are listed."""

    test: str | None = flag("--test", None, metavar="NAME", help="only the runs of this test")
    labels: tuple[tuple[str, str], ...] = flag(
        "--label", (), repeat=True, parse=parse_label, metavar="NAME=VALUE", help="only runs with this label"
    )


# Of commands without flags for it: what `run` keeps, they do not delete.
KEEP_ALL = KeepFlags(keep_days=0.0, keep_runs=0)


def keeping_of(store: StoreFlags, keep: KeepFlags) -> Keeping:
    """Return what a session asks of the store.

    Raises:
        ConfigError: with every flag that is wrong.
    """
    url = store.chosen()
    if keep.baseline:
        checked_name(keep.baseline)
        if url == NONE:
            raise ConfigError("--save-baseline goes with a store: --store.url is none")
    return Keeping(url, labels_of(keep.labels), keep.baseline, keep.keep_days, keep.keep_runs)

"""The bundle of a proof: one page and one JSON file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from perfloop.prove.errors import ProofError
from perfloop.prove.sides import WITH, WITHOUT
from perfloop_base.errors import ExitCode
from perfloop_base.pages import head
from perfloop_base.plots import Axes, Line, figure
from perfloop_base.quantities import quantity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfloop.prove.proof import Proof

_STYLE = "td.number, th.number { text-align: right; white-space: nowrap; }\nth, td { padding-right: .6rem; }\n"
_CHIPS = {"proved": "good", "refuted": "bad"}


class NotWrittenError(ProofError):
    """A file could not be written."""

    exit_code = ExitCode.NOT_WRITTEN


def write_bundle(proof: Proof, values: Sequence[float], directory: Path) -> tuple[Path, Path]:
    """Write the page and the JSON file, and return their paths; `values` are the metric's, one a block.

    Raises:
        NotWrittenError: A file could not be written.
    """
    name = f"proof-{proof.recommendation.id}-{datetime.fromtimestamp(proof.made_at, UTC):%Y%m%dT%H%M%SZ}"
    page, document = directory / f"{name}.html", directory / f"{name}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        page.write_text(render(proof, values), encoding="utf-8")
        document.write_bytes(orjson.dumps(proof.as_dict(), option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise NotWrittenError(f"{directory}: the proof cannot be written: {error.strerror}") from error
    return page, document


def render(proof: Proof, values: Sequence[float]) -> str:
    """Return the page: self-contained, without script; `values` are the metric's, one a block."""
    from markupsafe import Markup

    from perfloop_base.templating import load_templates  # brings Jinja: imported by the one command that needs it

    environment = load_templates(Path(__file__).with_name("templates"))
    environment.filters |= {"quantity": quantity, "share": "{:.1%}".format, "moment": _moment}
    title = f"{proof.recommendation.title}: {proof.evaluation.verdict}"
    return environment.get_template("proof.html").render(
        head=Markup(head(title, _STYLE)),  # noqa: S704 - head() escapes the title
        plot=Markup(_plot(proof, values)),  # noqa: S704 - figure() escapes every text it is given
        proof=proof,
        chip=_CHIPS.get(proof.evaluation.verdict, "fair"),
        expected=proof.recommendation.improvement,
    )


def _plot(proof: Proof, values: Sequence[float]) -> str:
    def points(side: str) -> list[tuple[float, float]]:
        blocks = zip(proof.blocks, values, strict=True)
        return [((one.start + one.end) / 2, value) for one, value in blocks if one.side == side]

    lines = [Line(f"{side} the change", points(side)) for side in (WITHOUT, WITH)]
    return figure(f"{proof.signal.label}, block by block", lines, Axes(moments=True, unit=proof.signal.unit))


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

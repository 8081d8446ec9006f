"""Forecast series with statsforecast's models, in the peer's own environment.

Usage: PEER'S-PYTHON forecasts.py ASKED.npz ANSWER.npz

ASKED.npz holds `methods`, `ahead`, `season`, `period` (of the seasonal naive forecast), `fitted` (to how many of the
newest points the other models are fitted) and the histories in order, as `arr_0`, `arr_1`, …, without gaps. ANSWER.npz
has for each method `METHOD`, shape (histories, 3, ahead): mean, lower and upper 90 % bound, NaN where the model cannot
be fitted; and `METHOD seconds`, its CPU time.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
from statsforecast.models import AutoARIMA, Holt, HoltWinters, SeasonalNaive


def _build(method: str, season: int, period: int) -> object:
    if method == "seasonal naive":
        return SeasonalNaive(season_length=period)
    if method == "Holt-Winters":
        return HoltWinters(season_length=season) if season > 1 else Holt()
    return AutoARIMA(season_length=season, approximation=True)


def _forecast(model: object, history: np.ndarray, ahead: int) -> np.ndarray:
    try:
        answer = model.forecast(y=history, h=ahead, level=[90])  # type: ignore[attr-defined]
    except Exception as error:  # noqa: BLE001 - whatever the peer cannot do: it has no forecast then
        print(f"{type(model).__name__}: {error}", file=sys.stderr)
        return np.full((3, ahead), np.nan)
    return np.stack([answer["mean"], answer["lo-90"], answer["hi-90"]])


def main(asked: str, answer: str) -> int:
    """Forecast every history with every method."""
    warnings.simplefilter("ignore")
    stored = np.load(asked)
    histories = [stored[f"arr_{number}"] for number in range(sum(name.startswith("arr_") for name in stored.files))]
    ahead, season, period, fitted = (int(stored[name]) for name in ("ahead", "season", "period", "fitted"))
    answers = {}
    for method in stored["methods"]:
        before = time.process_time()
        newest = 0 if method == "seasonal naive" else -fitted
        found = [_forecast(_build(method, season, period), history[newest:], ahead) for history in histories]
        answers[str(method)] = np.stack(found)
        answers[f"{method} seconds"] = np.array(time.process_time() - before)
    np.savez(answer, **answers)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

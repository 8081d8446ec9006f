"""The forecast of traffic: requests per second for the next hour, day and week, with bounds."""

from __future__ import annotations

from perfloop_analyzer.planning.traffic.forecasting import Forecast, forecast, forecast_all
from perfloop_analyzer.planning.traffic.past import Refusal

__all__ = ["Forecast", "Refusal", "forecast", "forecast_all"]

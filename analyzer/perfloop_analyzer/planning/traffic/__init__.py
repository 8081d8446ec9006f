"""The forecast of traffic: requests per second for the next hour, day and week, with bounds."""

from __future__ import annotations

from perfloop_analyzer.planning.traffic.forecasting import Forecast, Outlook, forecast, forecast_all, forecast_peaks
from perfloop_analyzer.planning.traffic.outlooks import Known, ServiceTraffic, TrafficWatch
from perfloop_analyzer.planning.traffic.past import Refusal
from perfloop_analyzer.planning.traffic.reading import Stretch

__all__ = [
    "Forecast",
    "Known",
    "Outlook",
    "Refusal",
    "ServiceTraffic",
    "Stretch",
    "TrafficWatch",
    "forecast",
    "forecast_all",
    "forecast_peaks",
]

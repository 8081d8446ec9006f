"""The shapes of panel that boards use: their builders share methods, but no base class."""

from __future__ import annotations

from typing import TypeVar

from grafana_foundation_sdk.builders import heatmap, stat, statetimeline, table, timeseries

AnyPanel = stat.Panel | timeseries.Panel | table.Panel | statetimeline.Panel | heatmap.Panel
PanelT = TypeVar("PanelT", stat.Panel, timeseries.Panel, table.Panel, statetimeline.Panel, heatmap.Panel)

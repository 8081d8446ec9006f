"""The data source that every panel and variable reads: the one that the board's own variable names."""

from __future__ import annotations

from grafana_foundation_sdk.models.common import DataSourceRef

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")

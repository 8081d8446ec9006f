"""Make it happen: load shapes, engines, gates, reports."""

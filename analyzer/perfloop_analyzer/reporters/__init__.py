"""What people and Prometheus read: metrics, the page, the report, the terminal."""

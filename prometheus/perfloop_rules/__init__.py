"""The generator behind `prometheus/build.py`: thresholds, SLOs and packs in; rules, alerts and their tests out."""

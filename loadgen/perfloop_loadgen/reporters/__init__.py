"""How a run is shown: live metrics, the terminal, and files."""

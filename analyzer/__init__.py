"""What is wrong and what to do: PromQL in; findings, health, forecasts and recommendations out."""

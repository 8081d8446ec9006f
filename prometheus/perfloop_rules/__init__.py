"""The generator of rules, alerts, their tests and the runbook's page, from thresholds.yml, slos.yml and the packs."""

"""What to do about each line that did not pass; a test runs every command here through its own parser."""

from __future__ import annotations

from perfloop.check.findings import Advice

START = Advice("start the stack", "perfloop up")
STATUS = Advice("see which part does not work, and why", "perfloop status")
UNDERSTAND = Advice("see what differs and correct it", "perfloop doctor")
APPLY = Advice("apply what changed in the configuration and in secrets/", "perfloop up")
NAME_ADDRESS = Advice("start the stack here, or name the address", "perfloop check --prometheus.url URL")
READ_PROMETHEUS = Advice("read why in its log", "perfloop logs prometheus")
READ_ALERTMANAGER = Advice(
    "correct the channel's file in secrets/, apply it with `perfloop up`, and read what the service said",
    "perfloop logs alertmanager",
)
ADD_CHANNEL = Advice(
    "put the file of a real channel, such as slack_api_url, into secrets/ (its README.md lists them) and apply it",
    "perfloop up",
)
SEND_TEST = Advice("send the test alerts", "perfloop check --test-alert")
ADD_TARGET = Advice("name the service's address in prometheus/targets/ and watch it come up", "perfloop status")
GET_GRAFANA = Advice(
    "install Grafana (https://grafana.com/grafana/download) and start the stack again, or name one that runs",
    "perfloop check --grafana.url URL",
)
RETAIN = Advice("set PERFLOOP_RETENTION_TIME in .env, `perfloop down`, and start again", "perfloop up")
RUN_TEST = Advice(
    "run the load test against what goes live", "perfloop loadgen run FILE --url URL --label version=VERSION"
)
ADD_THRESHOLDS = Advice(
    "give the test thresholds, such as errors < 0.1 %, and run it against what goes live",
    "perfloop loadgen run FILE --url URL --label version=VERSION",
)
LIST_RUNS = Advice("see the stored runs", "perfloop loadgen runs")
NAME_VERSION = Advice(
    "say which runs are of what goes live, by a label that they have", "perfloop check --label version=VERSION"
)
SET_BASELINE = Advice("make a good run the baseline", "perfloop loadgen baseline set main latest")
FIND_LIMIT = Advice(
    "find the highest rate that the service holds (the goal is in prometheus/scaling.yml)",
    "perfloop loadgen breakpoint FILE --url URL",
)
IMPLEMENT = Advice("implement it and mark it, or dismiss it with its reason", "perfloop analyzer recommendations")
READ_ANALYZER = Advice("read why in its log", "perfloop logs analyzer")
ANALYZE = Advice("see what the analyzer knows of the service", "perfloop analyzer once")
FIND_CAUSE = Advice("see the cause and what to do about it", "perfloop analyzer once")
SEND_LOAD = Advice(
    "let requests come, or send a light load, so that there is something to measure",
    "perfloop loadgen run FILE --url URL",
)
SCHEDULE = Advice("name a report and its schedule in prometheus/reports.yml and apply it", "perfloop up")
BACK_UP = Advice("write a backup to another disk or machine", "perfloop backup create DIRECTORY")
BACK_UP_SECRETS = Advice(
    "include them, or keep them in a store of secrets", "perfloop backup create DIRECTORY --with-secrets"
)
VERIFY_BACKUP = Advice("read it where it is now", "perfloop backup verify FILE")

"""The inbox: an SMTP server and the HTTP APIs of Slack and PagerDuty, for notifications until secrets are set."""

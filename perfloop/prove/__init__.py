"""The proof of a recommendation: the load of its incident, replayed without and with the change.

The analyzer says what was wrong and when; Prometheus says what was requested then; the load generator sends the same to
the service without and with the change, in turn; and Prometheus says what that did to every signal.
"""

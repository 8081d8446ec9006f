"""The names under which requests end: the label `outcome` of `loadgen_requests_total`, and the rows of reports."""

from __future__ import annotations

OK = "ok"
WRONG_STATUS = "wrong_status"
REDIRECT = "redirect"
CHECK_FAILED = "check_failed"
MISSING_VALUE = "missing_value"
TIMEOUT = "timeout"
CONNECT_TIMEOUT = "connect_timeout"
CONNECTION_REFUSED = "connection_refused"
CONNECTION_RESET = "connection_reset"
UNREACHABLE = "unreachable"
CONNECT_FAILED = "connect_failed"
DNS_FAILED = "dns_failed"
TLS_CERTIFICATE = "tls_certificate"
TLS_CLIENT_CERTIFICATE = "tls_client_certificate"
TLS_FAILED = "tls_failed"
HTTP2_NOT_OFFERED = "http2_not_offered"
PROXY_REFUSED = "proxy_refused"
CLOSED_BEFORE_ANSWER = "closed_before_answer"
CLOSED_MID_ANSWER = "closed_mid_answer"
NOT_HTTP = "not_http"
BAD_FRAMING = "bad_framing"
EXCESS_BYTES = "excess_bytes"
ENDLESS_HEADERS = "endless_headers"
ENDLESS_INTERIM = "endless_interim"
BODY_TOO_LARGE = "body_too_large"
BAD_ENCODING = "bad_encoding"
EMPTY_STREAM = "empty_stream"
STREAM_ERROR = "stream_error"
TRUNCATED_STREAM = "truncated_stream"
EVENT_TOO_LARGE = "event_too_large"
NO_FILE_DESCRIPTORS = "no_file_descriptors"
NO_PORTS = "no_ports"
CUT_OFF = "cut_off"
SCRIPT_ERROR = "script_error"
PATTERN_TOO_SLOW = "pattern_too_slow"

# What each name means, for reports.
MEANINGS = {
    OK: "answered as expected",
    WRONG_STATUS: "answered with a status that was not expected",
    REDIRECT: "answered with a redirect that was not followed: redirects is not `follow`, or it led on and on",
    CHECK_FAILED: "answered, and a check on the answer failed",
    MISSING_VALUE: "answered, without a value that an extract looks for",
    TIMEOUT: "no whole answer within timeout_seconds",
    CONNECT_TIMEOUT: "no connection within timeout_seconds",
    CONNECTION_REFUSED: "nothing listens on the port",
    CONNECTION_RESET: "the server reset the connection",
    UNREACHABLE: "no route to the host",
    CONNECT_FAILED: "the connection could not be made",
    DNS_FAILED: "the host's name does not resolve",
    TLS_CERTIFICATE: "the server's certificate is not valid for the host, or not trusted",
    TLS_CLIENT_CERTIFICATE: "the server did not accept the client's certificate, or asked for one and got none",
    TLS_FAILED: "the TLS handshake failed",
    HTTP2_NOT_OFFERED: "the server did not agree to HTTP/2",
    PROXY_REFUSED: "the proxy did not open a tunnel to the service",
    CLOSED_BEFORE_ANSWER: "the server closed the connection before it answered",
    CLOSED_MID_ANSWER: "the server closed the connection in the middle of its answer",
    NOT_HTTP: "the answer was not HTTP/1.1",
    BAD_FRAMING: "the answer's length was not stated as HTTP/1.1 requires",
    EXCESS_BYTES: "more bytes came than the answer's Content-Length",
    ENDLESS_HEADERS: "the headers went on beyond 64 KiB",
    ENDLESS_INTERIM: "more than 16 interim answers (1xx) came before the answer itself",
    BODY_TOO_LARGE: "the body was longer, as sent or decoded, than the max_body_bytes that checks and extracts read",
    BAD_ENCODING: "the body could not be decoded as its Content-Encoding says",
    EMPTY_STREAM: "the stream ended without a single event with content",
    STREAM_ERROR: "the server reported an error inside of its stream, after a good status",
    TRUNCATED_STREAM: "the stream ended without what ends an answer of its format, as [DONE] or message_stop",
    EVENT_TOO_LARGE: "an event of the stream went on beyond 4 MiB",
    NO_FILE_DESCRIPTORS: "the generator ran out of file descriptors",
    NO_PORTS: "the generator ran out of local ports",
    CUT_OFF: "still under way when the run had to end",
    SCRIPT_ERROR: "the scenario's own code raised",
    PATTERN_TOO_SLOW: "an extract's regex did not end in time on the answer",
}

# Outcomes that mean that the generator, not the service, was the limit.
GENERATOR_LIMITS = frozenset({NO_FILE_DESCRIPTORS, NO_PORTS})
# Outcomes after which a closed-loop user waits before it tries again: without a pause it would use all the CPU.
CONNECT_FAILURES = frozenset(
    {
        CONNECT_TIMEOUT,
        CONNECTION_REFUSED,
        UNREACHABLE,
        CONNECT_FAILED,
        DNS_FAILED,
        TLS_CERTIFICATE,
        TLS_CLIENT_CERTIFICATE,
        TLS_FAILED,
        HTTP2_NOT_OFFERED,
        PROXY_REFUSED,
        NO_FILE_DESCRIPTORS,
        NO_PORTS,
    }
)

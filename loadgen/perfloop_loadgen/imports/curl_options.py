"""The options of curl (its manual page, version 8): which take a value, and which of them say what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from perfloop_loadgen.imports.found import ImportProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# By letter, as far as they have one.
_LETTERS = """
    X=request H=header d=data F=form u=user b=cookie A=user-agent e=referer G=get I=head k=insecure
    L=location T=upload-file r=range x=proxy E=cert o=output m=max-time c=cookie-jar w=write-out K=config
    D=dump-header C=continue-at t=telnet-option U=proxy-user Y=speed-limit y=speed-time z=time-cond
    P=ftp-port Q=quote s=silent S=show-error v=verbose i=include f=fail g=globoff N=no-buffer n=netrc
    O=remote-name J=remote-header-name R=remote-time a=append B=use-ascii j=junk-session-cookies l=list-only
    M=manual p=proxytunnel q=disable Z=parallel #=progress-bar 0=http1.0 1=tlsv1 2=sslv2 3=sslv3 4=ipv4
    6=ipv6 V=version
"""
LETTERS = dict(pair.split("=") for pair in _LETTERS.split())


def _words(*lines: str) -> frozenset[str]:
    return frozenset(word for line in lines for word in line.split())


# What says something about the request.
SENT = _words(
    "request header data data-ascii data-raw data-binary data-urlencode json form form-string user cookie",
    "user-agent referer upload-file range url url-query oauth2-bearer proxy cert",
)
# What takes a value that a load test has no use for: where answers go, time limits, addresses, certificates.
TAKING_MORE = _words(
    "output max-time cookie-jar write-out config dump-header continue-at telnet-option proxy-user speed-limit",
    "speed-time time-cond ftp-port quote connect-timeout connect-to resolve cacert capath key key-type pass",
    "cert-type ciphers tls13-ciphers tls-max curves retry retry-delay retry-max-time limit-rate rate max-redirs",
    "max-filesize interface local-port dns-servers dns-interface dns-ipv4-addr dns-ipv6-addr doh-url noproxy",
    "preproxy socks4 socks4a socks5 socks5-hostname proxy-header proxy-cacert proxy-cert proxy-key output-dir",
    "stderr trace trace-ascii unix-socket abstract-unix-socket aws-sigv4 keepalive-time keepalive-cnt",
    "expect100-timeout happy-eyeballs-timeout-ms hsts alt-svc netrc-file create-file-mode parallel-max",
    "pinnedpubkey proto proto-default proto-redir crlfile egd-file random-file engine delegation service-name",
    "sasl-authzid login-options mail-from mail-rcpt variable etag-save etag-compare haproxy-clientip",
    "request-target form-escape ip-tos vlan-priority",
)
_FLAGS = _words(
    "get head insecure location location-trusted silent show-error verbose include fail fail-with-body globoff",
    "no-buffer netrc remote-name remote-header-name remote-time append use-ascii junk-session-cookies list-only",
    "manual proxytunnel disable parallel progress-bar http1.0 http1.1 http2 http2-prior-knowledge http3",
    "http3-only http0.9 tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 sslv2 sslv3 ssl ssl-reqd ssl-no-revoke",
    "ssl-revoke-best-effort ipv4 ipv6 version compressed compressed-ssh raw tr-encoding basic digest ntlm",
    "negotiate anyauth fail-early path-as-is post301 post302 post303 no-keepalive no-alpn no-npn no-sessionid",
    "tcp-nodelay tcp-fastopen remote-name-all create-dirs remove-on-error no-clobber suppress-connect-headers",
    "styled-output no-progress-meter netrc-optional crlf disallow-username-in-url cert-status retry-connrefused",
    "retry-all-errors form-escape haproxy-protocol trace-time trace-ids next parallel-immediate xattr metalink",
    "ca-native proxy-insecure no-styled-output",
)
_VALUES = SENT | TAKING_MORE
_KNOWN = _VALUES | _FLAGS


class Option(NamedTuple):
    """An option by its long name with its value; a word that is none has the name `url`."""

    name: str
    value: str = ""


def read_options(words: Sequence[str]) -> Iterator[Option]:
    """Yield the options of a command, its first word `curl` left out.

    Raises:
        ImportProblem: an option is unknown, or its value is missing.
    """
    rest = iter(words)
    only_urls = False
    for word in rest:
        if only_urls or not word.startswith("-") or word == "-":
            yield Option("url", word)
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            name, sign, given = word[2:].partition("=")
            name = _known(name)
            if name in _VALUES:
                yield Option(name, given if sign else _next(rest, word))
            else:
                yield Option(name)
        else:
            yield from _letters(word[1:], rest)


def _letters(letters: str, rest: Iterator[str]) -> Iterator[Option]:
    """Yield the options of a word such as `-sSLd`: what follows a letter that takes a value is the value."""
    for index, letter in enumerate(letters):
        name = LETTERS.get(letter)
        if name is None:
            raise ImportProblem(f"-{letter}: is no option of curl that is known here")
        if name in _VALUES:
            yield Option(name, letters[index + 1 :] or _next(rest, f"-{letter}"))
            return
        yield Option(name)


def _known(name: str) -> str:
    if name in _KNOWN:
        return name
    if name.startswith("no-") and name.removeprefix("no-") in _FLAGS:
        return name
    longer = [known for known in _KNOWN if known.startswith(name)]
    if len(longer) == 1:  # curl takes any beginning that fits one option alone
        return longer[0]
    raise ImportProblem(f"--{name}: is no option of curl that is known here")


def _next(rest: Iterator[str], option: str) -> str:
    value = next(rest, None)
    if value is None:
        raise ImportProblem(f"{option}: its value is missing")
    return value

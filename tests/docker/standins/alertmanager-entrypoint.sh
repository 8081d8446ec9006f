#!/bin/sh
# Debian's Alertmanager is older than the one of docker-compose.yml: it has no features to switch on.
for word; do
    shift
    case $word in --enable-feature=*) ;; *) set -- "$@" "$word" ;; esac
done
exec /bin/alertmanager "$@"

#!/bin/sh
# Debian's VictoriaMetrics is one program: in the place of vmstorage it also answers what vminsert and vmselect hand on.
# It has every flag of the Compose file but one, which is newer; what vmselect and vminsert are given, it is given here.
for word; do
    shift
    case $word in -inmemoryDataFlushInterval=*) ;; *) set -- "$@" "$word" ;; esac
done
exec victoria-metrics "$@" -search.latencyOffset=5s -search.cacheTimestampOffset=3h -maxLabelsPerTimeseries=60

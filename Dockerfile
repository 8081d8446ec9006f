# One image for all our programs: `python3 -m perfloop_exporter`, `perfloop_analyzer`, `perfloop_loadgen`, …
# It needs no BuildKit. Tag and digest: the same pair stands in ten public files found by an exact search for the digest
# (as python:3.13-slim, python:3.13-slim-trixie and python:3.13.15-slim-trixie), November 2026.
ARG PERFLOOP_PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PERFLOOP_PYTHON_IMAGE} AS libraries
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /build/
# Wheels only: nothing that was downloaded runs while the image is made. pip itself is not needed afterwards.
RUN python3 -m venv /opt/perfloop \
    && /opt/perfloop/bin/pip install --require-hashes --only-binary=:all: -r /build/requirements.lock

FROM libraries AS program
COPY perfloop /build/perfloop
COPY base/perfloop_base /build/perfloop_base
COPY exporter/perfloop_exporter /build/perfloop_exporter
COPY analyzer/perfloop_analyzer /build/perfloop_analyzer
COPY loadgen/perfloop_loadgen /build/perfloop_loadgen
COPY prometheus/perfloop_rules /build/perfloop_rules
COPY grafana/perfloop_boards /build/perfloop_boards
COPY alertmanager/perfloop_inbox /build/perfloop_inbox
COPY demo/perfloop_demo /build/perfloop_demo
# The defaults of a program that is given no file.
COPY prometheus/thresholds.yml prometheus/slos.yml /build/perfloop_base/data/prometheus/
# The packages are laid where pip would lay them: no build tool, so none to download and trust.
RUN site=$(/opt/perfloop/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))') \
    && cp -R /build/perfloop* "$site" \
    && /opt/perfloop/bin/python3 -m compileall -q "$site"/perfloop* \
    && /opt/perfloop/bin/pip uninstall --yes --quiet pip \
    && rm -rf "$site"/setuptools* "$site"/pkg_resources "$site"/_distutils_hack "$site"/distutils-precedence.pth \
    && find "$site" -type d -name tests -prune -exec rm -rf {} +

FROM ${PERFLOOP_PYTHON_IMAGE}
LABEL org.opencontainers.image.title="perfloop" \
      org.opencontainers.image.description="Export, alert, load-test, analyze, recommend, validate." \
      org.opencontainers.image.licenses="Apache-2.0"
# The question of a health check is bash and no interpreter: docker-compose.yml says when it is asked. Within a time limit,
# since a connection to a program that hangs may not even be made.
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin perfloop \
    && install -d -o perfloop -g perfloop /data \
    && printf '%s\n' '#!/bin/bash' '# healthy PORT [PATH [SECONDS]]: does it answer 200 within that time?' \
         'if [ -z "$IS_BOUNDED" ]; then IS_BOUNDED=1 exec timeout "${3:-4}" "$0" "$@"; fi' \
         'exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1' \
         'printf "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n" "${2:-/-/ready}" >&3' \
         'read -r _ code _ <&3 && [ "$code" = 200 ]' >/usr/local/bin/healthy \
    && chmod 0755 /usr/local/bin/healthy
COPY --from=program /opt/perfloop /opt/perfloop
COPY demo/*.yml /app/
# numpy would start a thread for each processor of the host, and a container has the time of one and a limit of processes.
ENV PATH=/opt/perfloop/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1
WORKDIR /app
USER 10001:10001
CMD ["python3", "-m", "perfloop_exporter", "--web.listen-address=0.0.0.0:19100"]

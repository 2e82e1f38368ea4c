# syntax=docker/dockerfile:1
# The daemon in a container: everything pinned by hash, no build tools in the result, no root at run time.
#
#   docker build --tag alchemiser .
#
# BASE is any image with Python 3.11, its venv and libstdc++ in it; `.ci/container` builds on one that it makes itself, without a registry.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS builder
# Where pip looks, when that is not where it looks by itself. They are known while this stage is built, and in no layer of the result.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1
WORKDIR /build

# The dependencies change less often than the code: they are a layer of their own.
COPY requirements.lock requirements-build.lock requirements-sbom.lock ./
RUN python3.11 -m venv /opt/alchemiser && /opt/alchemiser/bin/pip install --require-hashes -r requirements.lock
RUN python3.11 -m venv /opt/builder && /opt/builder/bin/pip install --require-hashes -r requirements-build.lock -r requirements-sbom.lock

COPY pyproject.toml README.md LICENSE ./
COPY alchemiser ./alchemiser
RUN /opt/builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheels .
RUN /opt/alchemiser/bin/pip install --no-deps --no-index /opt/wheels/*.whl
# The installer leaves, for nothing is installed into a finished image; then what is left is listed.
RUN /opt/alchemiser/bin/pip uninstall --quiet --yes setuptools pip
RUN /opt/builder/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible \
    --output-file /opt/alchemiser/sbom.cdx.json /opt/alchemiser/bin/python3.11
# Root is read-only later: the bytecode is made now, and not compared with the age of its source. A base that lacks a library shows here.
RUN /opt/alchemiser/bin/python3.11 -m compileall -q --invalidation-mode unchecked-hash /opt/alchemiser/lib \
    && /opt/alchemiser/bin/python3.11 -c "import alchemiser.service.start, alchemiser.service.embedded" \
    && /opt/alchemiser/bin/alchemiser --version

FROM ${BASE}
ARG VERSION=unreleased
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="The Alchemiser" \
    org.opencontainers.image.description="An event-driven daemon that trades one Alpaca account with many strategies." \
    org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}" \
    org.opencontainers.image.created="${CREATED}"
RUN groupadd --system --gid 10001 alchemiser \
    && useradd --system --uid 10001 --gid alchemiser --no-create-home --home-dir /var/lib/alchemiser alchemiser \
    && install --directory --owner=alchemiser --group=alchemiser --mode=0700 /var/lib/alchemiser
COPY --from=builder /opt/alchemiser /opt/alchemiser
ENV PATH=/opt/alchemiser/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ALCHEMISER_SERVICE__STATE=/var/lib/alchemiser
VOLUME /var/lib/alchemiser
WORKDIR /var/lib/alchemiser
USER 10001:10001
EXPOSE 8080
# SIGTERM reaches the daemon itself, which cancels what is open and writes its state down; docker stop --time 30 gives it the time.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["alchemiser", "health"]
ENTRYPOINT ["alchemiser"]
CMD ["run"]

# syntax=docker/dockerfile:1
# The daemon in a container: everything pinned by hash, no build tools in the result, no root at run time.

FROM python:3.11-slim-bookworm AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build

# The dependencies change less often than the code: they are a layer of their own.
COPY requirements.lock requirements-build.lock ./
RUN python3.11 -m venv /opt/alchemiser && /opt/alchemiser/bin/pip install --require-hashes -r requirements.lock
RUN python3.11 -m venv /opt/builder && /opt/builder/bin/pip install --require-hashes -r requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY alchemiser ./alchemiser
RUN /opt/builder/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheels .
RUN /opt/alchemiser/bin/pip install --no-deps --no-index /opt/wheels/*.whl
RUN /opt/alchemiser/bin/python -m compileall -q /opt/alchemiser/lib && /opt/alchemiser/bin/alchemiser --version

FROM python:3.11-slim-bookworm
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
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["alchemiser", "health"]
ENTRYPOINT ["alchemiser"]
CMD ["run"]

# One region's replica. Build: docker build -t proxima .
#
#   docker run --read-only -v proxima:/var/lib/proxima -p 5001:5001 proxima \
#       replica --primary https://registry.example.com --listen 0.0.0.0:5001
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
# What changes seldom comes first, so that a change of the code alone builds from the cache.
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python -m venv /build \
    && /build/bin/python -m pip install --require-hashes -r requirements/build.txt \
    && python -m venv --without-pip /opt/proxima \
    && python -m pip --python /opt/proxima install --require-hashes -r requirements/runtime.txt
COPY . .
RUN /build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/proxima install --no-deps /wheels/*.whl \
    && python -m compileall -q /opt/proxima/lib

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="proxima" \
      org.opencontainers.image.description="Nearest-region pull proxy for OCI registries" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/proxima /opt/proxima
# A new volume takes its owner from the folder it covers.
RUN install -d -o 10001 -g 10001 -m 0750 /var/lib/proxima
ENV PATH=/opt/proxima/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that a cluster can see that it isn't root without looking into the image.
USER 10001:10001
WORKDIR /var/lib/proxima
VOLUME /var/lib/proxima
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
    CMD ["/opt/proxima/bin/python", "-I", "-S", "-c", "from http.client import HTTPConnection as C; c = C('127.0.0.1', 9100, timeout=4); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["proxima"]
CMD ["replica"]

# The server for a PostgreSQL of your own: pass CARELOOP_DATABASE_URL and CARELOOP_BASE_URL. Without a database it runs
# its own one under /data, which should then be a volume.

FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.txt .
RUN python -m venv /opt/careloop \
 && /opt/careloop/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml LICENSE* ./
COPY app app
COPY alembic alembic
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist . \
 && /opt/careloop/bin/pip install --no-cache-dir --no-deps /dist/*.whl \
 && rm -rf /opt/careloop/lib/python3*/site-packages/pip*

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data careloop \
 && install -d -o careloop -m 711 /data
COPY --from=build /opt/careloop /opt/careloop
USER careloop
# Inside a container only what is published can be reached; who may reach that is up to the network.
ENV PATH=/opt/careloop/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    CARELOOP_DATA_DIR=/data \
    CARELOOP_HOST=0.0.0.0 \
    CARELOOP_INSECURE_BIND=yes
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["careloop"]
CMD ["serve"]

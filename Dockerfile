# The chat page and the client library, as browsers get them.
FROM node:22-slim AS page
WORKDIR /source
COPY frontend_shim/package.json frontend_shim/package-lock.json frontend_shim/.npmrc ./
RUN npm ci
COPY frontend_shim .
RUN npm run page && npm run build

# The wheel and everything it needs, built where the tools are and copied to where they are not.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source
COPY requirements requirements
RUN pip install --require-hashes -r requirements/build.lock \
    && python -m venv --without-pip /opt/chatserver \
    && pip --python /opt/chatserver/bin/python install --require-hashes -r requirements/runtime.lock
COPY . .
COPY --from=page /source/page/dist frontend_shim/page/dist
COPY --from=page /source/dist frontend_shim/dist
RUN hatchling build -t wheel -d /wheel \
    && pip --python /opt/chatserver/bin/python install --no-index --no-deps /wheel/*.whl

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin chatserver \
    && install -d -o chatserver -g chatserver -m 700 /data
COPY --from=build /opt/chatserver /opt/chatserver
# A container is reached from outside or not at all. Who may reach it is decided where its port is published;
# without API keys everyone who can may use the models, which the second line says in so many words.
ENV CHATSERVER_SERVER__HOST=0.0.0.0 \
    CHATSERVER_SERVER__ALLOW_OPEN_ON_ANY_ADDRESS=true \
    CHATSERVER_DATA_DIR=/data \
    PATH=/opt/chatserver/bin:$PATH \
    PYTHONUNBUFFERED=1
USER chatserver
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('CHATSERVER_SERVER__PORT', '8000') + '/health/ready', timeout=4)"]
# Told to stop, it is gone within 30 s (server.grace_s): `docker stop --time 40` leaves it those.
ENTRYPOINT ["chatserver"]
CMD ["serve"]

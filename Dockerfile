# The server, without torch. Build: docker build -t lossguard .   Run: see README.md.

FROM node:22-slim AS page
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY web ./
# vite.config.ts writes to ../server/lossguard_server/static
RUN npm run build

FROM python:3.13-slim AS wheel
WORKDIR /src
RUN pip install --no-cache-dir build
COPY pyproject.toml hatch_build.py README.md CHANGELOG.md LICENSE constraints.txt ./
COPY trainer ./trainer
COPY server ./server
COPY --from=page /src/server/lossguard_server/static ./server/lossguard_server/static
RUN python -m build --wheel

FROM python:3.13-slim
RUN useradd --system --create-home --uid 10001 lossguard && install -d -o lossguard -m 0700 /data
COPY --from=wheel /src/dist/*.whl /src/constraints.txt /tmp/
RUN pip install --no-cache-dir -c /tmp/constraints.txt "$(ls /tmp/lossguard-*.whl)[server]" && rm /tmp/*.whl /tmp/constraints.txt
USER lossguard
VOLUME /data
EXPOSE 5677
HEALTHCHECK --interval=30s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5677/healthz', timeout=4)"]
# inside a container, loopback would be unreachable; publish the port on the host's loopback: -p 127.0.0.1:5677:5677
CMD ["lossguard", "serve", "--host", "0.0.0.0", "--data", "/data", "--no-browser"]

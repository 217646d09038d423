# The services of `examples/fastapi` as an image, from the project's folder and a wheel of the package (`cargo xtask wheel`):
#
#     docker build -f deploy/docker/example.Dockerfile --build-context wheels=target/wheels/release -t airlane-example .

FROM docker.io/library/node:24-trixie-slim AS page
WORKDIR /page
COPY examples/browser/package.json examples/browser/package-lock.json ./
RUN npm ci --ignore-scripts

FROM docker.io/library/python:3.13-slim-trixie
WORKDIR /app/fastapi
COPY examples/fastapi/requirements.txt ./
RUN --mount=type=bind,from=wheels,target=/wheels \
    pip install --no-cache-dir --no-compile --requirement requirements.txt /wheels/*.whl
COPY examples/fastapi/*.py ./
COPY examples/browser /app/browser
COPY --from=page /page/node_modules /app/browser/node_modules
ENV PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=6s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/openapi.json', timeout=5)"]
ENTRYPOINT ["uvicorn", "--host", "0.0.0.0", "--port", "8000"]
CMD ["uploads:app"]

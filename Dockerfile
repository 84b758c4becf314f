# syntax=docker/dockerfile:1
# The operator's image: locked dependencies with hashes, no compiler, no shell script, no root.
# The root file system may be read-only: nothing is written outside of mounted volumes.
ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv /tools \
 && /tools/bin/pip install --require-hashes --no-deps --only-binary :all: -r requirements/build.txt \
 && python -m venv --without-pip /opt/secureai \
 && /tools/bin/pip --python /opt/secureai/bin/python install \
      --require-hashes --no-deps --only-binary :all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
COPY crds crds
COPY manifests manifests
RUN /tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
 && /tools/bin/pip --python /opt/secureai/bin/python install --no-deps dist/*.whl \
 && /opt/secureai/bin/python -m compileall -q /opt/secureai/lib

FROM ${PYTHON}
LABEL org.opencontainers.image.title="secureai-operator" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/secureai/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=build /opt/secureai /opt/secureai
# A number, for Kubernetes' runAsNonRoot cannot look a name up.
USER 65532:65532
EXPOSE 8080 9443
ENTRYPOINT ["secureai"]
CMD ["run", "--config", "/etc/secureai/config.yaml"]

# Nothing is fetched when the image runs: weights and templates lie in its packages.
ARG BASE=debian:bookworm-slim
FROM ${BASE}

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libgomp1 python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

# Index that serves PyTorch alone, such as that of its CPU builds; empty: the index that pip uses anyway.
ARG TORCH_INDEX=
ENV PATH=/opt/synthprep/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    SYNTHPREP_CONTAINER=docker

# Dependencies first, with a hollow package, so that a change of the source does not install them again. Settings of
# pip that a build needs enter as secrets, so that nothing of them stays in the image.
WORKDIR /opt/src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bidsapp/__init__.py bidsapp/__init__.py
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.crt,required=false \
    python3 -m venv /opt/synthprep \
 && if [ -n "$TORCH_INDEX" ]; then \
      pip install --no-cache-dir --index-url "$TORCH_INDEX" --constraint constraints.txt torch; fi \
 && pip install --no-cache-dir --constraint constraints.txt '.[dicom]'

COPY bidsapp bidsapp
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.crt,required=false \
    pip install --no-cache-dir --no-deps --force-reinstall . \
 && useradd --create-home synthprep

ARG REVISION=unknown
LABEL org.opencontainers.image.title="SynthPrep" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"

USER synthprep
WORKDIR /tmp
ENTRYPOINT ["synthprep"]

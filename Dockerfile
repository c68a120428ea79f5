# SynthPrep with all that it needs when it runs: nothing is fetched then. docs/containers.md says how it is used.
# Published images name the base by its digest (.github/workflows/container.yml).
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
# Versions in the distribution's archive go as new ones come; the base decides. (So, too, below.)
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*

# One environment that installs, and the one that is installed and copied, which needs no pip.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/synthprep
ENV INSTALL="/opt/pip/bin/pip --python /opt/synthprep/bin/python install --constraint constraints.txt"

# The index of PyTorch, which has builds for processors alone and for several versions of CUDA. Empty: the index that
# pip uses anyway, whose builds are for CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

# Dependencies first, with a hollow package, so that a change of the source does not install them again. Settings of
# pip that a build needs enter as secrets, so that nothing of them stays in the image.
WORKDIR /opt/src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bidsapp/__init__.py bidsapp/__init__.py
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.crt,required=false \
    --mount=type=cache,target=/root/.cache/pip \
    if [ -n "$TORCH_INDEX" ]; then $INSTALL --index-url "$TORCH_INDEX" torch; fi \
 && $INSTALL '.[dicom]'

# Templates that --output-spaces finds without a network, such as "MNI152NLin2009cAsym"; one is in the package already.
ARG TEMPLATES=
ENV TEMPLATEFLOW_HOME=/opt/templateflow
RUN mkdir -p "$TEMPLATEFLOW_HOME" \
 && for name in $TEMPLATES; do for resolution in 1 2; do \
      /opt/synthprep/bin/templateflow get "$name" --res "$resolution" --suffix T1w \
   && /opt/synthprep/bin/templateflow get "$name" --res "$resolution" --suffix mask --desc brain \
   || exit 1; done; done

COPY bidsapp bidsapp
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf,required=false \
    --mount=type=secret,id=ca_bundle,target=/run/ca_bundle.crt,required=false \
    --mount=type=cache,target=/root/.cache/pip \
    $INSTALL --no-deps --force-reinstall . \
 && /opt/synthprep/bin/python -c "import bidsapp; print(bidsapp.__version__)" > /version


FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends libgomp1 python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent synthprep

COPY --from=build /opt/synthprep /opt/synthprep
COPY --from=build /opt/templateflow /opt/templateflow
COPY --from=build /version /version

# Byte code is there already, and there may be no place for more. No library may ask a server for news.
ENV PATH=/opt/synthprep/bin:$PATH \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    NO_ET=1 \
    TEMPLATEFLOW_HOME=/opt/templateflow \
    TEMPLATEFLOW_AUTOUPDATE=off \
    SYNTHPREP_CONTAINER=docker

ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="SynthPrep" \
      org.opencontainers.image.description="A BIDS-App that gives a dataset the MRI contrast that some of its visits lack" \
      org.opencontainers.image.source="https://github.com/synthprep/synthprep" \
      org.opencontainers.image.documentation="https://github.com/synthprep/synthprep/blob/main/docs/containers.md" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${BASE}"

# Any other user will do as well, one without an entry in /etc/passwd and without a home included.
USER 10001:10001
WORKDIR /tmp
ENTRYPOINT ["synthprep"]
CMD ["--help"]

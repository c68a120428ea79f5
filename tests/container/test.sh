#!/usr/bin/env bash
# Builds the image and runs it as a stranger would: no network, a read-only root, a user whom the system does not know,
# no home, no privilege. Then runs the same image with Apptainer. `make container-test`.
#
# environment, all optional:
#   WORK      folder of engine, logs and data, kept for the next time (default: synthprep-container in the temporary folder)
#   IMAGE     name of the image (default: synthprep:test)
#   BASE, TORCH_INDEX  arguments of the build (default: those of the Dockerfile)
#   PYTHON    a Python with the project's test tools (default: .venv/bin/python)
#   KEEP      1: the run's folder is not removed at the end
#   REQUIRED  1: a tool that is absent is a failure (default: what needs it is skipped, with the reason)
#   FORMAT    of the Apptainer image: sif, or sandbox, which is made faster (default: sif)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

WORK=${WORK:-${TMPDIR:-/tmp}/synthprep-container}
IMAGE=${IMAGE:-synthprep:test}
PYTHON=$(realpath --no-symlinks "${PYTHON:-.venv/bin/python}")
FORMAT=${FORMAT:-sif}
STRANGER=12345
PASSED=0
AT_END=()

say() { echo "[$SECONDS s] $*"; }
ok() { PASSED=$((PASSED + 1)) && say "ok: $*"; }
bad() {
  KEEP=1 # what the run left may tell why
  say "FAILED: $*"
  exit 1
}
skip() {
  [ "${REQUIRED:-0}" = 1 ] && bad "$*"
  say "skipped: $*"
  summary
  exit 0
}
summary() { echo "$PASSED passed, 0 failed"; }
at_end() { AT_END=("$1" "${AT_END[@]}"); }
finish() {
  local command
  for command in "${AT_END[@]}"; do "$command" || true; done
}
trap finish EXIT

# shellcheck source=tests/container/engine.sh
source tests/container/engine.sh
# shellcheck source=tests/container/docker.sh
source tests/container/docker.sh
# shellcheck source=tests/container/apptainer.sh
source tests/container/apptainer.sh

mkdir -p "$WORK"
find_engine
build_image
make_run_folder
check_image
run_demo
check_results "$RUN/out"
run_apptainer
summary

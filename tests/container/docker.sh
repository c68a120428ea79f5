# shellcheck shell=bash
# What the image holds, and what it does for a stranger. Sourced by test.sh.

LIMIT_BYTES=2500000000 # of the processor-only image, unpacked

# Run the image without anything that it can do without; $1 is the program, so that HOME can be taken away.
stranger() {
  "$DOCKER" run --rm --network none --read-only --user "$STRANGER:$STRANGER" --tmpfs /tmp --cap-drop ALL \
    --security-opt no-new-privileges "${MOUNTS[@]}" --entrypoint env "$IMAGE" -u HOME "$@"
}

label() { "$DOCKER" image inspect "$IMAGE" --format "{{index .Config.Labels \"org.opencontainers.image.$1\"}}"; }

check_image() {
  local bytes version absent started
  MOUNTS=()
  bytes=$("$DOCKER" image inspect "$IMAGE" --format '{{.Size}}')
  [ "$bytes" -lt "$LIMIT_BYTES" ] || bad "the image has $bytes bytes, more than $LIMIT_BYTES"
  ok "size $bytes bytes"
  started=$(date +%s%N)
  version=$("$DOCKER" run --rm --network none "$IMAGE" --version)
  say "starts and says its version in $((($(date +%s%N) - started) / 1000000)) ms"
  [ "$version" = "synthprep $(stranger cat /version)" ] || bad "/version is not that of: $version"
  [ "$(label version)" = "$(stranger cat /version)" ] || bad "the label says version $(label version)"
  [ "$(label licenses)" = Apache-2.0 ] || bad "the label says licence $(label licenses)"
  [ -n "$(label revision)" ] && [ -n "$(label source)" ] || bad "no label for revision or source"
  ok "/version and labels"
  [[ "$("$DOCKER" run --rm --network none "$IMAGE")" = "usage: synthprep"* ]] || bad "without arguments it does not help"
  [ "$("$DOCKER" run --rm --network none --entrypoint id "$IMAGE" -u)" != 0 ] || bad "the default user is root"
  ok "default user"
  # What could build, fetch, or tell of the machine on which it was built.
  # shellcheck disable=SC2016 # expanded there
  absent='for name in cc gcc g++ clang make ld pip git curl wget; do if command -v $name; then exit 1; fi; done
    for file in /etc/pip.conf /run/ca_bundle.crt /root/.cache /root/.config; do
      if [ -e $file ]; then echo $file && exit 1; fi
    done'
  "$DOCKER" run --rm --network none --user 0 --entrypoint sh "$IMAGE" -c "$absent" || bad "that should not be in the image"
  ok "no compiler, no pip, no settings of the build"
  check_versions
}

# Every package has the version that constraints.txt says.
check_versions() {
  stranger python -c 'from importlib.metadata import distributions
for found in distributions():
    print(found.name, found.version.partition("+")[0])' >"$RUN/installed.txt"
  "$PYTHON" - "$RUN/installed.txt" <<'PYTHON' || bad "these are not the versions of constraints.txt"
import re, sys
from pathlib import Path

def normal(name):
    return re.sub("[-_.]+", "-", name).lower()

lines = [line.split("==") for line in Path("constraints.txt").read_text().splitlines() if "==" in line]
pinned = {normal(name): version for name, version in lines}
found = [line.split() for line in Path(sys.argv[1]).read_text().splitlines() if not line.startswith("synthprep ")]
wrong = [f"{name} {version}, pinned: {pinned.get(normal(name))}" for name, version in found if pinned.get(normal(name)) != version]
print(*wrong, f"{len(found)} packages", sep="\n")
sys.exit(bool(wrong or len(found) < 50))
PYTHON
  ok "versions are those of constraints.txt"
}

make_run_folder() {
  RUN=$(mktemp -d "$WORK/run.XXXXXX")
  mkdir "$RUN/demo" "$RUN/out" "$RUN/sif"
  chmod 755 "$RUN" && chmod 777 "$RUN"/*
  at_end clean_run
}

timed() {
  local what=$1 started=$SECONDS
  shift
  "$@" >"$RUN/$what.log" 2>&1 || { tail -20 "$RUN/$what.log" && bad "$what; all of it: $RUN/$what.log"; }
  ok "$what in $((SECONDS - started)) s"
}

# The demo, small and coarse: three participants, both levels.
run_demo() {
  MOUNTS=(--volume "$RUN/demo:/demo")
  timed phantom stranger synthprep-phantom /demo/bids --participants 3 --resolution 2
  MOUNTS=(--volume "$RUN/demo/bids:/data:ro" --volume "$RUN/out:/out")
  timed participant stranger synthprep /data /out participant --sloppy
  timed group stranger synthprep /data /out group --sloppy --max-steps 20
}

# Files belong to a user who is nobody here, so that only a container, or root, can remove them.
clean_run() {
  if [ "${KEEP:-0}" = 1 ]; then return; fi
  "$DOCKER" run --rm --network none --user "$STRANGER:$STRANGER" --volume "$RUN:/run-folder" --entrypoint sh "$IMAGE" \
    -c 'rm -rf /run-folder/*/* 2>/dev/null'
  rm -rf "$RUN" 2>/dev/null || sudo -n rm -rf "$RUN"
}

# $1: an output folder; $2, $3: user and group whose the files should be.
check_results() {
  local out=$1 owner=${2:-$STRANGER} group=${3:-$STRANGER} visits others validator
  visits=$(find "$out" -name '*_desc-synth_FLAIR.nii.gz' | wc -l)
  [ "$visits" = 4 ] || bad "$visits of 4 visits have a synthesized FLAIR"
  [ -s "$out/group.html" ] || bad "there is no report"
  ok "4 visits have a synthesized FLAIR"
  others=$(find "$out" -mindepth 1 ! \( -uid "$owner" -gid "$group" \) | head -3)
  [ -z "$others" ] || bad "these do not belong to the caller: $others"
  ok "all $(find "$out" -type f | wc -l) files belong to the caller"
  validator=$(dirname "$PYTHON")/bids-validator-deno
  if [ -x "$validator" ]; then
    "$validator" "$out" >"$RUN/validator.log" 2>&1 || { cat "$RUN/validator.log" && bad "the BIDS validator"; }
    ok "the BIDS validator finds no error"
  else
    say "skipped: the validator, for $validator is absent"
  fi
}

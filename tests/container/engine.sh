# shellcheck shell=bash
# A Docker engine: the one that answers, or else one of our own for as long as the test lasts. Sourced by test.sh.
#
# Our own asks nothing of the machine's network: no bridge, no firewall rule, no registry. Its base image is Debian's
# own archive, put together by mmdebstrap. It wants root, and Debian's packages docker.io and mmdebstrap.

DISK_GB=12 # of the engine's folder, at the peak

find_engine() {
  DOCKER=$(buildkit_client) || skip "there is no Docker client that can build (apt-get install docker.io)"
  BUILD_OPTIONS=()
  if "$DOCKER" version >/dev/null 2>&1; then
    say "engine $("$DOCKER" version --format '{{.Server.Version}}'), the machine's"
    return
  fi
  [ "$(id -u)" = 0 ] || skip "no Docker engine answers, and only root can start one"
  for tool in dockerd mmdebstrap; do
    command -v "$tool" >/dev/null || skip "no Docker engine answers, and $tool is absent (apt-get install docker.io mmdebstrap)"
  done
  [ "$(df --output=avail --block-size=1G "$WORK" | tail -1)" -ge "$DISK_GB" ] || skip "$WORK: less than $DISK_GB GB are free"
  start_engine
  make_base
  BUILD_OPTIONS=(--network host)
}

# Print a client with BuildKit: since 23 it is a plugin, which may be missing; before, it was built in.
buildkit_client() {
  local client
  while read -r client; do
    if "$client" buildx version >/dev/null 2>&1 || [[ "$("$client" --version)" =~ version\ (19|20)\. ]]; then
      echo "$client"
      return
    fi
  done < <(type -ap docker)
  return 1
}

start_engine() {
  export DOCKER_HOST=unix://$WORK/docker.sock
  # In a mount namespace of its own, so that nothing of it is left when it ends.
  unshare --mount --propagation private dockerd --host "$DOCKER_HOST" --data-root "$WORK/engine" --exec-root "$WORK/exec" \
    --pidfile "$WORK/docker.pid" --storage-driver overlay2 --bridge=none --iptables=false --ip6tables=false \
    --ip-forward=false --ip-masq=false >"$WORK/engine.log" 2>&1 &
  ENGINE=$!
  at_end stop_engine
  for _ in $(seq 120); do
    "$DOCKER" version >/dev/null 2>&1 && break
    kill -0 "$ENGINE" 2>/dev/null || bad "the engine ended: $(tail -3 "$WORK/engine.log")"
    sleep 0.5
  done
  say "engine $("$DOCKER" version --format '{{.Server.Version}}'), our own"
}

stop_engine() {
  [ -s "$WORK/docker.pid" ] && kill "$(cat "$WORK/docker.pid")" 2>/dev/null
  wait "$ENGINE" 2>/dev/null
  return 0
}

# Stand-in for the official image, which is made of the same packages.
make_base() {
  BASE=debian:bookworm-slim
  "$DOCKER" image inspect "$BASE" >/dev/null 2>&1 && return
  mmdebstrap --quiet --variant=minbase --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    bookworm - | "$DOCKER" import --change 'CMD ["bash"]' \
      --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$BASE" >/dev/null
  say "base image $BASE"
}

# Print what pip is told on this machine, as far as a build can use it; it enters as a secret, the folder by loopback.
pip_settings() {
  local told key value words
  told=$("$PYTHON" -m pip config list 2>/dev/null)
  printf '[global]\ntimeout = 180\n'
  if [ -f "$CA_BUNDLE" ]; then echo "cert = /run/ca_bundle.crt"; fi
  if [ -n "$WHEELS" ]; then echo "find-links = http://127.0.0.1:$WHEELS_PORT/"; fi
  for key in index-url extra-index-url; do
    value=$(sed -n "s/^[^=]*\.$key='\(.*\)'\$/\1/p" <<<"$told" | head -1)
    words=$(tr ' ' '\n' <<<"$value" | sed -n '/^http/p' | tr '\n' ' ') # not the folders of this machine
    if [ -n "$words" ]; then echo "$key = $words"; fi
  done
}

stop_wheels() { kill "$WHEELS_SERVER"; }

build_image() {
  CA_BUNDLE=${PIP_CERT:-${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}
  WHEELS=$("$PYTHON" -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.find-links='\(.*\)'\$/\1/p" | head -1)
  local arguments=() settings started=$SECONDS
  if [ -d "$WHEELS" ] && [ ${#BUILD_OPTIONS[@]} -gt 0 ]; then
    WHEELS_PORT=$("$PYTHON" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
    "$PYTHON" -m http.server "$WHEELS_PORT" --bind 127.0.0.1 --directory "$WHEELS" >/dev/null 2>&1 &
    WHEELS_SERVER=$!
    at_end stop_wheels
    : "${TORCH_INDEX=}" # it is among these
  else
    WHEELS=
  fi
  if [ -n "${BASE:-}" ]; then arguments+=(--build-arg "BASE=$BASE"); fi
  if [ -n "${TORCH_INDEX+given}" ]; then arguments+=(--build-arg "TORCH_INDEX=$TORCH_INDEX"); fi
  settings=$(mktemp)
  pip_settings >"$settings"
  arguments+=(--secret "id=pip_conf,src=$settings")
  if [ -f "$CA_BUNDLE" ]; then arguments+=(--secret "id=ca_bundle,src=$CA_BUNDLE"); fi
  if ! DOCKER_BUILDKIT=1 "$DOCKER" build --progress plain "${BUILD_OPTIONS[@]}" "${arguments[@]}" \
    --build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' bidsapp/__init__.py)" \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" \
    --tag "$IMAGE" . >"$WORK/build.log" 2>&1; then
    rm -f "$settings"
    tail -40 "$WORK/build.log"
    bad "the build; all of it: $WORK/build.log"
  fi
  rm -f "$settings"
  ok "built in $((SECONDS - started)) s"
}

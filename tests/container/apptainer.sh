# shellcheck shell=bash
# The same image under Apptainer, as clusters run it. Sourced by test.sh.
#
# Debian 12 has no Apptainer. Where there is none, root makes a small Debian 13 that has the one of Debian's unstable
# distribution, which moves: where that fails, this part is skipped, with the reason.

run_apptainer() {
  local archive=$WORK/image.tar sif=$WORK/synthprep.$FORMAT started=$SECONDS
  if ! find_apptainer; then
    say "skipped: the run with Apptainer"
    if [ "${REQUIRED:-0}" = 1 ]; then bad "Apptainer is absent"; fi
    return
  fi
  at_end clean_apptainer
  clean_apptainer
  "$DOCKER" save "$IMAGE" --output "$archive" && chmod 644 "$archive"
  local options=(--mksquashfs-args "-comp zstd -Xcompression-level 1")
  if [ "$FORMAT" = sandbox ]; then options=(--sandbox); fi
  APPTAINER_TMPDIR=$WORK APPTAINER_CACHEDIR=$WORK/apptainer-cache "${AS_ROOT[@]}" "$APPTAINER" build "${options[@]}" \
    "$sif" "docker-archive:$archive" >"$RUN/apptainer-build.log" 2>&1 ||
    { tail -20 "$RUN/apptainer-build.log" && bad "apptainer build; all of it: $RUN/apptainer-build.log"; }
  rm -f "$archive"
  ok "apptainer image, $(du -sb "$sif" | cut -f1) bytes, in $((SECONDS - started)) s"
  local given=(run --containall --no-home --bind "$RUN/demo/bids:/data:ro" --bind "$RUN/sif:/out" "$sif" /data /out)
  timed apptainer-participant "${AS_USER[@]}" "$APPTAINER" "${given[@]}" participant --sloppy
  timed apptainer-group "${AS_USER[@]}" "$APPTAINER" "${given[@]}" group --sloppy --max-steps 20
  check_results "$RUN/sif" "${OWNER[@]}"
  grep -q '"Type": "apptainer"' "$RUN/sif/dataset_description.json" || bad "the dataset does not say what ran it"
  ok "the dataset says that Apptainer ran it"
}

clean_apptainer() { rm -rf "$WORK/image.tar" "$WORK/synthprep.$FORMAT"; }

find_apptainer() {
  OWNER=("$(id -u)" "$(id -g)")
  AS_ROOT=() AS_USER=()
  if APPTAINER=$(command -v apptainer); then return; fi
  if [ "$(id -u)" != 0 ] || ! command -v mmdebstrap >/dev/null; then
    say "apptainer is absent, and to get it takes root and mmdebstrap"
    return 1
  fi
  APPTAINER_ROOT=$WORK/debian-with-apptainer
  OWNER=("$STRANGER" "$STRANGER")
  [ -x "$APPTAINER_ROOT/usr/bin/apptainer" ] || make_apptainer_root || return 1
  APPTAINER=apptainer
  AS_ROOT=(inside 0) AS_USER=(inside "$STRANGER")
  say "$("${AS_ROOT[@]}" apptainer --version), from Debian unstable"
}

make_apptainer_root() {
  local root=$APPTAINER_ROOT.part sources archive
  archive=$(sed -n 's/^URIs: //p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -1)
  sources=$(mktemp)
  for suite in trixie sid; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${archive:-http://deb.debian.org/debian} $suite main"
  done >"$sources"
  rm -rf "$root"
  # A mirror may be some days behind: the signature counts, not the date until which it holds.
  if ! mmdebstrap --quiet --format=directory --variant=minbase --aptopt='APT::Default-Release "trixie"' \
    --aptopt='Acquire::Check-Valid-Until "false"' --include=apptainer,squashfuse,fuse-overlayfs \
    trixie "$root" "$sources" >"$WORK/mmdebstrap.log" 2>&1; then
    rm -rf "$root" "$sources"
    say "apptainer cannot be had: $(tail -1 "$WORK/mmdebstrap.log")"
    return 1
  fi
  rm -f "$sources"
  # It wants its user in passwd, and a home, which `--no-home` leaves out.
  echo "stranger:x:$STRANGER:$STRANGER::/home/stranger:/bin/sh" >>"$root/etc/passwd"
  echo "stranger:x:$STRANGER:" >>"$root/etc/group"
  mkdir -p "$root/home/stranger" "$root/outside" "$root$WORK"
  chown "$STRANGER:$STRANGER" "$root/home/stranger"
  # Root of a container often has fewer capabilities than it asks for.
  sed -i 's/^root default capabilities = .*/root default capabilities = no/' "$root/etc/apptainer/apptainer.conf"
  mknod -m 666 "$root/fuse" c 10 229 # that of the machine may be for root only
  mv "$root" "$APPTAINER_ROOT"
}

# Run a command as user $1 inside that Debian, where $WORK lies at the same path, with no network. The root
# is pivoted, for the kernel gives no user namespace to a process in a changed root.
inside() {
  local user=$1
  shift
  # shellcheck disable=SC2016 # expanded there
  unshare --mount --net --propagation private bash -euc '
    root=$1 user=$2 work=$3
    shift 3
    mount --bind "$root" "$root"
    for folder in proc sys dev; do mount --rbind "/$folder" "$root/$folder"; done
    mount --bind "$root/fuse" "$root/dev/fuse"
    mkdir -p "$root$work" && mount --rbind "$work" "$root$work"
    cd "$root"
    pivot_root . outside
    umount --lazy /outside
    cd /tmp
    if [ "$user" = 0 ]; then exec "$@"; fi
    exec setpriv --reuid "$user" --regid "$user" --clear-groups --inh-caps=-all --bounding-set=-all \
      env --unset XDG_RUNTIME_DIR HOME=/home/stranger "$@"
  ' bash "$APPTAINER_ROOT" "$user" "$WORK" "$@"
}

# Upgrades of an appliance, in a window when nobody plays, and back if the host is not well afterwards.
#   lumen-upgrade run FROM UNTIL [ARGUMENT OF nixos-rebuild...]    in the window, from a timer
#   lumen-upgrade confirm                                          after a start
#
# LUMEN_UPGRADE_REBOOT=yes lets it restart the machine where the new system has another kernel or drivers. What it tries is
# written to $STATE_DIRECTORY/trying until it is known to work; what did not is in $STATE_DIRECTORY/refused, and is never
# tried again. Going back happens once: what it went back to is not judged.

root=${LUMEN_UPGRADE_ROOT:-}
state=${STATE_DIRECTORY:-$root/var/lib/lumen-upgrade}
profile=$root/nix/var/nix/profiles/system
running=$root/run/current-system
booted=$root/run/booted-system
interval=300

start_number() { cat "$root/proc/sys/kernel/random/boot_id"; }
now() { date +%s; }

# A host that runs and does not say who plays may have players.
somebody_plays() {
  local answer
  systemctl is-active --quiet lumen.service || return 1
  answer=$(timeout 60 lumen status --json) || return 0
  ! jq -e '.sessions == []' <<<"$answer" >/dev/null 2>&1
}

# in_window FROM UNTIL: sets `end`.
in_window() {
  local begin time
  time=$(now) begin=$(date -d "today $1" +%s) end=$(date -d "today $2" +%s)
  if [ "$end" -le "$begin" ]; then
    # Over midnight: before its end it began yesterday.
    if [ "$time" -lt "$end" ]; then begin=0; else end=$(date -d "tomorrow $2" +%s); fi
  fi
  [ "$time" -ge "$begin" ] && [ "$time" -lt "$end" ]
}

# Waits until nobody plays; fails where the window ends first.
wait_for_nobody() {
  local said=no
  while somebody_plays; do
    if [ $(($(now) + interval)) -ge "$end" ]; then
      echo "somebody plays, and the window ends: not upgraded, the next window is for that"
      return 1
    fi
    [ "$said" = yes ] || echo "somebody plays: waiting"
    said=yes
    sleep "$interval"
  done
  if [ "$(now)" -ge "$end" ]; then
    echo "the window is over: not upgraded, the next one is for that"
    return 1
  fi
}

# activate SYSTEM switch|boot: makes it the system of this machine, now or from the next start on.
activate() { nix-env --profile "$profile" --set "$1" && "$1/bin/switch-to-configuration" "$2"; }

# What a running system cannot exchange: NVIDIA's libraries, for one, do not work with the module of another version.
other_kernel() {
  local part
  for part in initrd kernel kernel-modules; do
    [ "$(readlink -f "$booted/$part")" = "$(readlink -f "$1/$part")" ] || return 0
  done
  return 1
}

healthy() { systemctl start lumen-health.service; }

# refuse SYSTEM: never again.
refuse() {
  rm -f "$state/trying"
  echo "$1" >>"$state/refused"
}

# go_back SYSTEM TO switch|boot
go_back() {
  # First of all, so that whatever happens now happens once.
  refuse "$1"
  echo "ROLLBACK: $1 is not well ('journalctl -u lumen-health' says why); going back to $2"
  if ! activate "$2" "$3"; then
    echo "ROLLBACK: activating $2 complained; look at it by hand" >&2
    return 1
  fi
}

run() {
  local from=$1 until=$2 new before
  shift 2
  if ! in_window "$from" "$until"; then
    echo "it is not between $from and $until: nothing is upgraded"
    return 0
  fi
  wait_for_nobody || return 0

  cd "$state" || return
  if ! nixos-rebuild build "$@"; then
    echo "the new system could not be built: nothing was changed" >&2
    return 1
  fi
  new=$(readlink -f result) before=$(readlink -f "$running")
  if [ "$new" = "$before" ] || [ "$new" = "$(readlink -f "$profile")" ]; then
    echo "nothing new: $new"
    return 0
  fi
  if grep -qxF "$new" refused 2>/dev/null; then
    echo "$new was not well when it was tried: waiting for another one"
    return 0
  fi
  # Building takes its time, and somebody may have come.
  wait_for_nobody || return 0

  printf '%s\n' "$new" "$before" "$(start_number)" >trying
  if other_kernel "$new"; then
    if ! activate "$new" boot; then
      refuse "$new"
      echo "$new could not be made the system of the next start; staying with $before" >&2
      activate "$before" boot
      return 1
    fi
    if [ "${LUMEN_UPGRADE_REBOOT:-no}" = yes ]; then
      echo "restarting into $new: it has another kernel, or other drivers"
      systemctl reboot
    else
      echo "$new has another kernel, or other drivers: it is used from the next start of the machine on"
    fi
    return 0
  fi
  if activate "$new" switch && healthy; then
    rm -f trying
    echo "upgraded to $new"
    return 0
  fi
  go_back "$new" "$before" switch
  # A unit that fails on purpose: somebody should know.
  return 1
}

confirm() {
  local new before number current
  [ -f "$state/trying" ] || return 0
  { read -r new && read -r before && read -r number; } <"$state/trying" || {
    rm -f "$state/trying"
    return 0
  }
  # Nothing was started since: whoever wrote it is not done, or waits for a restart.
  [ "$number" != "$(start_number)" ] || return 0
  current=$(readlink -f "$running")
  if [ "$current" != "$new" ]; then
    refuse "$new"
    echo "ROLLBACK: $new did not come up, $current did: staying with that"
    activate "$current" boot
  elif healthy; then
    rm -f "$state/trying"
    echo "upgraded to $new"
  else
    go_back "$new" "$before" boot || return 1
    systemctl reboot
  fi
}

mkdir -p "$state"
exec 9>"$state/lock"
if ! flock --nonblock 9; then
  echo "an upgrade is under way"
  exit 0
fi
case "${1:-}" in
  run) shift; run "$@" ;;
  confirm) confirm ;;
  *) echo "lumen-upgrade run FROM UNTIL [ARGUMENT...] | confirm" >&2; exit 2 ;;
esac

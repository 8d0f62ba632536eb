#!/usr/bin/env bash
# nix/upgrade.sh and nix/health.sh in a machine of files: commands that change systems, and the clock, are stand-ins that
# write down what they were asked for. Nothing waits: sleeping moves the clock.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
real_path=$PATH

# stand_in NAME: a stand-in of that name, from standard input.
stand_in() {
  { echo '#!/usr/bin/env bash'; cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}

# system NAME KERNEL: a system that can be activated. With the file `fails`, activating it fails.
system() {
  local at=$root/nix/store/$1 part
  mkdir -p "$at/bin"
  for part in initrd kernel kernel-modules; do mkdir -p "$root/parts/$part-$2"; ln -s "$root/parts/$part-$2" "$at/$part"; done
  cat >"$at/bin/switch-to-configuration" <<SCRIPT
#!/usr/bin/env bash
echo "$1 \$1" >>"$work/log"
if [ "\$1" = switch ]; then ln -sfn "$at" "$root/run/current-system"; fi
[ ! -e "$at/fails" ]
SCRIPT
  chmod +x "$at/bin/switch-to-configuration"
}

# machine: a fresh one, that runs `old`; `new` can be built. It is 04:10, nobody plays, all is well.
machine() {
  rm -rf "${work:?}"/{root,bin,log,answers}
  root=$work/root
  mkdir -p "$root"/{run,nix/store,nix/var/nix/profiles,proc/sys/kernel/random,var/lib} "$work/bin" "$work/answers"
  : >"$work/log"
  system old 1
  system new 1
  ln -s "$root/nix/store/old" "$root/run/current-system"
  ln -s "$root/nix/store/old" "$root/run/booted-system"
  ln -s "$root/nix/store/old" "$root/nix/var/nix/profiles/system"
  echo first >"$root/proc/sys/kernel/random/boot_id"
  date -u -d '1970-01-10 04:10' +%s >"$work/clock"
  echo new >"$work/answers/build"
  echo active >"$work/answers/lumen.service"
  echo '{"pid":7,"sessions":[]}' >"$work/answers/status"
  export LUMEN_UPGRADE_ROOT=$root PATH=$work/bin:$real_path WORK=$work ROOT=$root
  unset STATE_DIRECTORY LUMEN_UPGRADE_REBOOT

  stand_in date <<'SCRIPT'
if [ $# = 1 ]; then exec cat "$WORK/clock"; fi
day=${2/today/1970-01-10}
exec /bin/date -u -d "${day/tomorrow/1970-01-11}" +%s
SCRIPT
  stand_in sleep <<'SCRIPT'
# Whoever plays stops at some time.
clock=$(($(cat "$WORK/clock") + $1))
echo "$clock" >"$WORK/clock"
echo "sleep" >>"$WORK/log"
if [ -e "$WORK/answers/leaves" ] && [ "$clock" -ge "$(cat "$WORK/answers/leaves")" ]; then
  echo '{"pid":7,"sessions":[]}' >"$WORK/answers/status"
fi
SCRIPT
  stand_in nixos-rebuild <<'SCRIPT'
echo "nixos-rebuild $*" >>"$WORK/log"
[ -s "$WORK/answers/build" ] || exit 1
ln -sfn "$ROOT/nix/store/$(cat "$WORK/answers/build")" result
# A build takes a while: somebody may come, and the window may end.
if [ -e "$WORK/answers/comes" ]; then cp "$WORK/answers/comes" "$WORK/answers/status"; fi
if [ -e "$WORK/answers/takes" ]; then echo $(($(cat "$WORK/clock") + $(cat "$WORK/answers/takes"))) >"$WORK/clock"; fi
SCRIPT
  stand_in nix-env <<'SCRIPT'
# --profile PROFILE --set SYSTEM
echo "set ${4##*/}" >>"$WORK/log"
ln -sfn "$4" "$2"
SCRIPT
  stand_in systemctl <<'SCRIPT'
case "$*" in
  "is-active --quiet lumen.service") [ "$(cat "$WORK/answers/lumen.service")" = active ] ;;
  "start lumen-health.service")
    echo "health of $(basename "$(readlink -f "$ROOT/run/current-system")")" >>"$WORK/log"
    [ ! -e "$(readlink -f "$ROOT/run/current-system")/ill" ] ;;
  reboot) echo reboot >>"$WORK/log" ;;
  *) echo "systemctl was asked for '$*'" >>"$WORK/log"; exit 1 ;;
esac
SCRIPT
  stand_in lumen <<'SCRIPT'
case "$*" in
  "status --json")
    # A host that dies and comes back is another process each time.
    if [ -e "$WORK/answers/dies" ]; then echo "{\"pid\":$RANDOM$RANDOM,\"sessions\":[]}"; exit; fi
    cat "$WORK/answers/status" && [ -s "$WORK/answers/status" ] ;;
  doctor) [ ! -e "$WORK/answers/doctor" ] || { cat "$WORK/answers/doctor"; exit 1; } ;;
  *) exit 2 ;;
esac
SCRIPT
}

upgrade() {
  local status=0
  # As writeShellApplication starts it.
  said=$(bash -o errexit -o nounset -o pipefail "$here/upgrade.sh" run "${from:-04:00}" "${until:-06:00}" --flake there 2>&1) || status=$?
  echo "exit $status" >>"$work/log"
}
# started SYSTEM: the machine is started again, with that system.
started() {
  local status=0
  ln -sfn "$root/nix/store/$1" "$root/run/current-system"
  ln -sfn "$root/nix/store/$1" "$root/run/booted-system"
  uuid=$((${uuid:-0} + 1))
  echo "start $uuid" >"$root/proc/sys/kernel/random/boot_id"
  said=$(bash -o errexit -o nounset -o pipefail "$here/upgrade.sh" confirm 2>&1) || status=$?
  echo "exit $status" >>"$work/log"
}
plays() { echo '{"pid":7,"sessions":[{"id":1,"state":"streaming"}]}' >"$work/answers/${1:-status}"; }

failed=0 number=0
# happened WHAT LINE...: the log since the machine was made, without waiting.
happened() {
  local what=$1 wanted found
  shift
  number=$((number + 1))
  wanted=$(printf '%s\n' "$@")
  found=$(grep -v '^sleep$' "$work/log" || true)
  if [ "$wanted" != "$found" ]; then
    printf 'FAILED: %s\n--- wanted\n%s\n--- happened\n%s\n--- said\n%s\n\n' "$what" "$wanted" "$found" "${said:-}"
    failed=1
  fi
}
says() { if [[ $said != *"$1"* ]]; then printf 'FAILED: «%s» is not in\n%s\n\n' "$1" "$said"; failed=1; fi; }
holds() { if ! "${@:2}"; then echo "FAILED: $1"; failed=1; fi; }
build='nixos-rebuild build --flake there'

machine; upgrade
happened "nobody plays: it is upgraded" "$build" "set new" "new switch" "health of new" "exit 0"
holds "nothing is left to be tried" test ! -e "$root/var/lib/lumen-upgrade/trying"
upgrade
happened "what is there already is left alone" "$build" "set new" "new switch" "health of new" "exit 0" "$build" "exit 0"

machine; plays; /bin/date -u -d '1970-01-10 05:00' +%s >"$work/answers/leaves"; upgrade
happened "somebody plays for a while: it waits, then upgrades" "$build" "set new" "new switch" "health of new" "exit 0"
holds "it did wait" grep -q '^sleep$' "$work/log"

machine; plays; upgrade
happened "somebody plays through the window: nothing happens" "exit 0"
says "the next window is for that"
holds "it ends with the window" test "$(cat "$work/clock")" -lt "$(/bin/date -u -d '1970-01-10 06:00' +%s)"

machine; plays comes; upgrade
happened "somebody comes during the build: nothing is switched" "$build" "exit 0"

machine; echo 9000 >"$work/answers/takes"; upgrade
happened "the build takes longer than the window: nothing is switched" "$build" "exit 0"
says "the window is over"

machine; : >"$work/answers/status"; upgrade
happened "a host that does not say who plays may have players" "exit 0"
machine; echo '{"error":1}' >"$work/answers/status"; upgrade
happened "nor does an answer without sessions say that nobody plays" "exit 0"
machine; echo inactive >"$work/answers/lumen.service"; : >"$work/answers/status"; upgrade
happened "a host that does not run has no players: an upgrade may mend it" "$build" "set new" "new switch" "health of new" "exit 0"

machine; from=12:00 until=13:00 upgrade
happened "outside of the window: nothing happens" "exit 0"
machine; from=23:00 until=05:00 upgrade
happened "a window over midnight, after it" "$build" "set new" "new switch" "health of new" "exit 0"
machine; /bin/date -u -d '1970-01-10 23:30' +%s >"$work/clock"; from=23:00 until=05:00 upgrade
happened "a window over midnight, before it" "$build" "set new" "new switch" "health of new" "exit 0"
machine; /bin/date -u -d '1970-01-10 12:00' +%s >"$work/clock"; from=23:00 until=05:00 upgrade
happened "a window over midnight, at noon" "exit 0"

machine; : >"$work/answers/build"; upgrade
happened "what cannot be built changes nothing" "$build" "exit 1"

machine; touch "$root/nix/store/new/ill"; upgrade
happened "a host that is not well: back to the system before" \
  "$build" "set new" "new switch" "health of new" "set old" "old switch" "exit 1"
says "ROLLBACK"
upgrade
happened "what was not well is not tried again" \
  "$build" "set new" "new switch" "health of new" "set old" "old switch" "exit 1" "$build" "exit 0"
system newer 1; echo newer >"$work/answers/build"; upgrade
happened "another one is" \
  "$build" "set new" "new switch" "health of new" "set old" "old switch" "exit 1" "$build" "exit 0" \
  "$build" "set newer" "newer switch" "health of newer" "exit 0"

machine; touch "$root/nix/store/new/ill" "$root/nix/store/old/ill" "$root/nix/store/old/fails"; upgrade
happened "going back happens once, well or not" \
  "$build" "set new" "new switch" "health of new" "set old" "old switch" "exit 1"
says "look at it by hand"

machine; touch "$root/nix/store/new/fails"; upgrade
happened "a switch that fails: back, without asking for its health" "$build" "set new" "new switch" "set old" "old switch" "exit 1"

machine; system driver 2; echo driver >"$work/answers/build"; upgrade
happened "another kernel, no restart allowed: from the next start on" "$build" "set driver" "driver boot" "exit 0"
upgrade
happened "and not again until then" "$build" "set driver" "driver boot" "exit 0" "$build" "exit 0"
started driver
happened "it is looked at after the start" "$build" "set driver" "driver boot" "exit 0" "$build" "exit 0" "health of driver" "exit 0"
started driver
happened "once" "$build" "set driver" "driver boot" "exit 0" "$build" "exit 0" "health of driver" "exit 0" "exit 0"

machine; system driver 2; echo driver >"$work/answers/build"; export LUMEN_UPGRADE_REBOOT=yes
touch "$root/nix/store/driver/ill"; upgrade; started driver
happened "not well after a restart: the one before, by another restart" \
  "$build" "set driver" "driver boot" "reboot" "exit 0" "health of driver" "set old" "old boot" "reboot" "exit 0"
says "ROLLBACK"
started old; upgrade
happened "and it stays there" \
  "$build" "set driver" "driver boot" "reboot" "exit 0" "health of driver" "set old" "old boot" "reboot" "exit 0" "exit 0" "$build" "exit 0"

machine; system driver 2; echo driver >"$work/answers/build"; export LUMEN_UPGRADE_REBOOT=yes; upgrade; started old
happened "what did not come up at all is given up" \
  "$build" "set driver" "driver boot" "reboot" "exit 0" "set old" "old boot" "exit 0"
upgrade
happened "and not tried again" \
  "$build" "set driver" "driver boot" "reboot" "exit 0" "set old" "old boot" "exit 0" "$build" "exit 0"

machine; system driver 2; touch "$root/nix/store/driver/fails"; echo driver >"$work/answers/build"; export LUMEN_UPGRADE_REBOOT=yes; upgrade
happened "a boot loader that cannot be written: no restart" "$build" "set driver" "driver boot" "set old" "old boot" "exit 1"

# The power goes after the switch, before the host was looked at.
machine; mkdir -p "$root/var/lib/lumen-upgrade"
printf '%s\n' "$root/nix/store/new" "$root/nix/store/old" first >"$root/var/lib/lumen-upgrade/trying"
touch "$root/nix/store/new/ill"; started new
happened "a power cut in between: looked at after the start" "health of new" "set old" "old boot" "reboot" "exit 0"

machine; mkdir -p "$root/var/lib/lumen-upgrade"
printf '%s\n' "$root/nix/store/new" >"$root/var/lib/lumen-upgrade/trying"; started new
happened "half a note is no note" "exit 0"

# A switch starts the services of the machine, that which confirms included.
machine; mkdir -p "$root/var/lib/lumen-upgrade"
printf '%s\n' "$root/nix/store/new" "$root/nix/store/old" "start $((${uuid:-0} + 1))" >"$root/var/lib/lumen-upgrade/trying"; started old
happened "before the machine was started again there is nothing to confirm" "exit 0"

machine; mkdir -p "$root/var/lib/lumen-upgrade"
exec 8>"$root/var/lib/lumen-upgrade/lock"; flock 8; upgrade; exec 8>&-
happened "two at a time do not happen" "exit 0"
says "under way"

# health.sh counts the shell's own seconds: a limit of 0 looks once more than it must.
health() {
  local status=0
  said=$(bash -o errexit -o nounset -o pipefail "$here/health.sh" "$1" 2>&1) || status=$?
  number=$((number + 1))
  [ "$status" = "$2" ] || { echo "FAILED: $3: exit $status, said: $said"; failed=1; }
}
machine; health 600 0 "a host that stays and answers is well"
machine; touch "$work/answers/dies"; health 0 1 "one that dies and comes back is not"
machine; touch "$work/answers/dies"; health 1 1 "nor after a while"; says "does not stay up"
machine; echo inactive >"$work/answers/lumen.service"; health 0 1 "one that does not run is not"; says "not active"
machine; : >"$work/answers/status"; health 0 1 "one that does not answer is not"; says "lumen status says"
machine; echo 'video encoders: none works' >"$work/answers/doctor"; health 600 1 "one that cannot encode is not"; says "none works"

[ "$failed" = 0 ] || exit 1
echo "    upgrades and health: $number situations"

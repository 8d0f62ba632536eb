#!/usr/bin/env bash
# nix/install.sh with stand-ins for everything that touches disks: what it refuses before it deletes anything, and what it
# does in which order.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/files"
echo flake >"$work/files/flake.nix"
echo 'ssh-ed25519 AAAA somebody' >"$work/key.pub"
cp "$here/tests/key.pem" "$work/private"

stand_in() {
  { echo '#!/usr/bin/env bash'; cat; } >"$work/bin/$1"
  chmod +x "$work/bin/$1"
}
for name in wipefs sfdisk udevadm mkfs.fat mkfs.ext4 mount umount; do
  stand_in "$name" <<'SCRIPT'
echo "${0##*/} $*" | sed "s|/[^ ]*/tmp\.[^/ ]*|TARGET|" >>"$WORK/log"
if [ "${0##*/}" = sfdisk ]; then cat >>"$WORK/log"; fi
# What is in the target is what the test looks at.
if [ "${0##*/}" = umount ]; then cp -a "$2" "$WORK/installed"; find "$2" -mindepth 1 -delete; fi
SCRIPT
done
stand_in lsblk <<'SCRIPT'
case "$*" in
  *TYPE*/dev/*disk | *TYPE*/dev/nvme0n1) echo disk ;;
  *TYPE*/dev/*1) echo part ;;
  *TYPE*) exit 32 ;;
  *MOUNTPOINTS*/dev/useddisk) printf '\n/home\n' ;;
  *MOUNTPOINTS*) printf '\n\n' ;;
  *) echo "NAME SIZE" ;;
esac
SCRIPT
stand_in nixos-install <<'SCRIPT'
echo "nixos-install ${*:3}" >>"$WORK/log"
mkdir -p "$2/etc"
SCRIPT
export WORK=$work SYSTEM=/system FILES=$work/files TMPDIR=$work PATH=$work/bin:$PATH

failed=0
# attempt STATUS SAYS ARGUMENT...: with `answer` typed.
attempt() {
  local status=0
  rm -rf "$work/log" "$work/installed"
  : >"$work/log"
  said=$(bash -o errexit -o nounset -o pipefail "$here/install.sh" "${@:3}" <<<"${answer:-}" 2>&1) || status=$?
  if [ "$status" != "$1" ] || [[ $said != *"$2"* ]]; then echo "FAILED: ${*:3}: exit $status, said: $said"; failed=1; fi
}
refused() {
  attempt "$@"
  if [ -s "$work/log" ]; then echo "FAILED: ${*:3}: was refused, but did: $(cat "$work/log")"; failed=1; fi
}

refused 2 "Disks of this machine"
refused 2 "Disks of this machine" --key
refused 2 "Disks of this machine" --force /dev/disk
refused 2 "Disks of this machine" /dev/disk /dev/otherdisk
refused 1 "is not a disk" --yes /dev/sda1
refused 1 "is not a disk" --yes /etc/passwd
refused 1 "is in use" --yes /dev/useddisk
refused 1 "is not a public key" --yes --key "$work/private" /dev/disk
refused 1 "is not a public key" --yes --key "$work/nothing" /dev/disk
answer=yes refused 1 "nothing was changed" /dev/disk
answer='' refused 1 "nothing was changed" /dev/disk

answer=/dev/disk attempt 0 "Done." --key "$work/key.pub" /dev/disk
wanted='wipefs --all --quiet /dev/disk
sfdisk --quiet --label gpt /dev/disk
size=1GiB, type=uefi, name=ESP
type=linux, name=nixos
udevadm settle
mkfs.fat -F 32 -n ESP /dev/disk1
mkfs.ext4 -q -F -L nixos /dev/disk2
mount /dev/disk2 TARGET
mount -o umask=0077 /dev/disk1 TARGET/boot
nixos-install --system /system --no-root-passwd --no-channel-copy
umount --recursive TARGET'
found=$(sed "s|$work/[^/ ]*|TARGET|g" "$work/log")
[ "$found" = "$wanted" ] || { printf 'FAILED: it did\n%s\n' "$found"; failed=1; }
cmp -s "$work/key.pub" "$work/installed/root/.ssh/authorized_keys" || { echo "FAILED: the key is not there"; failed=1; }
[ "$(stat -c %a "$work/installed/root/.ssh")" = 700 ] || { echo "FAILED: everybody may look at the keys"; failed=1; }
cmp -s "$work/files/flake.nix" "$work/installed/etc/nixos/flake.nix" || { echo "FAILED: /etc/nixos is empty"; failed=1; }

attempt 0 "Done." --yes /dev/nvme0n1
grep -q '^mkfs.ext4 .* /dev/nvme0n1p2$' "$work/log" || { echo "FAILED: partitions of nvme0n1 have a p"; failed=1; }
[ ! -e "$work/installed/root/.ssh" ] || { echo "FAILED: a key that nobody gave"; failed=1; }

[ "$failed" = 0 ] || exit 1
echo "    installer: refusals and two installations"

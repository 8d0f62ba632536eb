# Puts the appliance of this medium onto a disk, without a network. Everything on that disk is lost.
#   lumen-install [--key FILE] [--yes] DISK
# --key FILE: a public SSH key that may log in as root afterwards. SYSTEM is the system, FILES what becomes its /etc/nixos.

usage() {
  echo "lumen-install [--key FILE] [--yes] DISK" >&2
  echo "Disks of this machine:" >&2
  lsblk --nodeps --paths --output NAME,SIZE,MODEL >&2
  exit 2
}
stop() {
  echo "lumen-install: $*" >&2
  exit 1
}

key='' yes=no disk=''
while [ $# -gt 0 ]; do
  case "$1" in
    --key) [ $# -gt 1 ] || usage; key=$2; shift ;;
    --yes) yes=yes ;;
    -*) usage ;;
    *) [ -z "$disk" ] || usage; disk=$1 ;;
  esac
  shift
done
[ -n "$disk" ] || usage
[ "$(lsblk --nodeps --noheadings --output TYPE "$disk" 2>/dev/null)" = disk ] || stop "'$disk' is not a disk: name one of those that lumen-install without arguments lists"
# That of this medium, and any that somebody uses.
if lsblk --noheadings --output MOUNTPOINTS "$disk" | grep -q '[^[:space:]]'; then
  stop "something on $disk is in use: unmount it, or name another disk"
fi
if [ -n "$key" ]; then
  grep -qE '^(ssh|ecdsa|sk-)[a-z0-9@.-]* ' "$key" 2>/dev/null || stop "'$key' is not a public key"
fi

if [ "$yes" = no ]; then
  lsblk --output NAME,SIZE,FSTYPE,LABEL,MODEL "$disk"
  read -r -p "Everything on $disk will be lost. Type its name to go on: " typed
  [ "$typed" = "$disk" ] || stop "nothing was changed"
fi

wipefs --all --quiet "$disk"
# A gigabyte holds ten kernels with their initrds.
sfdisk --quiet --label gpt "$disk" <<'TABLE'
size=1GiB, type=uefi, name=ESP
type=linux, name=nixos
TABLE
udevadm settle
# Disks whose name ends with a digit have a p before the number.
part=$disk
[[ ! $disk =~ [0-9]$ ]] || part=${disk}p
mkfs.fat -F 32 -n ESP "${part}1"
mkfs.ext4 -q -F -L nixos "${part}2"

target=$(mktemp -d)
mount "${part}2" "$target"
mkdir "$target/boot"
mount -o umask=0077 "${part}1" "$target/boot"

nixos-install --root "$target" --system "$SYSTEM" --no-root-passwd --no-channel-copy
mkdir -p "$target/etc/nixos"
cp --recursive --no-clobber --no-preserve=mode "$FILES/." "$target/etc/nixos/"
if [ -n "$key" ]; then
  install -d -m 0700 "$target/root" "$target/root/.ssh"
  install -m 0600 "$key" "$target/root/.ssh/authorized_keys"
fi
umount --recursive "$target"
rmdir "$target"
echo "Done. Take the medium out and restart: the machine streams from then on. Pair a client with 'lumen pair' on its console."

# Shared by the scripts: installing what is missing, and saying what happens. Sourced, not run.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' off=$'\e[0m'; else bold='' dim='' red='' green='' off=''; fi

say() { printf '%s==>%s %s\n' "$bold" "$off" "$*"; }
fail() { printf '%serror:%s %s\n' "$red" "$off" "$*" >&2; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else fail "'$*' needs root and there is no sudo: run it as root once, then start this script again"
  fi
}

# need_apt PACKAGE...: installs the Debian packages that are not there yet.
need_apt() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || fail "install these packages with your package manager: ${missing[*]}"
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=400 "${missing[@]}" >/dev/null
}

# need_rust: a toolchain of at least the version that Cargo.toml names.
need_rust() {
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
  if ! command -v cargo >/dev/null; then
    need_apt curl ca-certificates
    say "installing Rust with rustup, for this user"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --quiet --profile minimal -c clippy -c rustfmt ||
      fail "Rust $wanted or newer is needed and could not be installed: install it by hand, then start this script again"
    PATH="$HOME/.cargo/bin:$PATH"
  fi
  found=$(rustc --version | cut -d' ' -f2)
  [ "$(printf '%s\n%s\n' "$wanted" "$found" | sort -V | head -n1)" = "$wanted" ] ||
    fail "Rust $wanted or newer is needed, this is $found: 'rustup update stable'"
}

# need_cargo_tool BINARY CRATE: installs a cargo tool from the crate registry.
need_cargo_tool() {
  command -v "$1" >/dev/null && return
  say "installing $2 (a few minutes, once)"
  cargo install --quiet --locked "$2"
}

# debian_mirror: where this machine's apt gets Debian from, for further systems.
debian_mirror() {
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n1)
  [ -n "$mirror" ] || fail "apt knows no mirror of Debian"
  echo "$mirror"
}

build_packages=(build-essential python3 pkg-config libssl-dev libpipewire-0.3-dev libclang-dev nasm cmake ca-certificates)
# The encoders and decoders of FFmpeg are found at run time; without them the host encodes H.264 with its own.
ffmpeg_packages=(libavcodec59 libavutil57)
if ! apt-cache show libavcodec59 >/dev/null 2>&1; then
  ffmpeg_packages=(ffmpeg)
fi

# Compositors and programs for the tests of real desktops. None of them is needed to build or to run lumen.
wlroots_packages=(sway foot grim wev wl-clipboard pipewire-pulse pulseaudio-utils coreutils fonts-dejavu-core)
mutter_packages=(mutter dbus dbus-daemon pipewire pipewire-bin wireplumber weston xdg-desktop-portal)

# Vulkan in software, what checks its use, and the compiler of shaders: for the tests of `lumen doctor --gpu`.
vulkan_packages=(mesa-vulkan-drivers vulkan-validationlayers glslang-tools)

# wait_for WHAT SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local what=$1 limit=$((SECONDS + $2)); shift 2
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$limit" ] || { echo "waited in vain for $what" >&2; return 1; }
    sleep 0.1
  done
}

# A base port whose derived ports are free now.
free_base_port() {
  python3 - <<'PY'
import random, socket
for _ in range(200):
    base = random.randrange(20000, 32000)
    held = []
    try:
        for kind, offset in ((socket.SOCK_STREAM, -5), (socket.SOCK_STREAM, 0), (socket.SOCK_DGRAM, 9),
                             (socket.SOCK_DGRAM, 10), (socket.SOCK_DGRAM, 11), (socket.SOCK_STREAM, 21)):
            s = socket.socket(socket.AF_INET, kind)
            held.append(s)
            s.bind(("0.0.0.0", base + offset))
        print(base)
        break
    except OSError:
        continue
    finally:
        for s in held:
            s.close()
else:
    raise SystemExit("no free ports")
PY
}

# The emulated machine of the tests here: its kernel's modules, its first program, its start. Sourced, after
# scripts/lib.sh; not run.
# shellcheck shell=bash

machine_packages=(qemu-system-x86 busybox-static cpio udev xz-utils python3)

# fetch_kernel: Debian's kernel, kept in $cache; $kernel is its folder, named after its package, whose name changes with every
# release.
fetch_kernel() {
  local package
  package=$(kernel_package)
  if [ -z "$package" ]; then as_root apt-get update -qq; package=$(kernel_package); fi
  [ -n "$package" ] || fail "the package index names no kernel (linux-image-amd64)"
  kernel=$cache/$package
  [ -e "$kernel/complete" ] && return
  say "fetching $package"
  rm -rf "$kernel" && mkdir -p "$kernel/package"
  (cd "$kernel/package" && apt-get -o APT::Sandbox::User=root -qq download "$package")
  dpkg-deb -x "$kernel"/package/*.deb "$kernel"
  rm -r "$kernel/package"
  busybox depmod -b "$kernel" "$(basename "$kernel"/lib/modules/*)"
  touch "$kernel/complete"
}

kernel_package() {
  apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n1
}

# build_initrd JOB MODULES_FOLDER MODULE...: a root of its own to begin with: busybox, and the modules with all that
# they need. It becomes JOB/initrd; its first program is $machine_init, or vm-tests/init.
build_initrd() {
  local root=$1/root folder=$2 version file
  version=$(basename "$folder")
  shift 2
  mkdir -p "$root"/{bin,proc,sys,dev,root,"lib/modules/$version"}
  cp "$(command -v busybox)" "$root/bin/"
  cp "${machine_init:-vm-tests/init}" "$root/init"
  printf '%s\n' "$@" >"$root/modules"
  cp "$folder"/modules.* "$root/lib/modules/$version/"
  needed_files "$folder/modules.dep" "$@" | while read -r file; do
    install -D "$folder/$file" "$root/lib/modules/$version/$file"
  done
  # Newer kernels compress each, which busybox does not undo.
  find "$root/lib" -name '*.ko.xz' -exec xz -d {} +
  busybox depmod -b "$root" "$version"
  (cd "$root" && find . | cpio --quiet -o -H newc) | gzip -1 >"${root%/root}/initrd"
}

# needed_files MODULES.DEP MODULE...: files of the modules and of all that they need, from lines 'file: file...'.
needed_files() {
  python3 - "$@" <<'PY'
import os, sys
needs = dict(line.strip().split(":", 1) for line in open(sys.argv[1]))
files = {os.path.basename(f).removesuffix(".xz").removesuffix(".ko").replace("-", "_"): f for f in needs}
wanted, seen = [files[m.replace("-", "_")] for m in sys.argv[2:]], set()
while wanted:
    file = wanted.pop()
    if file not in seen:
        seen.add(file)
        wanted += needs[file].split()
print(*sorted(seen), sep="\n")
PY
}

# start_machine JOB ROOT VMLINUZ MEMORY_MB LIMIT_S: runs JOB/share/command on the file system ROOT, which it sees read
# only. The command's output is ours, and so is its exit status.
start_machine() {
  local job=$1 root=$2 vmlinuz=$3 memory=$4 limit=$5 status machine try
  echo "$PWD" >"$job/share/checkout"
  # An emulated kernel may fail while it patches its own code, before anything of ours runs: that is tried again.
  for try in 1 2 3; do
    run_machine "$job" "$root" "$vmlinuz" "$memory" "$limit" || machine=$?
    [ ! -e "$job/share/begun" ] && [ "$try" -lt 3 ] || break
    say "the machine did not come up; once more"
  done
  status=$(cat "$job/share/status" 2>/dev/null) ||
    fail "the machine ended before its command did (status ${machine:-0}; 124 is the limit of $limit s)"
  return "$status"
}

run_machine() {
  local job=$1 root=$2 vmlinuz=$3 memory=$4 limit=$5
  timeout --foreground -k 5 "$limit" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" \
    -kernel "$vmlinuz" -initrd "$job/initrd" -append 'console=ttyS0 quiet panic=-1 mitigations=off' \
    -virtfs "local,path=$root,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$PWD,mount_tag=checkout,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$job/share,mount_tag=job,security_model=none" \
    -nic none -display none -monitor none -serial stdio -no-reboot </dev/null
}

# command_line COMMAND...: as a shell reads it.
command_line() { printf '%q ' "$@"; echo; }

# test_program NAME: builds the tests of src/lumen-host/tests/NAME and says which program has them.
test_program() {
  cargo test --quiet -p lumen-host --test "$1" --no-run --message-format=json-render-diagnostics |
    python3 -c '
import json, sys
built = (m for m in map(json.loads, sys.stdin) if m.get("executable"))
print(*(m["executable"] for m in built if m["target"]["name"] == sys.argv[1]))' "$1"
}

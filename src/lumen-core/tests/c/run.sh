#!/usr/bin/env bash
# Builds a C program against the C interface of lumen-core and runs it: plainly with the shared library, with
# AddressSanitizer, under valgrind, and built against the headers of earlier versions of the interface.
. "$(dirname "$0")/../../../../scripts/lib.sh"

need_apt "${build_packages[@]}" valgrind
need_rust

here=src/lumen-core/tests/c
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say "building lumen-core for C"
# What the linker needs besides the static library, as rustc says it.
cargo rustc --quiet -p lumen-core --no-default-features --lib --crate-type cdylib,staticlib -- --print native-static-libs 2>"$work/said" ||
  { cat "$work/said"; fail "lumen-core does not build for C"; }
native=$(sed -n 's/^note: native-static-libs: //p' "$work/said")
[ -n "$native" ] || native="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
flags=(-std=c11 -Wall -Wextra -Werror -g -O1)
# shellcheck disable=SC2206 # a list of flags
native=($native)

say "the header is C and C++"
printf '#include "lumen_core.h"\nint main(void) { return lumen_abi_version() == 0; }\n' >"$work/include.c"
cc "${flags[@]}" -pedantic -fsyntax-only -Iinclude "$work/include.c"
c++ -Wall -Wextra -Werror -fsyntax-only -Iinclude -x c++ "$work/include.c"

say "with the shared library"
cc "${flags[@]}" -Iinclude "$here/roundtrip.c" -o "$work/shared" -L"$target/debug" -llumen_core
LD_LIBRARY_PATH=$target/debug timeout 300 "$work/shared"

say "with AddressSanitizer and UndefinedBehaviorSanitizer"
cc "${flags[@]}" -fsanitize=address,undefined -fno-sanitize-recover=all -Iinclude "$here/roundtrip.c" -o "$work/asan" \
  "$target/debug/liblumen_core.a" "${native[@]}"
ASAN_OPTIONS=detect_leaks=1 timeout 600 "$work/asan"

say "under valgrind"
cc "${flags[@]}" -Iinclude "$here/roundtrip.c" -o "$work/plain" "$target/debug/liblumen_core.a" "${native[@]}"
timeout 900 valgrind --quiet --error-exitcode=1 --suppressions="$here/valgrind.supp" --leak-check=full --show-leak-kinds=definite,indirect "$work/plain"

for old in "$here"/headers/*.h; do
  version=$(basename "$old" .h)
  say "built against version $version, run with this library"
  mkdir "$work/$version"
  cp "$old" "$work/$version/lumen_core.h"
  cc "${flags[@]}" -I"$work/$version" "$here/roundtrip.c" -o "$work/old" -L"$target/debug" -llumen_core
  LD_LIBRARY_PATH=$target/debug timeout 300 "$work/old"
  # Every function and constant that the old header has is still there, as it was.
  for kind in 'lumen_[a-z_]+\(' '#define LUMEN_[A-Z0-9_]+ .*' '^ *LUMEN_[A-Z0-9_]+ = [0-9]+'; do
    grep -oE "$kind" "$old" | grep -v LUMEN_ABI_VERSION | sort -u >"$work/then"
    grep -oE "$kind" include/lumen_core.h | sort -u >"$work/now"
    gone=$(comm -23 "$work/then" "$work/now")
    [ -z "$gone" ] || fail "version $version has what this one has not: $gone"
  done
done

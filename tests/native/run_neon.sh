#!/usr/bin/env bash
# Builds the kernels for 64-bit Arm, runs check_kernels under qemu and, on x86-64, demands that the
# elementwise results equal those of this machine's instruction sets bit by bit.
# Usage: run_neon.sh [--if-available] [build folder]
#   --if-available  succeed, with a message, where the cross compiler or qemu is missing
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if_available=false
if [[ "${1:-}" == --if-available ]]; then
  if_available=true
  shift
fi

missing=()
for tool in cmake aarch64-linux-gnu-g++; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
command -v qemu-aarch64 > /dev/null || command -v qemu-aarch64-static > /dev/null ||
  missing+=(qemu-aarch64)
if ((${#missing[@]})); then
  echo "run_neon.sh: not found: ${missing[*]} (Debian: cmake g++-aarch64-linux-gnu qemu-user)" >&2
  if $if_available; then
    echo "run_neon.sh: NEON kernels were NOT checked" >&2
    exit 0
  fi
  exit 1
fi

if [[ -n "${1:-}" ]]; then
  build=$1
  mkdir -p "$build"
else
  build=$(mktemp -d)
  trap 'rm -rf "$build"' EXIT
fi

# check <folder> [cmake argument ...]: builds, runs and leaves the output in <folder>.txt
check() {
  local folder=$build/$1
  shift
  cmake -S "$here" -B "$folder" -DONEPASS_WERROR=ON "$@" > "$folder.log"
  cmake --build "$folder" --parallel "$(nproc)" >> "$folder.log" || {
    cat "$folder.log"
    return 1
  }
  cmake --build "$folder" --target native_check | tee "$folder.txt"
}

check neon -DCMAKE_TOOLCHAIN_FILE="$here/aarch64.cmake"
grep -q '^neon: .* 0 failures' "$build/neon.txt"

if [[ "$(uname -m)" == x86_64 ]]; then
  check native
  if [[ "$(grep '^digest' "$build/neon.txt")" != "$(grep '^digest' "$build/native.txt")" ]]; then
    echo "run_neon.sh: elementwise results differ between NEON and this machine" >&2
    exit 1
  fi
fi
echo "run_neon.sh: NEON kernels pass"

#!/bin/sh
# What the tests want from the system: allocators to compare, a C++ compiler, an outside tracer to
# check against, a debugger and memcheck to repeat what failed, a fuzzer, a browser to look at
# the report, another machine's compiler and emulator. `system.sh mallocs`: the allocators alone,
# for a first table. As root they are installed; an ordinary user is told the command, and the
# tests that need them skip and say so.
set -eu

mallocs="libjemalloc2 libtcmalloc-minimal4 libgoogle-perftools4 libmimalloc2.0 libtbbmalloc2"
mallocs="$mallocs libclang-rt-14-dev"
tools="g++ git jq perl xz-utils strace gdb valgrind libc6-dbg clang-14 chromium linux-perf"
tools="$tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
case "${1:-}" in
  mallocs) wanted="$mallocs"; purpose="to compare with more allocators" ;;
  *) wanted="$tools $mallocs"; purpose="for the tests that are skipped without them" ;;
esac

command -v apt-get >/dev/null || { echo "no apt-get here; $purpose: $wanted"; exit 0; }
missing=""
for package in $wanted; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "$purpose: sudo apt-get install$missing"
  exit 0
fi
install() { DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }
if [ "${1:-}" = mallocs ]; then
  # One at a time: other releases have other names, and a table with fewer is a table.
  apt-get update -qq || true
  for package in $missing; do
    install "$package" || echo "not installed: $package"
  done
  exit 0
fi
apt-get update -qq
# Of another release's names none is there, and the tests that want it say so.
install $missing || for package in $missing; do
  install "$package" || echo "not installed: $package"
done

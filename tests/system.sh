#!/bin/sh
# What the tests want from the system: allocators to compare, a C++ compiler, an outside tracer to
# check against, a debugger and memcheck to repeat what failed, a fuzzer, a browser to look at
# the report. As root they are installed; an ordinary user is told the command, and the tests
# that need them skip and say so.
set -eu

wanted="g++ git strace gdb valgrind libc6-dbg libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0"
wanted="$wanted clang-14 libclang-rt-14-dev chromium"

command -v apt-get >/dev/null || { echo "no apt-get here; the tests can use: $wanted"; exit 0; }
missing=""
for package in $wanted; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "install ok installed" ||
    missing="$missing $package"
done
[ -n "$missing" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "for the tests that are skipped without them: sudo apt-get install$missing"
  exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null

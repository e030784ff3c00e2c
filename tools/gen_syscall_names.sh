#!/bin/sh
# gen_syscall_names.sh OUTPUT COMPILER...: the names of the system calls, as initialisers
# [number] = "name", from the kernel headers that the compiler finds.
set -eu
output=$1
shift
echo '#include <asm/unistd_64.h>' | "$@" -E -dM -x c - |
    sed -n 's/^#define __NR_\([a-z0-9_]*\) \([0-9][0-9]*\)$/[\2] = "\1",/p' |
    sort -t'[' -k2n >"$output"
test -s "$output"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" decrypt -d pw disk.img o.raw >out 2>&1 || fail "exit $?"
[ "$(stat -c %s o.raw)" = 8192 ] || fail "$(stat -c %s o.raw) bytes, not 8192"
grep -q 'last 512 bytes' out || fail "no warning"
right "whole sectors, with a warning"

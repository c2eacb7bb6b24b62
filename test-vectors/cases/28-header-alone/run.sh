#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" inspect disk.img >out 2>&1 || fail "inspect: exit $?"
grep -q 5d2a8a5e-3f0b-4c4e-9a55-6d0f3f6f3c11 out || fail "UUID"
"$L" verify disk.img >out 2>&1; [ $? = 4 ] || fail "verify does not say that it is cut off"
"$L" key test -d pw disk.img >out 2>&1; [ $? = 4 ] || fail "key test: other exit code"
right "shown, and told that it is cut off"

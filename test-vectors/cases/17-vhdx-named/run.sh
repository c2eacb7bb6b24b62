#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" inspect disk.vhdx >out 2>&1; rc=$?
[ $rc = 4 ] || [ $rc = 1 ] || fail "exit $rc"
! grep -q -- '--type plain' out || fail "advises --type plain"
grep -qi vhdx out || fail "does not say VHDX"
right "named"

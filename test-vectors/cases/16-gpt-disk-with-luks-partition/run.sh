#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" inspect disk.img >out 2>&1; rc=$?
[ $rc = 4 ] || [ $rc = 0 ] || fail "exit $rc"
! grep -q -- '--type plain' out || fail "advises --type plain"
grep -Eqi 'GPT|partition table' out || fail "does not say that it is a partitioned disk"
grep -Eq '1048576|0x100000|sector 2048|partition 1' out || fail "does not say where the LUKS header is"
right "told"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" inspect raw.img >out 2>&1; rc=$?
[ $rc = 4 ] || fail "inspect: exit $rc"
! grep -q 'damaged LUKS header' out || fail "inspect takes it for a damaged LUKS header"
"$L" encrypt -d pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 raw.img disk.luks >out 2>&1; rc=$?
[ $rc = 0 ] || fail "encrypt: exit $rc"
right "no LUKS seen"

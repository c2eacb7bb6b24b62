#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" key test -S 5 -d pw disk.img >out 2>&1 || fail "not even -S 5 opens it"
"$L" key test -d pw disk.img >out 2>&1 || fail "exit $?: keyslot 0, which is cut off, keeps keyslot 5 from being tried"
grep -q 'keyslot 5' out || fail "another keyslot"
right "keyslot 5 opens it"

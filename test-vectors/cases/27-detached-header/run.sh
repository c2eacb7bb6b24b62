#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" decrypt -d pw --header header.bin data.bin o.raw >out 2>&1 || fail "exit $?"
[ "$(stat -c %s o.raw)" = 16384 ] || fail "size"
"$L" decrypt -d pw header.bin o2.raw >out 2>&1 && fail "the header alone is taken for a container"
grep -q -- '--header' out || fail "no way out told"
right "both"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" encrypt -d pw --pbkdf pbkdf2 --pbkdf-force-iterations 1000 raw.img disk.luks >out 2>&1 || { grep -qi sector out && right "refused, and says why"; fail "exit $?"; }
"$L" inspect --json disk.luks >j 2>>out || fail "inspect"
size=$(grep -o '"sector_size":[0-9]*' j | head -1 | cut -d: -f2)
[ "$size" = 512 ] && right "sectors of 512 bytes"
grep -qi 'sector' out && right "sectors of $size bytes, with a warning"
fail "sectors of $size bytes and not a word: behind the kernel the partition table is not found"

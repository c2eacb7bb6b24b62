#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" key test -d pw disk.img >out 2>&1 || fail "exit $?"
"$L" decrypt -d pw disk.img o.raw >out 2>&1 || fail "decrypt: exit $?"
is_payload o.raw 3e3919efec61528963cb268b48bf26d7704350951b0433a6a49578d5e019a356 || fail "other plaintext than qemu-img's"
right "same bytes as qemu-img"

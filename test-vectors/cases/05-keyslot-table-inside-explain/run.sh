#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" key test --explain -d pw disk.img >out 2>&1; rc=$?
[ $rc = 2 ] || [ $rc = 4 ] || fail "exit $rc"
grep -Eqi 'overwritten|damaged|no ciphertext|does not look random|98304' out && right "says that the key material of keyslot 0 is overwritten"
fail "only \"not opened by this passphrase\": nothing about the key material, which verify finds overwritten"

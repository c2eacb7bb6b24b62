#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" decrypt --type plain -c aes-cbc-plain -s 256 --key-encoding hex -d key.txt disk.enc o.raw >out 2>&1 || fail "not even --key-encoding hex"
is_payload o.raw || fail "other plaintext with --key-encoding hex"
rm -f o.raw; "$L" decrypt --type plain -c aes-cbc-plain -s 256 -d key.txt disk.enc o.raw >out 2>&1; rc=$?
grep -Eqi 'hex|65 bytes|longer' out && right "exit $rc, and says so"
fail "exit $rc, garbage, and not a word"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" header restore -q --force --header-backup-file backup.bin disk.img >out 2>&1; rc=$?
if [ $rc = 0 ]; then decrypts disk.img && right "restored"; fail "restored, and it does not open"; fi
rm -f o.raw; "$L" decrypt -d pw --header backup.bin disk.img o.raw 2>>out || fail "decrypt --header does not read it either"
grep -q -- '--header' out && right "refused, and tells the way out"
fail "exit $rc: no word of decrypt --header, which works"

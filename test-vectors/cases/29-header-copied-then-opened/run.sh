#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

./cryptsetup luksHeaderBackup --disable-locks --header-backup-file copy disk.img >out 2>&1 || fail "backup: exit $?"
./cryptsetup luksDump --type luks2 --dump-json-metadata copy >json 2>out || fail "dump: exit $?"
grep -q '"sector_size": *512' json || fail "JSON"
head -c 1048576 /dev/zero | dd of=disk.img conv=notrunc status=none
./cryptsetup open --type luks2 --disable-locks --test-passphrase -d pw --header copy disk.img >out 2>&1 || fail "open: exit $?"
"$L" decrypt -d pw --header copy disk.img o.raw >out 2>&1 && is_payload o.raw || fail "decrypt --header"
right "all of it"

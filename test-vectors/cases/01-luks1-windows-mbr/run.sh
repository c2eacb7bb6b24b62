#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

cp disk.img was.img
"$L" header repair disk.img >out 2>&1 || "$L" header repair --force disk.img >>out 2>&1 || fail "header repair refuses, exit $?"
cmp -s -n 400 disk.img was.img || fail "keyslots 0 to 3 or the header before them changed"
cmp -s -i 592 disk.img was.img || fail "something behind the header changed"
opens disk.img || fail "the passphrase does not open it after the repair"
decrypts disk.img || fail "other plaintext"
! command -v /usr/sbin/cryptsetup >/dev/null || /usr/sbin/cryptsetup luksDump disk.img >out 2>&1 || fail "cryptsetup refuses the repaired header"
right "repaired and opened"

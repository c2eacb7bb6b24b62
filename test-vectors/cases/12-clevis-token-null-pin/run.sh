#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

./cryptsetup token import --json-file tok.json disk.img >out 2>&1 </dev/null || fail "exit $?: token import refuses what clevis writes and cryptsetup takes"
./cryptsetup token export --token-id 0 disk.img >exported 2>out || fail "the token cannot be read back"
grep -q '"type":"clevis"' exported && grep -q '"ciphertext"' exported || fail "the token is not whole"
[ "$(grep -o '"ciphertext"' exported | wc -l)" = 1 ] || fail "the header keeps the member twice"
! [ -x /usr/sbin/cryptsetup ] || /usr/sbin/cryptsetup luksDump disk.img >out 2>&1 || fail "cryptsetup refuses the header"
"$L" token list disk.img >out 2>&1 || fail "token list"
right "imported"

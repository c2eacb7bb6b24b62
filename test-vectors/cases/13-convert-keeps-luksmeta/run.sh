#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

cp disk.img was.img
if "$L" header convert -q --type luks2 disk.img >out 2>&1; then fail "converted: luksmeta no longer reads its data, $(luksmeta show -d disk.img 2>&1 | head -1)"; fi
cmp -s disk.img was.img || fail "refused, and yet the image changed"
grep -qi luksmeta out || fail "does not say why"
right "refused"

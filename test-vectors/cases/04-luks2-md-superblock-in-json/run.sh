#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

cp disk.img was.img
if "$L" header repair disk.img >out 2>&1; then fail "the RAID superblock at 4096 is overwritten without --force"; fi
cmp -s disk.img was.img || fail "refused, and yet the disk changed"
"$L" header repair --force disk.img >out 2>&1 || fail "--force does not repair"
opens disk.img || fail "does not open after --force"
right "refused, then repaired with --force"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

loop=$(losetup -f --show "$T/disk.img" 2>/dev/null) || { echo "no loop devices here"; exit 77; }
trap 'losetup -d $loop; rm -rf "$T"' EXIT
was=$(sha256sum <$loop)
"$L" encrypt --type luks1 --pbkdf-force-iterations 1000 -d pw small.raw $loop >out 2>&1; rc=$?
[ $rc != 0 ] || fail "a device that holds JFS is overwritten without --force"
[ "$(sha256sum <$loop)" = "$was" ] || fail "refused, and yet the device changed"
right "refused, exit $rc"

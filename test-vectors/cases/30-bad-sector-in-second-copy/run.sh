#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

for c in nbdfuse nbdkit fusermount3; do command -v $c >/dev/null || { echo "no $c here"; exit 77; }; done
[ -w /dev/fuse ] || { echo "no FUSE here"; exit 77; }
trap 'fusermount3 -u "$T/bad.img" 2>/dev/null; rm -rf "$T"' EXIT
bad() { # first byte, bytes: bad.img shows disk.img, and EIO there
  touch bad.img; export F="$T/disk.img" A=$1 N=$2
  nbdfuse -r bad.img --command nbdkit -s -r eval get_size='stat -Lc %s "$F"' pread='if [ $4 -lt $((A+N)) ] && [ $(($4+$3)) -gt $A ]; then echo "EIO bad sector" >&2; exit 1; fi; dd if="$F" skip=$4 count=$3 iflag=count_bytes,skip_bytes status=none' 2>/dev/null &
  for i in $(seq 100); do [ -s bad.img ] && return; sleep 0.1; done; echo "nbdfuse does not start"; exit 77
}
bad 20992 512

"$L" key test -d pw bad.img >out 2>&1 || fail "key test: exit $?"
grep -qi 'header' out || fail "opened, and no warning about the copy that cannot be read"
"$L" decrypt -d pw bad.img o.raw >out 2>&1 && is_payload o.raw || fail "decrypt"
"$L" inspect bad.img >out 2>&1 || fail "inspect: exit $?"
right "read from the other copy, with a warning"

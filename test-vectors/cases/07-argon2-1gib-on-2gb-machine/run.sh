#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

sed 's/^MemTotal:.*/MemTotal:        2014036 kB/; s/^MemFree:.*/MemFree:         1700000 kB/; s/^MemAvailable:.*/MemAvailable:    1750000 kB/' /proc/meminfo >meminfo
unshare -m true 2>/dev/null || { echo "no mount namespaces here"; exit 77; }
unshare -m bash -c 'mount --bind meminfo /proc/meminfo && exec "$@"' x "$L" key test -d pw disk.img >out 2>&1; rc=$?
[ $rc = 0 ] || fail "exit $rc on a machine of 2 GB with 1.7 GB free, where cryptsetup opens it"
right "opened"

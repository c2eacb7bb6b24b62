#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" header repair disk.img >out 2>&1 || "$L" header repair --force disk.img >>out 2>&1
if opens disk.img && decrypts disk.img; then right "repaired and opened"; fi
grep -Eqi '(json|metadata).*(20480|0x5000)|(20480|0x5000).*(json|metadata)' out && right "says where whole metadata is"
fail "neither repaired nor told that the JSON at 20480 is whole"

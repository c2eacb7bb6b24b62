#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" header repair disk.img >out 2>&1 || "$L" header repair --force disk.img >>out 2>&1 || fail "header repair refuses, exit $?"
opens disk.img && decrypts disk.img || fail "it does not open"
right "magic put back"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" key test --explain -d given disk.img >out 2>&1; rc=$?
[ $rc = 2 ] && grep -q 'newline' out && grep -q 'opens keyslot 0' out && right "explained"
fail "exit $rc"

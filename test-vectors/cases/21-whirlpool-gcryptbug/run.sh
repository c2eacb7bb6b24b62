#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

"$L" key test -d pw disk.img >out 2>&1 && right "opened"
fail "exit $?"

#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

for action in luksClose close remove; do
  ./cryptsetup $action crypt-volume-1 >out 2>&1; rc=$?
  [ $rc = 4 ] || fail "$action: exit $rc, not 4"
  grep -q 'not active' out || fail "$action: other text"
done
right "exit 4"

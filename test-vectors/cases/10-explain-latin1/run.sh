#!/bin/bash
# What must come out stands in README.md.
. "$(dirname "$0")/../lib.sh"

explains

#!/bin/bash
# Makes disk.img: the 1024 bytes that hold a LUKS1 header of cryptsetup, and nothing behind them.
set -eu
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; D=$(cd "$(dirname "$0")" && pwd); cd "$T"
truncate -s 4M disk.img
cryptsetup luksFormat -q --type luks1 --cipher aes-cbc-essiv:sha256 --align-payload 4096 \
  --uuid 5d2a8a5e-3f0b-4c4e-9a55-6d0f3f6f3c11 --pbkdf-force-iterations 1000 disk.img "$D/pw"
head -c 1024 disk.img >"$D/disk.img"

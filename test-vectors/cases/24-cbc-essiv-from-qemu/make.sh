#!/bin/bash
# Makes disk.img.xz: the parameters of cryptsetup 1.0 to 1.5, by cryptsetup; the payload by QEMU.
set -eu
T=$(mktemp -d); trap 'rm -rf "$T"' EXIT; D=$(cd "$(dirname "$0")" && pwd); cd "$T"
printf 'case-passwd' | head -c 8 >pw
seq 100000 | head -c 16384 >payload
truncate -s $((1032 * 512 + 16384)) disk.img
cryptsetup luksFormat -q --type luks1 --cipher aes-cbc-essiv:sha256 --key-size 128 --hash sha1 --align-payload 8 \
  --pbkdf-force-iterations 1000 disk.img pw
qemu-img convert -q -n --object secret,id=s,file=pw -f raw payload \
  --target-image-opts driver=luks,key-secret=s,file.driver=file,file.filename=disk.img
# The areas of keyslots 1 to 7, which hold nothing: smaller so.
dd if=/dev/zero of=disk.img bs=512 seek=136 count=896 conv=notrunc status=none
xz -9 <disk.img >"$D/disk.img.xz"; cp pw "$D/pw"

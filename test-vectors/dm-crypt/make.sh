#!/bin/bash
# Writes sectors.toml beside this script: what a Linux kernel's dm-crypt makes of one plaintext, for many tables.
# Needs `apt-get install user-mode-linux kmod dmsetup`. Nothing in it is random.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# 8192 bytes; the 16 bytes at 16 x i are i in 15 decimal digits and a newline.
seq -f '%015.0f' 0 511 >plaintext
truncate -s 8192 disk

cat >guest.sh <<'GUEST'
set -euo pipefail
cd "$1"
sum() { sha256sum | cut -d' ' -f1; }

crypt() { # SPEC KEY_BYTES IV_OFFSET [SECTOR_SIZE [iv_large_sectors]]
	local spec=$1 iv_offset=$3 sector_size=${4:-512} large=false options key
	options="1 sector_size:$sector_size"
	[ $# -lt 5 ] || { large=true options="2 sector_size:$sector_size iv_large_sectors"; }
	key=$({ printf %s "$*" | sha256sum; printf %s "$* again" | sha256sum; } | cut -d' ' -f1 | tr -d '\n' | head -c $(($2 * 2)))
	dmsetup create case --table "0 16 crypt $spec $key $iv_offset /dev/ubda 0 $options"
	dmsetup mknodes case
	dd if=plaintext of=/dev/mapper/case bs=8192 conv=fsync,nocreat status=none
	dmsetup remove case
	blockdev --flushbufs /dev/ubda
	dd if=/dev/ubda of=ciphertext bs=8192 count=1 status=none
	cat <<CASE

[[case]]
spec = "$spec"
key = "$key"
iv_offset = "$iv_offset"
sector_size = $sector_size
iv_large_sectors = $large
head = "$(head -c 16 ciphertext | od -An -v -tx1 | tr -d ' \n')"
at_4096 = "$(tail -c 4096 ciphertext | head -c 16 | od -An -v -tx1 | tr -d ' \n')"
sha256 = "$(sum <ciphertext)"
CASE
}

{
	cat <<HEADER
# What dm-crypt of Linux $(uname -r) makes of 8192 bytes of plaintext, through the device-mapper table
# '0 16 crypt SPEC KEY IV_OFFSET DEVICE 0 sector_size:SECTOR_SIZE [iv_large_sectors]'. Made by make.sh.
# iv_offset counts 512-byte sectors; it is text, because TOML's integers end at 2^63.

plaintext_sha256 = "$(sum <plaintext)"
HEADER
	for key_bytes in 32 48 64; do
		for sector_size in 512 1024 2048 4096; do
			crypt aes-xts-plain64 $key_bytes 0 $sector_size
			crypt aes-xts-plain64 $key_bytes 4294967288 $sector_size
		done
		crypt aes-xts-plain64 $key_bytes 1099511627776 4096 large
		crypt aes-xts-plain $key_bytes 4294967288
	done
	crypt aes-xts-plain64 64 18446744073709551608
	crypt aes-xts-plain64 64 7
	crypt capi:xts'(aes)'-plain64 64 4294967295
	crypt aes-xts-plain64be 64 4294967288
	crypt aes-xts-null 32 12345
	crypt aes-xts-essiv:sha256 32 4294967288
	crypt aes-xts-essiv:sha256 64 4294967288 4096
	crypt aes-xts-essiv:sha256 64 8 4096 large
	crypt aes-xts-benbi 64 4294967288
	crypt aes-xts-benbi 64 576460752303423480
	crypt aes-xts-eboiv 32 4294967288
	crypt aes-xts-eboiv 48 1024 4096
	crypt aes-xts-eboiv 64 8 4096 large
	for key_bytes in 16 24 32; do
		crypt aes-cbc-plain $key_bytes 4294967288
		crypt aes-cbc-plain64 $key_bytes 4294967288 2048
		crypt aes-cbc-plain64be $key_bytes 4294967288 1024
		crypt aes-cbc-essiv:sha256 $key_bytes 4294967288
		crypt aes-cbc-essiv:sha256 $key_bytes 8 4096 large
		crypt aes-cbc-benbi $key_bytes 4294967288 1024 large
		crypt aes-cbc-eboiv $key_bytes 4294967288 4096
		crypt aes-cbc-eboiv $key_bytes 8 2048 large
		crypt aes-cbc-null $key_bytes 99
		crypt aes-ecb $key_bytes 99
	done
	crypt aes-cbc-benbi 32 576460752303423480
	crypt aes-cbc-eboiv 32 36028797018963960
	crypt aes-cbc-eboiv 32 36028797018963960 4096
	crypt aes 32 4294967288
	crypt aes-plain 32 4294967288
	crypt aes:1-cbc-plain64:ignored 32 4294967288
	crypt aes-ecb-plain64 32 99
} >sectors.toml
GUEST

echo "bash $scratch/guest.sh $scratch" >start.sh
"$here/../../xtask/uml-run" start.sh disk
cp sectors.toml "$here/sectors.toml"

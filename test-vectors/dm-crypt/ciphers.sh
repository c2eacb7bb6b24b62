#!/bin/bash
# Writes ciphers.toml beside this script: what a Linux kernel's dm-crypt makes of one plaintext with every cipher, mode and
# IV that it takes, and the list of what it refuses.
# Needs `apt-get install user-mode-linux kmod dmsetup`. Nothing in it is random. It takes some minutes.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

# 8192 bytes; the 16 bytes at 16 x i are i in 15 decimal digits and a newline.
seq -f '%015.0f' 0 511 >plaintext
truncate -s 16M disk

# One line for each table: SPEC KEY_BYTES IV_OFFSET SECTOR_SIZE LARGE, in turns of IV offsets and sector sizes.
offsets=(0 4294967288 1099511627776 18446744073709551608)
others=("1024 false" "2048 true" "4096 false" "4096 true")
turn=0
at() { # SPEC KEY_BYTES SECTOR_SIZE LARGE
	echo "$1 $2 ${offsets[turn % 4]} $3 $4"
	turn=$((turn + 1))
}
sizes() { # SPEC KEY_BYTES: at 512 bytes and at another size
	at "$1" "$2" 512 false
	# shellcheck disable=SC2086
	at "$1" "$2" ${others[turn / 2 % 4]}
}
all_sizes() { # SPEC KEY_BYTES
	local size
	for size in "512 false" "${others[@]}"; do
		# shellcheck disable=SC2086
		at "$1" "$2" $size
	done
}
combine() { # SIZES CIPHER BLOCK_BYTES KEY_BYTES ESSIV_HASH: every mode with every IV
	local at_sizes=$1 cipher=$2 block=$3 key=$4 mode iv bytes
	$at_sizes "$cipher-ecb" "$key"
	for mode in cbc ctr xts lrw; do
		case $mode in xts) bytes=$((2 * key)) ;; lrw) bytes=$((key + 16)) ;; *) bytes=$key ;; esac
		for iv in null plain plain64 plain64be "essiv:$5" benbi eboiv; do $at_sizes "$cipher-$mode-$iv" "$bytes"; done
		$at_sizes "$cipher-$mode-elephant" $((2 * bytes))
		$at_sizes "$cipher-$mode-tcw" $((bytes + block + 16))
	done
	$at_sizes "$cipher-cbc-lmk" "$key"
	$at_sizes "$cipher:64-cbc-lmk" $((64 * key))
	$at_sizes "$cipher:64-cbc-lmk" $((65 * key))
	$at_sizes "$cipher:2-cbc-plain64" $((2 * key))
	$at_sizes "$cipher:4-ecb" $((4 * key))
}
{
	combine all_sizes aes 16 32 sha256
	for cipher in serpent twofish camellia cast6 anubis; do combine sizes $cipher 16 32 sha256; done
	combine sizes seed 16 16 md5
	combine sizes blowfish 8 32 sha256
	combine sizes des3_ede 8 24 sha256
	for cipher in cast5 khazad tea xtea; do combine sizes $cipher 8 16 md5; done
	# Every size of key, and some that are none.
	key_sizes() { # CIPHER KEY_BYTES...
		local bytes
		for bytes in "${@:2}"; do at "$1-cbc-plain64" "$bytes" 512 false; done
	}
	key_sizes aes 15 16 24 32 33 40
	key_sizes serpent 16 17 20 24 31 32 33
	key_sizes twofish 16 20 24 32 33
	key_sizes camellia 16 20 24 32 33
	key_sizes cast6 16 18 20 24 28 32 36
	key_sizes anubis 16 18 20 24 28 32 36 40 44
	key_sizes seed 15 16 24
	key_sizes blowfish 3 4 7 16 20 48 55 56 57
	key_sizes des3_ede 8 16 24 32
	key_sizes cast5 4 5 9 10 11 12 15 16 17
	key_sizes khazad 15 16 24
	key_sizes tea 15 16 24
	key_sizes xtea 15 16 24
	for bytes in 32 48 64 33 80; do at aes-xts-plain64 $bytes 512 false; done
	for bytes in 32 40 48 56; do at aes-lrw-benbi $bytes 512 false; done
	# Every hash of ESSIV, with ciphers that take digests of many sizes.
	for hash in md4 md5 sha1 sha224 sha256 sha384 sha512 sha3-224 sha3-256 sha3-384 sha3-512 rmd160 wp256 wp384 wp512 \
		blake2b-160 blake2b-256 blake2b-384 blake2b-512 streebog256 streebog512 ripemd160 whirlpool stribog256; do
		at "blowfish-cbc-essiv:$hash" 16 512 false
		at "aes-cbc-essiv:$hash" 32 4096 true
	done
	for stream in xchacha12 xchacha20; do
		for iv in null plain plain64 plain64be benbi eboiv essiv:sha256; do all_sizes "$stream,aes-adiantum-$iv" 32; done
		all_sizes "$stream,aes-adiantum-elephant" 64
		for cipher in serpent twofish camellia cast6 anubis seed blowfish; do
			all_sizes "$stream,$cipher-adiantum-plain64" 32
		done
	done
	at aes-adiantum-plain64 32 512 false
	at xchacha8,aes-adiantum-plain64 32 512 false
	at xchacha12,aes-xts-plain64 32 512 false
	at cipher_null-ecb 0 512 false
	at cipher_null-cbc-plain64 0 4096 false
} >tables

# The digests that keys are made of, all by one process.
mkdir digests
row=0
while read -r spec key_bytes _; do
	for ((index = 0; 32 * index < key_bytes; index++)); do printf %s "$spec $key_bytes $index" >digests/$row-$index; done
	row=$((row + 1))
done <tables
(cd digests && find . -type f -printf '%P\0' | xargs -0 sha256sum) >sums
awk '
	FNR == NR { digests[$2] = $1; next }
	{
		key = ""
		for (index_ = 0; 32 * index_ < $2; index_++) key = key digests[row + 0 "-" index_]
		print $0, $2 == 0 ? "-" : substr(key, 1, 2 * $2)
		row++
	}
' sums tables >tables-with-keys

cat >guest.sh <<'GUEST'
set -uo pipefail
cd "$1"
mapfile -t rows <tables-with-keys
for ((copy = 0; copy < 16; copy++)); do cat plaintext; done >plaintexts

# Writes through COUNT tables from FIRST on, as segments of one device; where that is refused, through each half.
try() { # FIRST COUNT
	local row spec key_bytes iv_offset sector_size large key options
	for ((row = $1; row < $1 + $2; row++)); do
		read -r spec key_bytes iv_offset sector_size large key <<<"${rows[row]}"
		options="1 sector_size:$sector_size"
		[ "$large" = false ] || options="2 sector_size:$sector_size iv_large_sectors"
		echo "$((16 * (row - $1))) 16 crypt $spec $key $iv_offset /dev/ubda $((16 * row)) $options"
	done >table
	if dmsetup create case <table 2>/dev/null; then
		dd if=plaintexts of=/dev/dm-0 bs=8192 count="$2" conv=fsync,nocreat status=none || exit 1
		dmsetup remove case || exit 1
		for ((row = $1; row < $1 + $2; row++)); do echo "taken $row ${rows[row]}"; done
	elif [ "$2" -eq 1 ]; then
		echo "refused $1 ${rows[$1]}"
	else
		try "$1" $(($2 / 2))
		try $(($1 + $2 / 2)) $(($2 - $2 / 2))
	fi
}
for ((first = 0; first < ${#rows[@]}; first += 16)); do
	left=$((${#rows[@]} - first))
	try $first $((left < 16 ? left : 16))
done >results
blockdev --flushbufs /dev/ubda
uname -r >release
GUEST

echo "bash $scratch/guest.sh $scratch" >start.sh
UML_TIMEOUT=3000 "$here/../../xtask/uml-run" start.sh disk

{
	cat <<HEADER
# What dm-crypt of Linux $(cat release) makes of 8192 bytes of plaintext, through the device-mapper table
# '0 16 crypt SPEC KEY IV_OFFSET DEVICE 0 sector_size:SECTOR_SIZE [iv_large_sectors]'. Made by ciphers.sh.
# The key is the beginning of the SHA-256 digests of "SPEC KEY_BYTES 0", "SPEC KEY_BYTES 1", ... IV offsets are text, because
# TOML's integers end at 2^63.

plaintext_sha256 = "$(sha256sum <plaintext | cut -d' ' -f1)"

# spec, key_bytes, iv_offset, sector_size, iv_large_sectors, sha256 of the ciphertext
taken = [
HEADER
	while read -r kind at spec key_bytes iv_offset sector_size large _; do
		[ "$kind" = taken ] || continue
		sum=$(dd if=disk bs=8192 skip="$at" count=1 status=none | sha256sum | cut -d' ' -f1)
		echo "    [\"$spec\", $key_bytes, \"$iv_offset\", $sector_size, $large, \"$sum\"],"
	done <results
	printf ']\n\n# spec, key_bytes, sector_size, iv_large_sectors\nrefused = [\n'
	awk '$1 == "refused" { printf "    [\"%s\", %s, %s, %s],\n", $3, $4, $6, $7 }' results
	echo ']'
} >ciphers.toml
cp ciphers.toml "$here/ciphers.toml"

#!/bin/bash
# Writes keys.toml beside this script: the key that cryptsetup makes of a passphrase or a key file for a plain volume, as
# the kernel's device-mapper table then holds it. Needs `apt-get install cryptsetup-bin user-mode-linux kmod dmsetup`.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"
truncate -s 1M disk

cat >guest.sh <<'GUEST'
set -uo pipefail
cd "$1"

opens() { # CIPHER [OPTION...]: with standard input `input`
	cryptsetup open --batch-mode --type plain --cipher "$1" "${@:2}" /dev/ubda case <input 2>/dev/null
}

# VIA is how cryptsetup gets the input: stdin (no --key-file), dash (--key-file=-), file (--key-file FILE).
key() { # VIA HASH KEY_BITS INPUT (with printf's escapes)
	local cipher=aes-cbc-plain64 options=(--key-size "$3") hash=
	[ "$3" -le 256 ] || cipher=aes-xts-plain64
	[ "$2" = none ] || { options+=(--hash "$2"); hash="hash = \"$2\""; }
	# shellcheck disable=SC2059
	printf "$4" >input
	case $1 in
	dash) options+=(--key-file=-) ;;
	file) options+=(--key-file=input) ;;
	esac
	printf '\n[[case]]\nvia = "%s"\n%s\nkey_bits = %d\ninput = "%s"\n' "$1" "$hash" "$3" "$(od -An -v -tx1 input | tr -d ' \n')" | grep -v '^$' | sed '1i\\'
	if opens "$cipher" "${options[@]}"; then
		printf 'key = "%s"\n' "$(dmsetup table --showkeys case | cut -d' ' -f5)"
		dmsetup remove case
	else
		echo 'refused = true'
	fi
}

long=$(printf '0123456789%.0s' $(seq 60))
{
	cat <<HEADER
# The keys that $(cryptsetup --version | cut -d' ' -f1-2) makes for plain volumes, read from the kernel's table. Made by make.sh.
# via: how cryptsetup gets the input. stdin: as a passphrase, up to the first newline. dash: --key-file=-, all of it.
# file: --key-file FILE. input and key are in hexadecimal; no hash: --hash is not given.
HEADER
	for hash in sha1 sha224 sha256 sha384 sha512 ripemd160 whirlpool; do
		for bits in 128 192 256 512; do key stdin $hash $bits xxx; done
		key dash $hash 256 'xxx\n'
		key stdin $hash 256 ''
	done
	key stdin sha256 256 'xxx\n'
	key stdin sha256 256 'xxx\nyyy'
	key dash sha256 256 'xxx'
	key dash sha256 256 'xxx\nyyy\n'
	key dash sha256 256 'x\000y'
	key stdin sha256 256 'x\000y'
	key stdin sha256 256 "$long"
	key dash sha1 512 "$long"
	key stdin SHA256 256 xxx
	for count in 0 1 16 20 32 33 64 65; do
		key stdin sha256:$count 256 xxx
		key stdin sha1:$count 512 xxx
	done
	for bad in sha256: sha256:xx sha256:-1 sha256:+8 sha256:1x 'sha256: 8' sha256:8:8 :8 nosuchhash '' plain: plain:xx plainx; do
		key stdin "$bad" 256 xxxxxxxx
	done
	key stdin plain 256 xxxxxxxx
	key stdin plain 128 0123456789abcdef0123456789abcdef
	key stdin plain 256 0123456789abcdef0123456789abcdef
	key stdin plain 256 ''
	key dash plain 256 'xxx\n'
	for count in 0 2 8 9 32 33; do key stdin plain:$count 256 xxxxxxxx; done
	key dash plain:4 256 'xxx\n'
	for hash in none sha256 sha256:4 plain plain:4; do
		key file $hash 128 0123456789abcdef0123456789abcdef
		key file $hash 256 0123456789abcdef0123456789abcde
	done
	key file none 256 '0123456789abcdef\n0123456789abcde'
	key file none 512 "$long"
	key file none 256 ''
} >keys.toml
GUEST

echo "bash $scratch/guest.sh $scratch" >start.sh
UML_TIMEOUT=900 "$here/../../xtask/uml-run" start.sh disk
cp keys.toml "$here/keys.toml"

# shellcheck shell=bash
# What the commands in index.toml may use. They run in a scratch folder of their own that holds `pattern` (the payload),
# `passphrase` (that of the entry, or of its first keyslot) and `passphrase.N` (that of keyslot N).

# The cheapest key derivations that cryptsetup allows: these images are for tests, not for secrets.
# shellcheck disable=SC2034
{
	pbkdf2=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000)
	argon2id=(--pbkdf argon2id --pbkdf-memory 32 --pbkdf-force-iterations 4 --pbkdf-parallel 1)
	argon2i=(--pbkdf argon2i --pbkdf-memory 32 --pbkdf-force-iterations 4 --pbkdf-parallel 1)
}

# The program that makes and checks seals of headers.
# shellcheck disable=SC2034
seal=$(dirname "${BASH_SOURCE[0]}")/seal/seal.py

# Both leave room for ${payload_bytes:-65536} bytes of data, with the passphrase in slot 0.

format_luks1() { # OPTION...
	truncate -s 16M image
	cryptsetup luksFormat --batch-mode --type luks1 --pbkdf-force-iterations 1000 "$@" image passphrase
	cut_after "$(cryptsetup luksDump image | awk '/^Payload offset:/ { print $3 * 512 }')"
}

format_luks2() { # OPTION...
	truncate -s 16M image
	cryptsetup luksFormat --batch-mode --type luks2 "$@" image passphrase
	cut_after "$(cryptsetup luksDump image | awk '$1 == "offset:" { print $2 }')"
}

cut_after() { # OFFSET of the data
	truncate -s $(($1 + ${payload_bytes:-65536})) image
}

qemu_luks() { # OPTION...: qemu-img's LUKS1 with the pattern in it; 10 ms is the least time that it takes
	qemu-img convert -q -f raw -O luks --object secret,id=s,file=passphrase \
		-o "key-secret=s,iter-time=10,$1" pattern image
}

fill() { # SOURCE OPTION...: in the kernel, opens the image and writes SOURCE over all of it through dm-crypt
	cat "$1" >source
	cryptsetup open --key-file passphrase "${@:2}" golden
	[ "$(blockdev --getsize64 /dev/mapper/golden)" = "$(stat -c %s source)" ]
	dd if=source of=/dev/mapper/golden bs=64k conv=fsync status=none
	echo 3 >/proc/sys/vm/drop_caches
	cmp source /dev/mapper/golden
	cryptsetup close golden
}

# cryptsetup fills what lies between the keyslots' areas with noise, which would only be stored. No structure of a header
# uses those bytes and no checksum covers them: they are zeroed.

blank_unused_luks1() { # FILE [END]
	cryptsetup luksDump "$1" | awk '
		/^MK bits:/ { bytes = int(($3 / 8 * 4000 + 511) / 512) * 512 }
		/^Key Slot / { used = /ENABLED/ }
		/Key material offset:/ && used { print $4 * 512, bytes }
	' | blank_between "$1" 4096 "${2:-$(($(cryptsetup luksDump "$1" | awk '/^Payload offset:/ { print $3 }') * 512))}"
}

blank_unused_luks2() { # FILE END
	cryptsetup luksDump "$1" | awk '/Area offset:/ { sub(/.*:/, ""); offset = $1 } /Area length:/ { sub(/.*:/, ""); print offset, $1 }' |
		blank_between "$1" $(($(cryptsetup luksDump "$1" | awk '/^Metadata area:/ { print $3 }') * 2)) "$2"
}

blank_between() { # FILE START END <"offset length" of each area that is used
	local from=$2 offset length
	while read -r offset length; do
		blank "$1" "$from" "$offset"
		from=$((offset + length))
	done < <(sort -n)
	blank "$1" "$from" "$3"
}

blank() { # FILE START END
	[ "$2" -ge "$3" ] ||
		dd if=/dev/zero of="$1" bs=512 seek=$(($2 / 512)) count=$((($3 - $2) / 512)) conv=notrunc status=none
}

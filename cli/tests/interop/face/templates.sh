# What the rows work on, made by the real cryptsetup in the folder that this runs in.
set -e
cheap='-q --pbkdf pbkdf2 --pbkdf-force-iterations 1000'
small='--luks2-keyslots-size 2M'
for word in pw two three four wrong; do printf %s "$word" >"$word"; done
printf 'pw\n' >pw-newline
: >empty
printf 'pwpwpw' >long
head -c 8388609 /dev/zero >huge
head -c 64 /dev/zero | tr '\0' 'a' >vk64
head -c 32 /dev/zero | tr '\0' 'b' >vk32
printf '%064d' 1234567890123456789 >vk-new
mkdir dir
truncate -s 4M blank
truncate -s 4194816 odd
truncate -s 100K tiny
head -c 4194304 /dev/zero | tr '\0' 'x' >filled

# Two passphrases: pw in keyslot 0, two in keyslot 1.
new() { # image, options
    image=$1; shift
    truncate -s 4M "$image"
    cryptsetup luksFormat $cheap "$@" "$image" pw
    cryptsetup luksAddKey $cheap "$image" two -d pw
}
new l2 $small --sector-size 512 --label name --subsystem sub
new l2s $small
new l1 --type luks1
new l1s --type luks1 -s 256
cp l1 l1meta; luksmeta init -f -d l1meta
for image in l1 l2; do
    cp $image one$image; cryptsetup luksKillSlot -q one$image 1 -d pw
    cp $image none$image; cryptsetup erase -q none$image
done
cp l2 unbound
printf three | cryptsetup luksAddKey $cheap --unbound -s 128 -S 7 unbound three
cp l2 prio
cryptsetup config --priority prefer -S 1 prio
cryptsetup config --priority ignore -S 0 prio
cp l2 tok
cryptsetup token add --key-description first tok
cryptsetup token add --key-description second -S 1 tok
printf '{"type":"other","keyslots":["0"],"key":"value"}' | cryptsetup token import --token-id 5 tok
for slot in 2 3 4 5 6 7; do
    printf "slot$slot" >key; cryptsetup luksAddKey $cheap -S $slot -d pw l1 key 2>/dev/null >/dev/null
done
mv l1 full1
new l1 --type luks1
rm key
cryptsetup luksHeaderBackup l1 --header-backup-file l1.bak
cryptsetup luksHeaderBackup l2 --header-backup-file l2.bak
cryptsetup luksHeaderBackup l1s --header-backup-file l1s.bak
cp l1 ex1; cryptsetup luksUUID -q --uuid 12345678-1234-1234-1234-123456789abc ex1
cp l1 l1to2; cryptsetup convert -q --type luks2 l1to2
truncate -s 20M det-data
truncate -s 4M det1
cryptsetup luksFormat $cheap --type luks1 --header det1 det-data pw
truncate -s 4M det2
cryptsetup luksFormat $cheap $small --header det2 det-data pw
cryptsetup luksDump -q --dump-volume-key --volume-key-file l2.vk l2 -d pw >/dev/null
cryptsetup luksDump -q --dump-volume-key --volume-key-file l1.vk l1 -d pw >/dev/null
printf '{"type":"x","keyslots":["0"]}' >token
printf '{"type":"x","keyslots":["9"]}' >token-bad
printf '{"type":"luks2-keyring","keyslots":[],"key_description":"d"}' >token-ring
printf 'nothing' >token-not
truncate -s 4M ext2
# The magic number in a superblock is enough to be recognised.
printf '\123\357' | dd of=ext2 bs=1 seek=1080 conv=notrunc 2>/dev/null
for way in checksum journal; do
    cp l2 recrypt-$way
    printf pw | cryptsetup reencrypt $cheap --init-only --force-offline-reencrypt --resilience $way -S 0 recrypt-$way 2>recrypt.log ||
        { cat recrypt.log; exit 1; }
done
rm recrypt.log
# The same text put in place of another one in the JSON of both copies of a header, with checksums that fit.
rewritten() { # image, old, new
    python3 -c '
import hashlib, sys
name, old, new = sys.argv[1:]
image = bytearray(open(name, "rb").read())
for copy in (0, 16384):
    text = bytes(image[copy + 4096:copy + 16384]).rstrip(b"\0")
    assert text.count(old.encode()) == 1, text
    image[copy + 4096:copy + 16384] = text.replace(old.encode(), new.encode()).ljust(12288, b"\0")
    image[copy + 448:copy + 512] = bytes(64)
    image[copy + 448:copy + 480] = hashlib.sha256(image[copy:copy + 16384]).digest()
open(name, "wb").write(image)
' "$@"
}
cp recrypt-checksum recrypt-forged; rewritten recrypt-forged '"direction":"forward"' '"direction":"backward"'
cp recrypt-checksum recrypt-twice; rewritten recrypt-twice '["online-reencrypt-v2"]' '["online-reencrypt-v2","online-reencrypt-v3X"]'
cp recrypt-checksum recrypt-later; rewritten recrypt-later '["online-reencrypt-v2"]' '["online-reencrypt-v4"]'
cp recrypt-checksum recrypt-two; rewritten recrypt-two '["online-reencrypt-v2"]' '["online-reencrypt-v2","online-reencrypt-v3"]'
# Every kind of job in place, begun; two that a crash cut off; and what has no digest.
begun() { cryptsetup reencrypt $cheap --init-only --force-offline-reencrypt "$@" -d pw >/dev/null; }
cp onel2 re-init; begun re-init
cp filled enc-shift; begun enc-shift --encrypt --reduce-device-size 2M
cp filled enc-det; begun enc-det --encrypt --header enc-det.h
cp onel2 dec-shift; begun dec-shift --decrypt --header dec-shift.h
cp enc-det full-det; cp enc-det.h full-det.h
cryptsetup reencrypt $cheap --resume-only --force-offline-reencrypt full-det --header full-det.h -d pw
cp full-det dec-det; cp full-det.h dec-det.h; begun dec-det --decrypt --header dec-det.h
for way in checksum journal; do
    cp re-init hot-$way
    strace -f -o /dev/null -e inject=fdatasync:signal=KILL:when=2 cryptsetup reencrypt $cheap --resume-only \
        --force-offline-reencrypt hot-$way -d pw --hotzone-size 64k --resilience $way || true
    cryptsetup luksDump hot-$way | grep -q in-reencryption
done
# The JSON without the digest of the state, and by the flag of before there was one.
unproven() { # image, flag
    python3 -c '
import hashlib, json, sys
name, flag = sys.argv[1:]
image = bytearray(open(name, "rb").read())
for copy in (0, 16384):
    text = json.loads(bytes(image[copy + 4096:copy + 16384]).rstrip(b"\0"))
    is_of_state = lambda it: not it["segments"] and all(text["keyslots"][slot]["type"] == "reencrypt" for slot in it["keyslots"])
    text["digests"] = {id: it for id, it in text["digests"].items() if not is_of_state(it)}
    text["config"]["requirements"]["mandatory"] = [flag]
    image[copy + 4096:copy + 16384] = json.dumps(text, separators=(",", ":")).encode().ljust(12288, b"\0")
    image[copy + 448:copy + 512] = bytes(64)
    image[copy + 448:copy + 480] = hashlib.sha256(image[copy:copy + 16384]).digest()
open(name, "wb").write(image)
' "$@"
}
cp re-init nodigest; unproven nodigest online-reencrypt-v2
cp re-init oldflag; unproven oldflag online-reencrypt
cp hot-checksum oldflag-hot; unproven oldflag-hot online-reencrypt
cp enc-shift oldflag-enc; unproven oldflag-enc online-reencrypt

# Damaged: image, offset in bytes, what stands there then.
damage() {
    cp "$2" "$1"; printf "$4" | dd of="$1" bs=1 seek="$3" conv=notrunc 2>/dev/null
}
damage nomagic l2 0 '\0\0\0\0\0\0'
damage bad-first l2 4200 '\377'
damage bad-second l2 20584 '\377'
damage foreign l2 1080 '\123\357'
# Keyslot N of LUKS1 stands at 208 + 48 N: state, 4; salt, 8; area, 40; stripes, 44.
damage stripes-used l1 252 '\0\0\0\0'
damage stripes-free l1 492 '\0\0\0\0'
damage place-free l1 488 '\0\0\0\1'
damage state ex1 448 '\0\0\0\1'
damage upper l1 72 SHA256
damage mark l1 510 '\125\252'
damage ecb l1 40 'ecb-xts\0\0\0\0'

# Left half way by a crash: keyslots 0 and 1 hold the old and the new key.
tar -xJf "${0%/*}/../../../../test-vectors/reencrypt/images.tar.xz" reencrypt-init reencrypt-checksum-hot-torn \
    reencrypt-finished reencrypt-finished-old-key-gone \
    encrypt-detached-checksum-torn.hdr forged-no-digest forged-mode-decrypt
printf golden >golden
cryptsetup luksHeaderBackup reencrypt-init --header-backup-file reencrypt-init.bak
# Its old key, that of l2, is opened by pw only, the new one by two only.
cp l2 recrypt-split
printf 'pw\ntwo\n' | cryptsetup reencrypt $cheap --init-only --force-offline-reencrypt recrypt-split 2>/dev/null
for slot in 1 2; do cryptsetup luksKillSlot -q recrypt-split $slot; done
cryptsetup luksDump -q --dump-volume-key --volume-key-file new.vk recrypt-split -S 3 -d two >/dev/null

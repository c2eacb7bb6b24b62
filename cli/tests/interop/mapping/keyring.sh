# --- Volume keys in and out of keyrings of the kernel's, and devices by their UUID, on cryptsetup's command line.
section keyring
face() { # CODE WORDS...
	local want=$1
	shift
	run "$want" cryptsetup "$@"
}
keyctl new_session >/dev/null 2>&1
D="--key-file key"
face 0 luksDump luks512 --dump-volume-key -q $D
"$L" key export luks512 -q $K --volume-key-file volume >out 2>err || wrong "no volume key: $(cat err)"

# The volume key goes to where it is linked to, and nowhere when nothing is opened.
: >nothing
for to in '@s::linked' '@s::%user:linked'; do
	face 0 open --test-passphrase luks512 $D --link-vk-to-keyring "$to"
	keyctl pipe "$(keyctl search @s user linked)" | cmp -s - volume || wrong "$to: another key"
	keyctl purge user linked >/dev/null
	face 2 open --test-passphrase luks512 --key-file raw --keyfile-size 8 --link-vk-to-keyring "$to"
	! keyctl search @s user linked 2>nothing || wrong "$to: a key though none fits"
done
keyctl newring hook @s >/dev/null
face 0 open luks512 t $D --link-vk-to-keyring %:hook::%logon:a:b
ring=$(keyctl search @s keyring hook)
keyctl rlist "$ring" | grep -q . || wrong 'no logon key'
keyctl clear "$ring"
face 5 open luks512 t $D --link-vk-to-keyring %:hook::again
[ -z "$(keyctl rlist "$ring")" ] || wrong 'a key of what was not opened is left'
face 1 open --test-passphrase luks1 $D --link-vk-to-keyring @s::x
says 'This operation is supported only for LUKS2 device.'
face 1 open --test-passphrase luks512 $D --link-vk-to-keyring %:nobody::x
says 'Could not find keyring described by "%:nobody".'
face 0 close t
# Whoever resumes has it, too.
face 0 open luks512 t $D
face 0 luksSuspend t
face 2 luksResume t --key-file raw --keyfile-size 8 --link-vk-to-keyring %:hook::resumed
[ -z "$(keyctl rlist "$ring")" ] || wrong 'a key of what was not resumed is left'
face 0 luksResume t $D --link-vk-to-keyring %:hook::resumed
awake t
keyctl pipe "$(keyctl search @s user resumed)" | cmp -s - volume || wrong 'luksResume linked another key'
keyctl clear "$ring"
face 0 close t

# A volume key out of a keyring opens, resumes and adds keyslots.
keyctl padd user vk @s <volume >/dev/null
keyctl padd user wrong @s <vk >/dev/null
for description in vk %user:vk; do
	face 0 open luks512 t --volume-key-keyring "$description"
	cmp -s -n 32768 raw /dev/mapper/t || wrong "$description: another plaintext"
	dmsetup table --showkeys t >ours
	face 0 close t
	real open luks512 t $D
	dmsetup table --showkeys t | cmp -s - ours || wrong "$description: another table: $(cat ours)"
	face 0 luksSuspend t
	face 2 luksResume t --volume-key-keyring wrong
	dmsetup info t | grep -q SUSPENDED || wrong "$description: resumed with another key"
	face 0 luksResume t --volume-key-keyring "$description"
	cmp -s -n 32768 raw /dev/mapper/t || wrong "$description: another plaintext after luksResume"
	face 0 close t
done
face 2 open luks512 t --volume-key-keyring wrong
face 1 open luks512 t --volume-key-keyring none
says 'Failed to read volume key candidate from keyring.'
cp luks512 added
printf new >new
face 0 luksAddKey added new --volume-key-keyring vk --pbkdf pbkdf2 --pbkdf-force-iterations 1000
real open --test-passphrase added --key-file new
face 2 luksAddKey added new --volume-key-keyring wrong --pbkdf pbkdf2 --pbkdf-force-iterations 1000

# A new volume key out of a keyring.
cp luks512 anew
face 0 reencrypt anew -q $D -S 0 --force-offline-reencrypt --new-volume-key-keyring wrong --pbkdf pbkdf2 --pbkdf-force-iterations 1000
"$L" key export anew -q $K --volume-key-file made >out 2>err || wrong "no volume key: $(cat err)"
cmp -s made vk || wrong 'another volume key than that of the keyring'
rm -f made added anew

# A token's passphrase needs no standard input, not even one that is open.
cp luks512 tokened
keyctl padd user pass @s <key >/dev/null
face 0 token add tokened --key-description pass
"$L" cryptsetup open --test-passphrase --token-only tokened <&- 2>err || wrong "standard input is closed: $(cat err)"

# A token opens the keyslot that is named, if it is one of its own.
cheap='--pbkdf pbkdf2 --pbkdf-force-iterations 1000'
printf first >first
face 0 luksAddKey tokened first $D $cheap
face 1 open -v --test-passphrase --token-only -S 1 tokened
grep -q 'No usable token is available.' out || wrong "no token is of keyslot 1: $(cat out err)"
face 0 open --test-passphrase -S 1 tokened --key-file first
face 0 open --test-passphrase --token-only -S 0 tokened
face 1 open --test-passphrase --token-only -S 7 tokened
"$L" cryptsetup open -v --test-passphrase -S 1 tokened <first >out 2>err || wrong "no passphrase behind a token: $(cat err)"
grep -q 'Key slot 1 unlocked' out || wrong "another keyslot than the one that is named: $(cat out)"

# Any token for a new keyslot is what has opened: a token, or the passphrase that was given.
keyslots() { "$L" cryptsetup luksDump --dump-json-metadata tokened </dev/null | tr -d ' \n' | grep -o '"tokens":{"0":{[^}]*}'; }
face 0 luksAddKey tokened --token-id 0 --new-token-id -1 --new-key-slot 2 $cheap
real open --test-passphrase -S 2 tokened $D
keyslots | grep -q '"keyslots":\["0","2"\]' || wrong "the token is not of the new keyslot: $(keyslots)"
face 0 luksAddKey tokened --key-file first --new-token-id -1 --new-key-slot 3 $cheap
says 'the new keyslot has the passphrase that was given'
real open --test-passphrase -S 3 tokened --key-file first
keyslots | grep -q '"keyslots":\["0","2"\]' || wrong "the token is of a keyslot that it does not open: $(keyslots)"
face 1 luksAddKey tokened --volume-key-file volume --new-token-id -1 $cheap
face 1 luksAddKey tokened --token-id 0 --new-token-id -2 $cheap
rm -f tokened volume first

# Devices by their UUID, as udev links them.
mkdir -p /dev/disk/by-uuid
loop=$(losetup -f --show luks512)
uuid=$("$L" cryptsetup luksUUID luks512 </dev/null)
ln -sf "$loop" "/dev/disk/by-uuid/$uuid"
face 0 open "UUID=${uuid^^}" t $D
cmp -s -n 32768 raw /dev/mapper/t || wrong 'another plaintext by UUID'
face 0 close t
face 0 luksDump "UUID=$uuid"
face 0 isLuks "UUID=$uuid"
face 4 luksFormat -q "UUID=$uuid" key
losetup -d "$loop"
rm "/dev/disk/by-uuid/$uuid"
nothing_left keyring

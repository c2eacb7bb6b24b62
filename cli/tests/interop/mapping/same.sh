# --- The same mapping, and closed by the other one.
# same WORDS: what of both programs opens it, without the name.
same() {
	local theirs ours
	real open "$@" t
	theirs=$(facts t)
	cryptsetup status t >real.status 2>&1
	run 0 close t
	nothing_left "closing cryptsetup's $*"
	run 0 open "${1}" t "${@:2}"
	ours=$(facts t)
	[ "$ours" = "$theirs" ] || wrong "open $*: $(diff <(echo "$theirs") <(echo "$ours"))"
	cryptsetup status t >our.status 2>&1
	cmp -s real.status our.status || wrong "status $*: $(diff real.status our.status)"
	no_key_left "open $*"
	# cryptsetup's can be written even for --readonly.
	case "$*" in *--readonly*) [ "$(losetup -nO RO | tr -d ' ')" = 1 ] || wrong "open $*: its loop device can be written" ;; esac
	cmp -s raw /dev/mapper/t || wrong "$*: the plaintext is another one"
	real close t
	nothing_left "cryptsetup closing $*"
}

section same
same luks1 $K
same luks512 $K
same luks4096 $K
same luks4096 $K --disable-keyring --allow-discards --perf-same_cpu_crypt
same luks512 $K --perf-submit_from_crypt_cpus --perf-no_read_workqueue --perf-no_write_workqueue --readonly
same data $K --header header
same plain --type plain -c aes-xts-plain64 -s 512 --key-file vk
same plain4096 --type plain -c aes-cbc-essiv:sha256 -s 256 --key-file vk -o 8 -p 24 --sector-size 4096 --iv-large-sectors

# IVs that do not begin with 0, which cryptsetup does not look at.
run 0 open tweaked t $K
cmp -s raw /dev/mapper/t || wrong "tweaked: the plaintext is another one"
set -- $(dmsetup table t)
[ "$6" = 24 ] || wrong "tweaked: $*"
run 0 close t

# --- Written through a mapping of ours, read by nothing but us.
section written
for c in luks1 luks512 luks4096 tweaked; do
	cp $c copy
	run 0 open copy t $K
	cat other >/dev/mapper/t
	run 0 close t
	run 0 decrypt -q copy back $K
	cmp -s other back || wrong "$c: what was written is not read"
	rm copy back
done

# --- Names.
section names
for name in 'my name' 'ü' '~ %' 'a\x20b' "$(printf 'a%.0s' {1..127})"; do
	real open luks512 "$name" $K
	theirs=$(dmsetup info -c --noheadings -o mangled_name,mangled_uuid; ls /dev/mapper)
	run 0 close "$name"
	run 0 open luks512 "$name" $K
	ours=$(dmsetup info -c --noheadings -o mangled_name,mangled_uuid; ls /dev/mapper)
	[ "$ours" = "$theirs" ] || wrong "name $name: $(diff <(echo "$theirs") <(echo "$ours"))"
	real close "$name"
	nothing_left "$name"
done
for name in . .. control a/b '' "$(printf 'a%.0s' {1..128})"; do
	run 1 open luks512 "$name" $K
	says 'no name for a mapping'
done
nothing_left names

# --- In use, found before a passphrase is.
section used
run 0 open luks512 t $K
run 5 open luks4096 t --key-file missing
says 't is active already'
run 5 open luks512 u --key-file missing
says 'luks512 is in use: loop0 is mapped as t'
run 0 open luks512 u $K --shared
run 0 close u
run 0 --help
# Mounted, read, held.
mkfs.ext2 -q -b 4096 /dev/mapper/t 2>err || wrong "mkfs: $(cat err)"
mkdir -p /run/m
mount /dev/mapper/t /run/m
run 5 close t
says 'still in use: mounted at /run/m'
run 0 close t --deferred
run 0 status t --json
grep -q '"deferred":true' out || wrong "not deferred: $(cat out)"
[ ! -e /dev/mapper/t ] || wrong "a name is left of what is to go"
run 0 close t --cancel-deferred
[ -b /dev/mapper/t ] || wrong "what is kept after all has no name: $(ls /dev/mapper)"
umount /run/m
# Merely open: tried for five seconds, five times in each, and then no longer; or until it is let go.
removals() { # WHEN THE KERNEL SAYS BUSY, OR NEVER
	strace -f -o trying -P /dev/mapper/control -e trace=ioctl ${1:+-e inject=ioctl:error=EBUSY:when=$1} \
		timeout -k 5 600 "$L" close t >out 2>err </dev/null 9<&-
	code=$?
	tries=$(grep -c DM_DEV_REMOVE trying)
}
exec 9</dev/mapper/t || wrong "t cannot be opened"
removals
[ $code = 5 ] && [ $tries = 26 ] || wrong "close of what is open: exit $code after $tries tries: $(cat err)"
says 't is still in use'
exec 9<&-
# What is asked first is whether it is there.
removals 2..4
[ $code = 0 ] && [ $tries = 4 ] || wrong "close of what was open: exit $code after $tries tries: $(cat err)"
run 4 close t
says 't is not active'
run 4 status t
nothing_left used
# A block device.
losetup /dev/loop5 luks512
run 0 open /dev/loop5 t $K
run 5 open /dev/loop5 u --key-file missing
says '/dev/loop5 is in use: mapped as t'
run 5 open luks512 u --key-file missing
run 0 close t
mkfs.ext2 -q -F /dev/loop5 && mount /dev/loop5 /run/m
run 5 open /dev/loop5 u --type plain -c aes-xts-plain64 -s 512 --key-file missing
says 'mounted at /run/m'
umount /run/m
losetup -d /dev/loop5
cp pristine luks512

# --- Documents for programs.
section json
run 0 open luks4096 'a b' $K --json; cat out >>json
run 0 open data d --header header $K --json --persistent --allow-discards; cat out >>json
run 0 open plain4096 p --type plain -c aes-cbc-essiv:sha256 -s 256 --key-file vk -o 8 -p 24 --sector-size 4096 --iv-large-sectors --json; cat out >>json
dmsetup create foreign --table '0 8 zero' 2>err || dmsetup create foreign --table '0 8 error'
dmsetup create --notable -u CRYPT-PLAIN-half half
run 0 status --json; cat out >>json
grep -q foreign out && wrong "status has a foreign mapping: $(cat out)"
run 0 status foreign --json; cat out >>json
run 1 close foreign
says 'no mapping of an encrypted volume'
dmsetup remove foreign
run 0 status half
grep -q 'without a table' out || wrong "status half: $(cat out)"
run 5 open luks512 half --key-file missing
says 'without a table'
for name in 'a b' d p half; do
	run 0 close "$name" --json; cat out >>json
done
cryptsetup luksDump header | grep -q '^Flags:.*allow-discards' || wrong "not persistent"
run 0 open data d --header header $K
dmsetup table d | grep -q allow_discards || wrong "the persistent flag is not taken"
run 0 close d
nothing_left json

# --- What is open, changed: by us and by the other one in turn.
section changed
table() { dmsetup table --showkeys t | sed "s/:64:logon:[^ ]*/KEY/"; }
state() { dmsetup info t | grep -E '^(State|Tables present|Event)' | tr '\n' ' '; dmsetup table --showkeys t; }
# both OURS THEIRS: after either the mapping is the same. It is opened by the other one, each time anew.
both() {
	local ours theirs
	real open $C t $K
	run 0 mapping $1
	ours=$(state)
	real close t
	run 0 open $C t $K
	cryptsetup -q $2 >out 2>err </dev/null || wrong "cryptsetup $2: $(cat err)"
	theirs=$(state)
	run 0 close t
	[ "$ours" = "$theirs" ] || wrong "$C, mapping $1: $(diff <(echo "$theirs") <(echo "$ours"))"
	no_key_left "$1"
}
for C in luks1 luks4096; do
	both "resize t --size 64 $K" "resize t --size 64 $K"
	both "resize t --device-size 128K $K" "resize t --device-size 128K $K"
	both "refresh t --allow-discards --perf-same_cpu_crypt $K" "refresh t --allow-discards --perf-same_cpu_crypt $K"
done
C=luks4096
both "refresh t --disable-keyring $K" "refresh t --disable-keyring $K"
both "suspend t" "luksSuspend t"
for C in luks1 luks512; do
	# Suspended by one, resumed by the other; nothing is read meanwhile, and no key is in the kernel.
	run 0 open $C t $K
	run 0 mapping suspend t
	dmsetup table --showkeys t | grep -qE ' (0+|:64:logon:[^ ]*|-) ' || wrong "$C suspended: $(dmsetup table --showkeys t)"
	no_key_left "suspend $C"
	run 0 status t
	grep -q 't: suspended' out || wrong "suspended $C: $(cat out)"
	run 1 mapping suspend t
	run 1 mapping resize t $K
	run 1 mapping refresh t $K
	real luksResume t $K
	cmp -s raw /dev/mapper/t || wrong "$C resumed by cryptsetup: another plaintext"
	real luksSuspend t
	run 2 mapping resume t --key-file vk
	run 0 mapping resume t $K
	cmp -s raw /dev/mapper/t || wrong "$C resumed by us: another plaintext"
	run 1 mapping resume t $K
	says 't is not suspended'
	no_key_left "resume $C"
	run 0 close t
done
# A header of another container is refused, whatever it has in common.
run 0 open luks512 t $K
cp luks512 other512
run 0 header config -q other512 --uuid 01234567-89ab-4def-8123-456789abcdef
for header in luks4096 luks1 tweaked other512; do
	run 4 mapping refresh t --header $header $K
	says "is not what t is a mapping of"
done
echo 'uuid = []' >none
for verb in resize refresh; do
	run 4 mapping $verb t $K --policy none
	says 'refused by the policy'
done
run 0 mapping suspend t
run 4 mapping resume t $K --policy none
run 4 mapping resume t --header other512 $K
run 0 mapping resume t --header luks512 $K
# Sizes that are none.
for size in 1 63 1000000 18446744073709551615; do
	run $([ $size = 1 -o $size = 63 ] && echo 0 || echo 1) mapping resize t --size $size $K
done
run 0 mapping resize t $K
[ "$(blockdev --getsize64 /dev/mapper/t)" = $(stat -c %s raw) ] || wrong "not the whole device: $(dmsetup table t)"
run 0 close t
rm other512
# The file grows, and the mapping after it.
cp luks4096 grown
run 0 open grown t $K
truncate -s +65536 grown
run 1 mapping resize t --size 3 $K
run 0 mapping resize t --json $K; cat out >>json
[ "$(blockdev --getsize64 /dev/mapper/t)" = $(($(stat -c %s raw) + 65536)) ] || wrong "not grown: $(dmsetup table t)"
run 0 mapping suspend t --json; cat out >>json
run 0 mapping resume t --json $K; cat out >>json
run 0 mapping refresh t --json --persistent --allow-discards $K; cat out >>json
run 0 close t
cryptsetup luksDump grown | grep -q '^Flags:.*allow-discards' || wrong "refresh is not persistent"
rm grown
# A plain one keeps its key, and has no header to be resumed by.
run 0 open plain t --type plain -c aes-xts-plain64 -s 512 --key-file vk
run 0 mapping refresh t --allow-discards
dmsetup table t | grep -q allow_discards || wrong "plain: not refreshed"
cmp -s raw /dev/mapper/t || wrong "plain refreshed: another plaintext"
run 0 mapping resize t --size 8
run 1 mapping suspend t
says 'no mapping of a LUKS container'
run 0 close t
for verb in resize suspend resume refresh; do
	run 4 mapping $verb t
	says 't is not active'
done
nothing_left changed

# --- What the kernel is asked.
section calls
trace() { # FILE WORDS...
	local file=$1
	shift
	strace -f -s 100 -e trace=ioctl,add_key,keyctl -o "$file" "$L" "$@" >out 2>err </dev/null || wrong "strace $*: $(cat err)"
}
trace opening open luks4096 t $K
trace closing close t
dm() { grep -cE 'ioctl\([0-9]+, DM_' "$1"; }
[ "$(dm opening)" -le 5 ] || wrong "open asks $(dm opening) times: $(grep DM_ opening)"
[ "$(dm closing)" -le 4 ] || wrong "close asks $(dm closing) times: $(grep DM_ closing)"
# In this order: the loop device, the key of this thread alone, the table, the key's end.
order=$(grep -oE 'LOOP_CONFIGURE|add_key\("logon", "cryptsetup:[^"]*-d0", .*KEY_SPEC_THREAD_KEYRING|DM_TABLE_LOAD|DM_DEV_SUSPEND|KEYCTL_INVALIDATE' opening |
	sed 's/(.*//' | tr '\n' ' ')
[ "$order" = 'LOOP_CONFIGURE add_key DM_TABLE_LOAD DM_DEV_SUSPEND KEYCTL_INVALIDATE ' ] || wrong "order: $order"
# What carries a key says so.
trace opening1 open luks1 t $K
trace told status t
trace closing1 close t
for file in opening opening1 told; do
	grep -E 'DM_TABLE_(LOAD|STATUS)' $file | grep -v DM_SECURE_DATA_FLAG && wrong "$file: no secure data flag"
done
nothing_left calls

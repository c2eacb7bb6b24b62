# Runs in the guest: prints a line that begins with WRONG for everything that is not as it should be.
# $L is our program; a container of each kind, `key` and `raw` are here.

wrong() { echo "WRONG: $*"; }

# run CODE WORDS...: our program with these words ends with that code.
run() {
	local want=$1 code
	shift
	timeout -k 5 120 "$L" "$@" >out 2>err </dev/null
	code=$?
	[ "$code" = "$want" ] || wrong "luksmith $*: exit $code, not $want: $(cat err)"
}

# says TEXT: what was said on standard error has it.
says() { grep -qF -- "$1" err || wrong "it does not say '$1': $(cat err)"; }

real() { timeout -k 5 120 cryptsetup "$@" >out 2>err </dev/null || wrong "cryptsetup $*: exit $?: $(cat err)"; }

# Everything that the kernel, dmsetup and the folder tell of a mapping.
facts() {
	dmsetup table --showkeys "$1"
	dmsetup info -c --noheadings -o name,uuid "$1"
	local mangled
	mangled=$(dmsetup info -c --noheadings -o mangled_name "$1")
	stat -c '%F %a %U %G %t:%T' "/dev/mapper/$mangled"
	blockdev --getro --getss --getsize64 "/dev/mapper/$mangled"
	losetup -nlO AUTOCLEAR,LOG-SEC,BACK-FILE
}

# Nothing is left of all that was done.
nothing_left() {
	local left
	left=$(dmsetup ls | grep -v '^No devices'; losetup -a; ls /dev/mapper | grep -v '^control$'; grep ' logon ' /proc/keys)
	[ -z "$left" ] || wrong "left after $1: $left"
}

no_key_left() {
	! grep -q ' logon .*cryptsetup' /proc/keys || wrong "a key is left after $1: $(grep logon /proc/keys)"
}

section() { echo "$(date +%T) $1" >>progress; }

# --- The same mapping, and closed by the other one.
K="--key-file key"
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
for c in luks1 luks512 luks4096; do
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
run 0 close t --cancel-deferred
umount /run/m
exec 9</dev/mapper/t
(sleep 1; exec 9<&-) &
exec 9<&-
run 0 close t
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

# --- A kernel, or a filter, that takes no keys.
section keyring
inject() { # WHAT WORDS...
	local what=$1
	shift
	timeout -k 5 120 strace -f -o /dev/null -e trace=${what%%:*} $PATHS -e inject="$what" "$L" "$@" >out 2>err </dev/null
}
PATHS=
for error in EPERM EDQUOT; do
	inject add_key:error=$error open luks4096 t $K
	[ $? = 1 ] || wrong "add_key $error: exit $?"
	says '--disable-keyring'
	nothing_left "add_key $error"
done
inject add_key:error=ENOSYS open luks4096 t $K || wrong "add_key ENOSYS: $(cat err)"
says 'the key stands in the table'
run 0 close t

# --- Killed, and failing, at each call.
section killed
# Only what is asked of device-mapper and of loop devices counts.
PATHS='-P /dev/mapper/control -P /dev/loop-control -P /dev/loop0'
N=1
while [ $N -lt 20 ]; do
	inject ioctl:signal=KILL:when=$N open luks4096 t $K
	code=$?
	if dmsetup info t >/dev/null 2>&1; then
		run 0 status t
		[ $((N % 2)) = 0 ] || run 5 open luks4096 t --key-file missing
		run 0 close t
	fi
	nothing_left "a kill at ioctl $N"
	[ $code != 0 ] || break
	N=$((N + 1))
done
[ $N -ge 7 ] || wrong "open ends after $N ioctls"
N=1
while [ $N -lt 20 ]; do
	inject ioctl:error=ENOMEM:when=$N open luks4096 t $K
	if [ $? = 0 ]; then
		dmsetup info t >/dev/null || wrong "ioctl $N fails, and open says that it is open"
		run 0 close t
		break
	fi
	nothing_left "ENOMEM at ioctl $N"
	N=$((N + 1))
done
N=1
while [ $N -lt 20 ]; do
	run 0 open luks4096 t $K
	inject ioctl:signal=KILL:when=$N close t
	code=$?
	"$L" close t >/dev/null 2>&1
	nothing_left "a kill at ioctl $N of close"
	[ $code != 0 ] || break
	N=$((N + 1))
done

for verb in 'resize t --size 64' 'suspend t' 'refresh t --allow-discards' 'resume t'; do
	for what in signal=KILL error=ENOMEM; do
		N=1
		while [ $N -lt 20 ]; do
			run 0 open luks4096 t $K
			case $verb in resume*) run 0 mapping suspend t ;; esac
			case $verb in suspend*) inject ioctl:$what:when=$N mapping $verb ;; *) inject ioctl:$what:when=$N mapping $verb $K ;; esac
			code=$?
			# It is as it was, or can be made so.
			"$L" mapping resume t $K >out 2>err </dev/null
			cmp -s -n 32768 raw /dev/mapper/t || wrong "$verb, $what at $N: another plaintext"
			dmsetup info t | grep -q INACTIVE && [ $what = error=ENOMEM ] && wrong "$verb, $what at $N: a table is left"
			run 0 close t
			nothing_left "$verb, $what at $N"
			[ $code != 0 ] || break
			N=$((N + 1))
		done
	done
done

# --- Many at once.
section races
at_once() { # NAMES AND IMAGES AS WORDS: image name ...
	local pids= codes=
	while [ $# -gt 0 ]; do
		"$L" open "$1" "$2" $K >/dev/null 2>&1 </dev/null &
		pids="$pids $!"
		shift 2
	done
	for pid in $pids; do
		wait $pid
		codes="$codes $?"
	done
	codes=$(echo $codes | tr ' ' '\n' | sort | tr '\n' ' ')
	[ "$codes" = '0 5 5 5 5 5 5 5 ' ] || wrong "eight at once end with $codes"
	for name in $(dmsetup ls | cut -f1); do run 0 close "$name"; done
	nothing_left "eight at once"
}
at_once luks512 t luks4096 t luks1 t luks512 t luks4096 t luks1 t luks512 t luks4096 t
at_once luks512 a luks512 b luks512 c luks512 d luks512 e luks512 f luks512 g luks512 h
losetup /dev/loop5 luks512
pids= codes=
for name in a b c d e f g h; do
	"$L" open /dev/loop5 $name $K >/dev/null 2>&1 </dev/null &
	pids="$pids $!"
done
for pid in $pids; do wait $pid; codes="$codes $?"; done
codes=$(echo $codes | tr ' ' '\n' | sort | tr '\n' ' ')
[ "$codes" = '0 5 5 5 5 5 5 5 ' ] || wrong "one device eight times ends with $codes"
for name in $(dmsetup ls | cut -f1); do run 0 close "$name"; done
losetup -d /dev/loop5
nothing_left "one device eight times"

# --- A container's own /dev, as root and as nobody.
section container
cp "$L" luks4096 key /dev/shm && chmod 755 /dev/shm/* && mv /dev/shm/"${L##*/}" /dev/shm/luksmith 2>/dev/null
cat >container.sh <<'S'
mount -t tmpfs none /mnt
for node in null urandom random zero loop-control; do cp -a /dev/$node /mnt/; done
mkdir /mnt/shm && cp /dev/shm/luksmith /mnt/shm/
mount --move /mnt /dev
/dev/shm/luksmith open luks4096 t --key-file key >out 2>err || { echo "WRONG: in a container: $(cat err)"; exit; }
[ -b /dev/mapper/t ] && [ -c /dev/mapper/control ] && [ -b /dev/loop0 ] || echo "WRONG: no nodes: $(find /dev)"
cmp raw /dev/mapper/t || echo "WRONG: another plaintext in a container"
/dev/shm/luksmith close t >out 2>err || echo "WRONG: in a container: $(cat err)"
[ ! -e /dev/mapper/t ] || echo "WRONG: a node is left in a container"
S
unshare -m bash container.sh
nothing_left container
setpriv --reuid 65534 --regid 65534 --clear-groups /dev/shm/luksmith open /dev/shm/luks4096 t --key-file /dev/shm/key >out 2>err </dev/null
[ $? = 1 ] || wrong "nobody: exit $?"
says 'device-mapper is not for this user'
grep -q 'decrypt IMG DST' err || wrong "nobody: $(cat err)"

# --- udev: its control there and nobody behind it, then itself.
section udev
mkdir -p /run/udev
touch /run/udev/control
run 0 open luks4096 t $K --udev-timeout 0.2
says 'udev has not made a link for t in time'
[ -b /dev/mapper/t ] || wrong "no node without udev"
run 0 close t --udev-timeout 0.2
nothing_left "udev that is gone"
# Deaf to nothing while it waits.
"$L" open luks4096 t $K --udev-timeout 300 >out 2>err </dev/null &
pid=$!
for _ in $(seq 600); do
	dmsetup info t 2>/dev/null | grep -q 'State: *ACTIVE' && break
	sleep 0.1
done
kill $pid
wait $pid
[ $? != 0 ] || wrong "a killed open ends well"
nothing_left "an open that was interrupted"
rm /run/udev/control
# What udev knows of it, but for what counts and what belongs to a cookie.
seen_by_udev() {
	udevadm info -q property /dev/mapper/t |
		grep -vE '^(USEC_INITIALIZED|DISKSEQ|DM_COOKIE|DM_UDEV_DISABLE_LIBRARY_FALLBACK_FLAG)=' | tr ' =' '\n' | sort
}
/lib/systemd/systemd-udevd --daemon >/dev/null 2>&1 || wrong "no udevd"
udevadm trigger --action=add --subsystem-match=block
udevadm settle -t 60
real open luks4096 t $K
[ -L /dev/mapper/t ] || wrong "udev makes no link of cryptsetup's"
seen_by_udev >theirs
run 0 close t --udev-timeout 120
for round in 1 2 3; do
	run 0 open luks4096 t $K --udev-timeout 120
	! grep -q udev err || wrong "round $round: $(cat err)"
	[ "$(readlink /dev/mapper/t)" = ../dm-0 ] || wrong "round $round: $(ls -l /dev/mapper)"
	[ $round != 3 ] || {
		udevadm settle -t 60
		seen_by_udev >ours
		cmp -s ours theirs || wrong "udev: $(diff theirs ours)"
		cryptsetup close t >out 2>err || wrong "cryptsetup close with udev: $(cat err)"
		break
	}
	run 0 close t --udev-timeout 120
	[ ! -L /dev/mapper/t ] || wrong "a link is left by round $round"
done
udevadm settle -t 60
udevadm control --exit
rm -rf /run/udev
nothing_left udev
section end

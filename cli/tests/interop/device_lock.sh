set -u
cryptsetup luksFormat -q --pbkdf pbkdf2 --pbkdf-force-iterations 1000 image key || exit
device=$(losetup -f --show image)
tracer=
# What holds a lock ends before the device goes.
trap '[ -z "$tracer" ] || kill -9 $tracer; wait; losetup -d $device' EXIT
lock=/run/cryptsetup/L_$(lsblk -dno MAJ:MIN $device | tr -d ' ')

wrong() { echo "WRONG: $*" >&2; exit 1; }
# until_true WORDS...: waits as long as a slow machine may take.
until_true() {
	for _ in $(seq 3000); do
		! "$@" || return 0
		sleep 0.1
	done
	wrong "in vain: $*"
}
# has PATTERN: the kernel knows of such a lock on the file.
has() { local inode; inode=$(stat -c %i $lock 2>/dev/null) && grep -qE "^[0-9]+: $1:$inode " /proc/locks; }

# waits KIND NUMBER HOLDER WAITER: HOLDER stops when it has that lock, and WAITER waits until it is gone.
waits() {
	local kind=$1 number=$2 holder=$3 waiter=$4
	strace -f -qq -o trace -e trace=flock -e inject=flock:delay_exit=900000000:when=$number $holder >/dev/null 2>held.err &
	tracer=$!
	until_true has "FLOCK +ADVISORY +$kind +[0-9]+ [0-9a-f:]+"
	timeout -k 5 900 $waiter >out 2>err &
	until_true has '-> FLOCK +ADVISORY +[A-Z]+ +[0-9]+ [0-9a-f:]+'
	# Whom nobody holds any more goes on.
	kill -9 $tracer
	wait $! || wrong "'$waiter' behind '$holder': $(cat err held.err)"
	tracer=
}
label() { [ "$(blkid -p -o value -s LABEL $device)" = "$1" ] || wrong "the label is not $1: $(blkid -p $device)"; }

waits READ 1 "cryptsetup luksDump $device" "$PROGRAM header config -q --label ours $device"
label ours
waits WRITE 4 "cryptsetup config -q --label none $device" "$PROGRAM inspect $device"
grep -q none out || wrong "read what was not written whole: $(cat out)"
waits READ 1 "$PROGRAM inspect $device" "cryptsetup config -q --label theirs $device"
label theirs
waits WRITE 5 "$PROGRAM header config -q --label again $device" "cryptsetup luksDump $device"
grep -q '^Label:.*again' out || wrong "cryptsetup read what was not written whole: $(cat out)"
[ ! -e $lock ] || wrong "$lock is left"

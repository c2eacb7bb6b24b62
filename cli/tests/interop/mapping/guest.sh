# Runs in the guest: prints a line that begins with WRONG for everything that is not as it should be.
# $L is our program; a container of each kind, `key` and `raw` are here.

wrong() {
	echo "WRONG: $*"
	# What is suspended keeps whoever reads it for ever, and what was found wrong would not be told. Without its key it is
	# not resumed: reading it fails then.
	dmsetup info -c --noheadings -o name,suspended --separator ' ' 2>/dev/null | while read -r name state; do
		[ "$state" != Suspended ] || dmsetup wipe_table --noflush --nolockfs "$name"
	done
}

# awake NAME: it is not suspended, so that it can be read.
awake() { [ "$(dmsetup info -c --noheadings -o suspended "$1")" != Suspended ] || wrong "$1 is still suspended"; }

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

K="--key-file key"

# Has a call end otherwise: those of $PATHS alone where that says any.
inject() { # WHAT WORDS...
	local what=$1
	shift
	timeout -k 5 120 strace -f -o /dev/null -e trace=${what%%:*} $PATHS -e inject="$what" "$L" "$@" >out 2>err </dev/null
}
PATHS=

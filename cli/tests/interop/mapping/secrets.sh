# --- What is left of a key in a program that is about to end.
section memory
# held WORDS...: what a program that is held at its end has of the key.
held() {
	local tracer pid
	rm -f trace
	strace -f -qq -o trace -e trace=exit_group -e inject=exit_group:delay_enter=900000000 "$@" >out 2>err </dev/null &
	tracer=$!
	for _ in $(seq 1200); do
		grep -q exit_group trace 2>/dev/null && break
		sleep 0.1
	done
	pid=$(grep -m 1 exit_group trace | cut -d ' ' -f 1)
	found=$(python3 secrets.py memory "$pid" canary 2>&1)
	kill -9 "$pid" $tracer
	wait $tracer 2>/dev/null
}
forgets() {
	held "$L" "$@"
	[ -z "$found" ] || wrong "luksmith $*: $found"
}
# A program that forgets nothing is found out.
held bash -c 'read -r key <canary.hex; exit 0'
[ -n "$found" ] || wrong 'a shell that has the key is not found out'
for c in canary1 canary2; do
	for how in '' --disable-keyring; do
		forgets open $c t $K $how
		dmsetup info t >/dev/null 2>&1 || wrong "open $c $how: $(cat err)"
		forgets mapping resize t --size 64 $K
		forgets mapping refresh t $K $how
		forgets status t
		forgets mapping suspend t
		forgets mapping resume t $K
		cmp -s -n 32768 raw /dev/mapper/t || wrong "$c $how: another plaintext"
		forgets close t
	done
done
forgets open canary2 t --volume-key-file canary
forgets close t
forgets open plain3 t --type plain -c aes-xts-plain64 -s 512 --key-file canary
forgets close t
nothing_left memory

# --- What is read of a header, it is read once.
section reads
# once FILE BYTES WORDS...: no byte of the file before that is read twice.
once() {
	local file=$1 bytes=$2
	shift 2
	strace -f -o trace -P "$file" -e trace=read,readv,pread64,preadv,preadv2,mmap,splice,sendfile,copy_file_range "$L" "$@" >out 2>err </dev/null ||
		wrong "$*: $(cat err)"
	found=$(python3 secrets.py reads trace $bytes 2>&1)
	[ -z "$found" ] || wrong "luksmith $*: $file: $found"
}
raw=$(stat -c %s raw)
for c in luks1 luks512 luks4096; do
	header=$(($(stat -c %s $c) - raw))
	cp $c before
	once $PWD/$c $header open $PWD/$c t $K
	loop=$(losetup -nlO NAME | tr -d ' ')
	# The key of LUKS1 is taken out of the table.
	[ $c = luks1 ] || once $loop $header mapping resize t --size 64 $K
	once $loop $header mapping refresh t $K
	run 0 mapping suspend t
	once $loop $header mapping resume t $K
	run 0 close t
	cmp -s $c before || wrong "$c is another one after an open that wrote nothing"
done
once $PWD/header $(stat -c %s header) open data t --header $PWD/header $K
run 0 close t
nothing_left reads

# --- What is asked of device-mapper.
section calls
asked() { grep -cE 'ioctl\([0-9]+, DM_' trace; }
strace -f -o trace -e trace=ioctl "$L" open luks4096 t $K >out 2>err </dev/null
[ "$(asked)" -le 5 ] || wrong "open asks $(asked) times"
strace -f -o trace -e trace=ioctl "$L" close t >out 2>err </dev/null
[ "$(asked)" -le 4 ] || wrong "close asks $(asked) times"
nothing_left calls

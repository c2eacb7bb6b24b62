# --- What else opens and closes such mappings.
section systemd
attach() { timeout -k 5 120 /lib/systemd/systemd-cryptsetup "$@" >out 2>err </dev/null || wrong "systemd-cryptsetup $*: $? $(cat err)"; }
losetup /dev/loop5 luks512
attach attach t /dev/loop5 "$PWD/key" luks,headless=1
cmp -s raw /dev/mapper/t || wrong "systemd's: another plaintext"
run 0 status t
grep -q 't: active' out || wrong "systemd's: $(cat out)"
run 0 mapping resize t --size 64 $K
run 0 mapping refresh t --allow-discards $K
run 0 close t
nothing_but_loop5() { losetup -d /dev/loop5; nothing_left "$1"; losetup /dev/loop5 luks512; }
nothing_but_loop5 "closing systemd's"
run 0 open /dev/loop5 t $K
attach detach t
nothing_but_loop5 "systemd closing ours"
attach attach t /dev/loop5 "$PWD/vk" plain,cipher=aes-xts-plain64,size=512,headless=1
run 0 close t
losetup -d /dev/loop5
nothing_left systemd

# --- What is in the way under that name.
section foreign
losetup /dev/loop5 plain
KEY=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
refused() { # WHAT: every verb refuses it, and it is there afterwards as it was
	local before after verb
	before=$(dmsetup table --showkeys t; dmsetup info -c --noheadings -o name,uuid,attr t)
	run 5 open luks512 t --key-file missing
	for verb in 'mapping resize t --size 4' 'mapping suspend t' "mapping resume t $K" "mapping refresh t $K"; do
		timeout -k 5 120 "$L" $verb >out 2>err </dev/null
		case $? in 1 | 4 | 5) ;; *) wrong "$1, $verb: exit $?: $(cat err)" ;; esac
		! grep -qi panic err || wrong "$1, $verb: $(cat err)"
	done
	run 0 status t
	after=$(dmsetup table --showkeys t; dmsetup info -c --noheadings -o name,uuid,attr t)
	[ "$before" = "$after" ] || wrong "$1: $(diff <(echo "$before") <(echo "$after"))"
	run $2 close t
	[ $2 = 0 ] || dmsetup remove t
}
dmsetup create t --table '0 8 linear 7:5 0'
refused linear 1
dmsetup create t -u CRYPT-VERITY-0123456789abcdef0123456789abcdef-t --table '0 8 linear 7:5 0'
refused 'what is called verity' 0
printf '0 8 linear 7:5 0\n8 8 linear 7:5 8\n' | dmsetup create t -u CRYPT-PLAIN-t
refused 'two targets' 0
printf "0 8 crypt aes-xts-plain64 $KEY 0 7:5 0\n8 8 crypt aes-xts-plain64 $KEY 8 7:5 8\n" | dmsetup create t -u CRYPT-LUKS2-0123456789abcdef0123456789abcdef-t
refused 'two lines of dm-crypt' 0
dmsetup create t --notable -u CRYPT-LUKS2-0123456789abcdef0123456789abcdef-t
refused 'no table' 0
dmsetup create t --notable
refused 'a foreign one without a table' 1
dmsetup create t --table "0 8 crypt aes-xts-plain64 $KEY 0 7:5 0"
refused 'a line of dm-crypt without an identifier' 1
dmsetup create t -u CRYPT-TCRYPT-t --table "0 8 crypt aes-xts-plain64 $KEY 0 7:5 0"
run 0 status t
run 1 mapping suspend t
run 0 close t
truncate -s 1M hashed hashes
veritysetup format hashed hashes >verity 2>err || wrong "veritysetup: $(cat err)"
veritysetup open hashed t hashes "$(awk '/^Root hash/ { print $3 }' verity)" 2>err || wrong "veritysetup: $(cat err)"
refused verity 0
losetup -d /dev/loop5
nothing_left foreign

# --- What a machine may lack.
section lacks
cp "$L" luks4096 key /dev/shm
lacking() { # WHAT SHELL: with that done in a namespace of its own an opening ends well, or ill and leaves nothing
	local code
	cat >lacking.sh <<S
$2
/dev/shm/${L##*/} open /dev/shm/luks4096 t --key-file /dev/shm/key >out 2>err </dev/null
code=\$?
[ \$code != 0 ] || { cmp -s raw /dev/mapper/t || echo "WRONG: $1: another plaintext"; /dev/shm/${L##*/} close t >out 2>err </dev/null || echo "WRONG: $1: not closed: \$(cat err)"; }
case \$code in 0 | 1 | 4) ;; *) echo "WRONG: $1: exit \$code: \$(cat err)" ;; esac
! grep -qi panic err || echo "WRONG: $1: \$(cat err)"
echo "$1: \$code \$(head -c 300 err)" >>lacking
S
	timeout -k 5 240 unshare -m bash lacking.sh
	nothing_left "an opening without $1"
}
lacking /proc 'umount -l /proc'
lacking /sys 'umount -l /sys'
lacking '/proc and /sys' 'umount -l /proc; umount -l /sys'
lacking /dev/loop-control 'mount --bind /dev/null /dev/loop-control'
lacking /dev/mapper/control 'mount -t tmpfs none /dev/mapper'
lacking /dev/kmsg 'mount --bind /dev/null /dev/kmsg'
lacking /run 'umount -l /run'
lacking /etc/group 'mount -t tmpfs none /etc'
grep -q '^/dev/loop-control: 1 .*loop' lacking || wrong "$(cat lacking)"
grep -q '^/dev/mapper/control: 0' lacking || wrong "$(cat lacking)"
rm -f /dev/shm/*

# --- What not every kernel knows is left out, and told.
section priority
version=$(dmsetup targets | sed -n 's/^crypt *v//p')
is_known() { [ "$(printf '1.26.0\n%s\n' "$version" | sort -V | head -n 1)" = 1.26.0 ]; }
cp luks512 flagged
for by in "$L" "$L cryptsetup"; do
	$by open flagged t --perf-high_priority --perf-no_read_workqueue --persistent $K >out 2>err </dev/null || wrong "$by: $(cat err)"
	if is_known; then
		dmsetup table t | grep -q high_priority || wrong 'no high_priority in the table'
	else
		says 'high_priority is left out'
	fi
	dmsetup table t | grep -q no_read_workqueue || wrong 'high_priority: no other flag'
	real luksDump flagged
	grep '^Flags:' out | grep -q no-read-workqueue || wrong "flags: $(cat out)"
	is_known || ! grep -q high_priority out || wrong "a flag is kept that was left out: $(cat out)"
	run 0 mapping refresh t --perf-high_priority --perf-same_cpu_crypt $K
	is_known || says 'high_priority is left out'
	dmsetup table t | grep -q same_cpu_crypt || wrong 'high_priority: refreshed without another flag'
	run 0 close t
done
rm -f flagged

# --- Sealed headers.
section seal
cp luks512 sealed
run 4 open sealed t --require-seal $K
says 'not sealed'
run 0 header seal sealed $K
run 0 open sealed t --require-seal $K
cmp -s raw /dev/mapper/t || wrong 'sealed: another plaintext'
for verb in 'resize t --size 64' 'refresh t'; do run 0 mapping $verb --require-seal $K; done
run 0 mapping suspend t
run 0 mapping resume t --require-seal $K
run 0 close t
# What changes with the mapping is sealed anew.
run 0 open sealed t --require-seal --persistent --allow-discards $K
! grep -q WARNING err || wrong "persistent: $(cat err)"
run 0 close t
run 0 open sealed t --require-seal $K
dmsetup table t | grep -q allow_discards || wrong 'sealed: not persistent'
run 0 mapping refresh t --require-seal --persistent --perf-same_cpu_crypt $K
run 0 close t
run 0 key test sealed --require-seal $K
real config sealed --label other
run 4 open sealed t --require-seal $K
says 'changed since it was sealed'
run 0 open sealed t $K
for verb in 'resize t --size 64' 'refresh t'; do run 4 mapping $verb --require-seal $K; done
run 0 mapping suspend t
run 4 mapping resume t --require-seal $K
run 0 mapping resume t $K
run 0 close t
# A seal in a file, of every kind.
for c in luks1 luks4096; do
	cp $c sealed
	rm -f seal
	run 0 header seal sealed --seal seal $K
	run 0 open sealed t --seal seal $K
	run 0 close t
	printf x | dd of=sealed bs=1 seek=$(($(stat -c %s sealed) - $(stat -c %s raw) - 1)) conv=notrunc 2>/dev/null
	run 4 open sealed t --seal seal $K
	nothing_left "a broken seal of $c"
done
run 0 header seal data --header header --seal seal2 $K
run 0 open data t --header header --seal seal2 $K
run 0 close t
# An edit with the mapping leaves it to be sealed again.
cp luks4096 sealed
rm -f seal
run 0 header seal sealed --seal seal $K
run 0 open sealed t --seal seal --persistent --allow-discards $K
run 0 close t
run 4 open sealed t --seal seal $K
run 0 header seal sealed --seal seal $K
run 0 open sealed t --seal seal $K
run 0 close t
nothing_left seal

# --- A kernel, or a filter, that takes no keys.
section keyring
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
for error in ENOMEM EBUSY; do
	N=1
	while [ $N -lt 20 ]; do
		inject ioctl:error=$error:when=$N open luks4096 t $K
		if [ $? = 0 ]; then
			dmsetup info t >/dev/null || wrong "$error at ioctl $N, and open says that it is open"
			run 0 close t
			# A loop device that somebody else is quicker to take is let go: all calls were made.
			[ $N -lt 9 ] || break
		fi
		nothing_left "$error at ioctl $N"
		N=$((N + 1))
	done
done
for what in signal=KILL error=ENOMEM error=EBUSY; do
	N=1
	while [ $N -lt 20 ]; do
		run 0 open luks4096 t $K
		inject ioctl:$what:when=$N close t
		code=$?
		"$L" close t >/dev/null 2>&1
		nothing_left "$what at ioctl $N of close"
		[ $code != 0 ] || [ $N -lt 5 ] || break
		N=$((N + 1))
	done
done
cmp -s -n $((4096 * 4096)) luks4096 pristine4096 || wrong 'what lies before the data is another one'

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
# Of what is waited for nothing depends on a namespace, where cryptsetup waits for a semaphore of another one for ever.
timeout -k 5 240 unshare --ipc "$L" open luks4096 t $K --udev-timeout 120 >out 2>err </dev/null || wrong "another IPC namespace: $(cat err)"
[ "$(readlink /dev/mapper/t)" = ../dm-0 ] || wrong "another IPC namespace: $(ls -l /dev/mapper)"
timeout -k 5 240 unshare --ipc "$L" close t --udev-timeout 120 >out 2>err </dev/null || wrong "another IPC namespace: $(cat err)"
[ ! -L /dev/mapper/t ] || wrong "a link is left in another IPC namespace"
unshare --ipc cryptsetup open luks4096 t $K >theirs 2>&1 </dev/null &
pid=$!
for _ in $(seq 600); do
	[ ! -L /dev/mapper/t ] || break
	sleep 0.1
done
sleep 15
kill $pid
sleep 1
kill -9 $pid || wrong "cryptsetup ends in another IPC namespace: $(cat theirs)"
wait $pid 2>/dev/null
run 0 close t --udev-timeout 120
udevadm settle -t 60
udevadm control --exit
rm -rf /run/udev
nothing_left udev
section end

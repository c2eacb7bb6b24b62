# --- What is open, changed by one that is killed, or fails, at each call.
section verbs
# Only what is asked of device-mapper and of loop devices counts.
PATHS='-P /dev/mapper/control -P /dev/loop-control -P /dev/loop0'
for verb in 'resize t --size 64' 'suspend t' 'refresh t --allow-discards' 'resume t'; do
	for what in signal=KILL error=ENOMEM error=EBUSY; do
		N=1
		while [ $N -lt 20 ]; do
			run 0 open luks4096 t $K
			case $verb in resume*) run 0 mapping suspend t ;; esac
			case $verb in suspend*) inject ioctl:$what:when=$N mapping $verb ;; *) inject ioctl:$what:when=$N mapping $verb $K ;; esac
			code=$?
			# It is as it was, or can be made so.
			"$L" mapping resume t $K >out 2>err </dev/null
			awake t
			cmp -s -n 32768 raw /dev/mapper/t || wrong "$verb, $what at $N: another plaintext"
			dmsetup info t | grep -q INACTIVE && [ $what != signal=KILL ] && wrong "$verb, $what at $N: a table is left"
			run 0 close t
			nothing_left "$verb, $what at $N"
			[ $code != 0 ] || break
			N=$((N + 1))
		done
	done
done
cmp -s luks4096 pristine4096 || wrong 'the image is another one'

# --- What encrypts nothing has no key: it is suspended, resumed and refreshed all the same, and is cryptsetup's then.
section null
: >empty
for version in 1 2; do
	truncate -s 20M null
	"$L" cryptsetup luksFormat -q --type luks$version -c null --pbkdf-force-iterations 1000 --pbkdf pbkdf2 null empty >out 2>err ||
		wrong "luks$version: $(cat err)"
	run 0 open null t --allow-unencrypted --key-file empty
	[ -b /dev/mapper/t ] || continue
	printf 'in the clear' | dd of=/dev/mapper/t conv=notrunc,fsync status=none
	dmsetup table --showkeys t >before
	run 0 mapping suspend t
	run 0 mapping resume t --allow-unencrypted --key-file empty
	run 0 mapping refresh t --allow-unencrypted --key-file empty
	dmsetup table --showkeys t | cmp -s - before || wrong "luks$version: another table: $(dmsetup table --showkeys t)"
	[ "$(head -c 12 /dev/mapper/t)" = 'in the clear' ] || wrong "luks$version: another plaintext"
	cryptsetup close t || wrong "luks$version: cryptsetup does not close it"
	nothing_left "luks$version"
	rm null
done

# --- Key files that are block devices, of which nothing can be read before the key.
section keyfiles
printf 'xsecond key of some length' >second
printf 'first key, and what follows it' >first
cat first second >keys
truncate -s 64K keys
loop=$(losetup -f --show keys)
dmsetup create far <<EOS
0 10000000 error
10000000 128 linear $loop 0
EOS
dmsetup mknodes far
far=/dev/mapper/far
cheap='--pbkdf pbkdf2 --pbkdf-force-iterations 1000'
for type in luks1 luks2; do
	rm -f made
	truncate -s 20M made
	run 0 cryptsetup luksFormat -q --type $type $cheap made $far -l 9 --keyfile-offset 5120000000
	real open --test-passphrase made --key-file first --keyfile-size 9
	real open --test-passphrase made --key-file $far --keyfile-offset 5120000000 -l 9
	run 1 cryptsetup open made t --key-file $far --keyfile-offset 5119999999 -l 9
	run 0 cryptsetup open made t --key-file $far --keyfile-offset 5120000000 -l 9
	run 0 cryptsetup close t
	run 0 cryptsetup luksChangeKey made $cheap -d $far --keyfile-offset 5120000000 -l 9 $far --new-keyfile-offset 5120000031 --new-keyfile-size 10
	real open --test-passphrase made --key-file second --keyfile-offset 1 --keyfile-size 10
	run 0 open made t --key-file $far --keyfile-offset 5120000031 --keyfile-size 10
	run 0 close t
	run 0 key add made $cheap --key-file $far --keyfile-offset 5120000031 --keyfile-size 10 --new-keyfile $far --new-keyfile-offset 5120000001 --new-keyfile-size 8
	real open --test-passphrase made --key-file first --keyfile-offset 1 --keyfile-size 8
done
dmsetup remove --retry far
losetup -d "$loop"
rm -f made keys first second

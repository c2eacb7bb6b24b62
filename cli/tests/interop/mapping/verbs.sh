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

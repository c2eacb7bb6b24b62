# What every case has in common; `run.sh LUKSMITH` sources it. It works on copies in a folder of its own.
set -u
L=$(realpath "${1:?the path of luksmith}"); D=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d) || exit 77; trap 'rm -rf "$T"' EXIT; cd "$T" || exit 77
for f in "$D"/*; do
  case ${f##*/} in
    *.xz) xz -dc "$f" >"$(basename "$f" .xz)" ;;
    run.sh | README.md) ;;
    *) cp "$f" . ;;
  esac
done
ln -s "$L" cryptsetup

# What stands in most of the images, as SHA-256.
PAYLOAD=0b1ac519bba029c964ede2d08d96430a334a5ceca6cf1002256d1e84d23991a1

fail() { echo "FAIL: $*"; [ -s out ] && sed 's/^/    | /' out | head -12; exit 1; }
right() { echo "right: $*"; exit 0; }
opens() { "$L" key test -d pw "$1" >>out 2>&1; }
is_payload() { [ "$(sha256sum <"$1" | cut -c1-64)" = "${2:-$PAYLOAD}" ]; }
decrypts() { rm -f o.raw; "$L" decrypt -d pw "$1" o.raw >>out 2>&1 && is_payload o.raw "${2:-}"; }

# `given` is the passphrase with a mistake in it, `real` the one that opens keyslot 0.
explains() {
  "$L" key test -d real disk.img >out 2>&1 || fail "the true passphrase does not open it"
  "$L" key test --explain -d given disk.img >out 2>&1; rc=$?
  [ $rc = 2 ] || [ $rc = 0 ] || fail "exit $rc"
  grep -q 'opens keyslot 0' out || fail "the mistake is not found"
  right "$(tail -1 out)"
}

# One of cryptsetup's own scripts in the guest: each step and each call of the tool is written down, and a step that
# fails does not end it. In the environment: TESTS, BUILT (programs that the scripts start), SCRIPT, TOOL and LOG; and
# HERE where it is no guest: in a mount namespace of its own, as nobody, who skips what needs device-mapper.
ulimit -n 1024
AS=
if [ "$HERE" ]; then
	mount -t tmpfs run /run
	AS='setpriv --reuid=65534 --regid=65534 --clear-groups'
	WRITTEN=$LOG LOG=/run/log
	: >$LOG
else
	mount -o remount,size=90% /run
	mkdir -p /dev/pts
	mountpoint -q /dev/pts || mount -t devpts devpts /dev/pts
fi
mkdir -p /run/tests /run/tool /run/cryptsetup
cp -a "$TESTS"/. "$BUILT"/. /run/tests/

# The kernel's modprobe knows where the guest's modules are, and starts the real one by PATH.
cat >/run/tool/modprobe <<'EOS'
#!/bin/bash
PATH=/usr/sbin:/sbin:/usr/bin:/bin exec "$(</proc/sys/kernel/modprobe)" "$@"
EOS
cat >/run/tool/cryptsetup <<'EOS'
#!/bin/bash
[ "$1" != --version ] || exec "$TOOL" --version
said=/run/said.$$
# Whoever types waits for what is said.
if [ -t 0 ]; then
	: >$said
	"$TOOL" "$@"
	code=$?
else
	"$TOOL" "$@" 2>$said
	code=$?
	cat $said >&2
fi
{ printf 'call %s\t%s\t' $code "${*//[$'\n\t']/ }"; head -n 1 $said; [ -s $said ] || echo; } >>"$LOG"
rm -f $said
exit $code
EOS
chmod +x /run/tool/*
if [ ! "$HERE" ]; then
	/run/tool/modprobe -a sd_mod dm-zero dm-crypt
	/lib/systemd/systemd-udevd --daemon 2>/dev/null
fi

cat >/run/steps.sh <<'EOS'
passed() { local code=$?; echo "passed ${BASH_LINENO[*]}" >>"$LOG"; return $code; }
fail() { echo "failed ${BASH_LINENO[*]}" >>"$LOG"; return 0; }
EOS
cd /run/tests
sed -i -E '/_sigchld/!{
s/^fail\(\)/ended()/
s/\|\| (fail|can_fail_fips)\b/\&\& passed || \1/
s/(&& fail( "[^"]*"| [^ ;]+)?)[[:space:]]*$/\1 || passed/
}' "$SCRIPT"
export CRYPTSETUP_PATH=/run/tool BASH_ENV=/run/steps.sh TOOL LOG PATH=/run/tool:$PATH
[ ! "$HERE" ] || chown -R 65534:65534 /run/.
$AS setsid -w bash "./$SCRIPT" </dev/null
echo "ended $?" >>"$LOG"
[ ! "$HERE" ] || cat $LOG >"$WRITTEN"

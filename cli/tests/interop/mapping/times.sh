# How long whole processes take: prints a line of medians in microseconds for each, cryptsetup's first.
median() { tr ' ' '\n' | sort -n | awk 'NF { all[++n] = $1 } END { print int((all[int((n + 1) / 2)] + all[int(n / 2) + 1]) / 2) }'; }
timed() { # WORDS...
	local start=$EPOCHREALTIME
	"$@" >out 2>err </dev/null || wrong "$*: $(cat err)"
	took=$((${EPOCHREALTIME/./} - ${start/./}))
}
their_open= our_open= their_close= our_close=
for round in $(seq $TIMES); do
	timed cryptsetup open luks512 t $K; their_open="$their_open $took"
	timed cryptsetup close t; their_close="$their_close $took"
	timed "$L" open luks512 t $K; our_open="$our_open $took"
	timed "$L" close t; our_close="$our_close $took"
done
{
	echo "open $(echo $their_open | median) $(echo $our_open | median)"
	echo "close $(echo $their_close | median) $(echo $our_close | median)"
} >times
nothing_left times

# Many at once: one wins, and the others say that it is in use.
at_once() { # IMAGES AND NAMES AS WORDS: image name ...
	local pids= codes= pid name words="$*"
	while [ $# -gt 0 ]; do
		"$L" open "$1" "$2" $K >/dev/null 2>&1 </dev/null &
		pids="$pids $!"
		shift 2
	done
	for pid in $pids; do
		wait $pid
		codes="$codes $?"
	done
	codes=$(echo $codes | tr ' ' '\n' | sort | tr '\n' ' ')
	[ "$codes" = '0 5 5 5 5 5 5 5 ' ] || wrong "eight at once end with $codes: $words"
	for name in $(dmsetup ls | cut -f1); do run 0 close "$name"; done
}
eight_names() { # IMAGE
	at_once $1 a $1 b $1 c $1 d $1 e $1 f $1 g $1 h
}
for round in $(seq $ROUNDS); do
	section "round $round"
	at_once luks512 t luks4096 t luks1 t luks512 t luks4096 t luks1 t luks512 t luks4096 t
	eight_names luks512
	nothing_left "eight at once, round $round"
	losetup /dev/loop5 luks512
	eight_names /dev/loop5
	losetup -d /dev/loop5
	nothing_left "one device eight times, round $round"
done

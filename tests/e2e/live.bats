#!/usr/bin/env bats
# Live disks: exports of real NBD servers, matched by name, that are slow, hang,
# drop, fail in places and come back.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/small
load lib/mount

M=$((1 << 20))
VOL=volume-00000143

setup_file()
{
	need_small nbdkit qemu-nbd jq || return
	[[ -f $RESCUEFS_BUILD/tests/faults/faults.so ]] ||
		die "this test file needs nbdkit-plugin-dev when it is built" ||
		return
	small_site "$BATS_FILE_TMPDIR"
	# The live disk is newer than both: other bytes in its first half.
	seeded_bytes live $((4 << 20)) >"$BATS_FILE_TMPDIR/live.img"
	truncate -s "$SMALL_SIZE" "$BATS_FILE_TMPDIR/live.img"
	export LIVE=$BATS_FILE_TMPDIR/live.img
}

setup()
{
	work_setup
	SOCK=$W/socket
	MNT=$W/rescue
	mkdir -p "$MNT"
}

teardown()
{
	: >"$W/faults"
	rescue_umount "$W"
	end_pid "$W/qemu.pid"
	end_pid "$W/server.pid"
}

# As a host that loses its power: asked to end, nbdkit waits for its clients.
kill_server()
{
	kill -KILL "$(<"$W/server.pid")"
	end_pid "$W/server.pid"
}

# serve [FAULT...]: the live disk, failing as told, with nbdkit.
serve()
{
	printf '%s\n' "$@" >"$W/faults"
	rm -f "$SOCK"
	setsid nbdkit -r -t 32 -P "$W/server.pid" -U "$SOCK" \
		"$RESCUEFS_BUILD/tests/faults/faults.so" "file=$LIVE" \
		"faults=$W/faults" "counts=$W/counts" 3>&- 4>&-
}

uri()
{
	echo "nbd+unix:///$1?socket=$SOCK"
}

# live EXPORT [ARG...]: mounts with that export of the server as a live source.
live()
{
	local export=$1

	shift
	client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" \
		--live "$(uri "$export"),name=live" --state "$W/state" "$@" \
		"$MNT" 3>&- 4>&-
}

# piece FILE OFF LEN
piece()
{
	client dd if="$1" bs=512 skip=$(($2 / 512)) count=$(($3 / 512)) \
		status=none
}

# took COMMAND...: sets TOOK, its milliseconds.
took()
{
	local begun

	begun=$(date +%s%N)
	"$@" >"$W/took" || true
	TOOK=$((($(date +%s%N) - begun) / 1000000))
}

# Somewhere else each time: what was chosen while it was away stays.
is_live_again()
{
	at=$((${at:-2 * M} + 131072))
	((at < 8 * M)) || return
	sleep 0.5
	cmp -s <(piece "$MNT/instances/torn/disk" "$at" 4096) \
		<(piece "$LIVE" "$at" 4096)
}

now_all()
{
	client dd if="$MNT/instances/torn/disk" bs=1M of="$W/all" status=none
	cmp "$W/all" "$1"
}

@test "exports are matched by what an instance or a volume is called" {
	mkdir -p "$W/exports" "$W/bm/$NOVA"
	cp -a "$BM/." "$W/bm"
	for name in "$TORN" instance-00000003 $VOL stranger; do
		cp "$LIVE" "$W/exports/$name"
	done
	nbdkit -r -P "$W/server.pid" -U "$SOCK" file dir="$W/exports" 3>&- 4>&-
	"$RESCUEFS" scan --damaged "$W/bm" --live "$(uri ''),name=live" --json \
		>"$W/json"
	jq -e '[.instances[].disks[].copies[] | select(.source == "live") |
		.path] | sort == ["11111111-aaaa-4aaa-8aaa-000000000001",
		"instance-00000003"]' "$W/json"
	jq -e --arg v "$VOL" '.volumes[0] | .name == $v and
		.copies[0].size == 8388608 and .copies[0].as_of != null' "$W/json"
	jq -e '[.notes[] | select(contains("stranger"))] | length == 1' "$W/json"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	root = $W/bm
	[source live]
	kind = live
	nbd = $(uri '')
	[export stranger]
	disk = torn/disk
	[export $TORN]
	disk = volume-00000007
	EOT
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	now_all "$LIVE"
	cmp "$MNT/volumes/volume-00000007" "$LIVE"
	[[ $(getfattr --only-values -n user.rescuefs.sources \
		"$MNT/instances/torn/disk") == "live bm0002" ]]
}

@test "qemu-nbd serves, with its own idea of what is allocated" {
	qemu-nbd -r -f raw -k "$SOCK" -x torn/disk --pid-file="$W/server.pid" \
		--fork "$LIVE" 3>&- 4>&-
	live ''
	now_all "$LIVE"
	# The second half is a hole, and known as one.
	jq -e '.totals.hole == 4194304 and .totals.fresh == 4194304' \
		"$MNT/instances/torn/rescue/disk.json"
	cmp "$MNT/sources/live/instances/torn/disk" "$LIVE"
}

@test "what the server cannot read is as small as a sector, and comes from the next" {
	serve "eio $((M + 512)) 512" "eio $((3 * M)) 4096"
	live torn
	cp "$LIVE" "$W/expect"
	printf '%s\n' "$((M + 512)) 512" "$((3 * M)) 4096" |
		patch_from "$W/expect" "$BM/$NOVA/$TORN/disk"
	now_all "$W/expect"
	claims "$MNT/instances/torn/rescue/disk.json" stale | cut -d' ' -f1,2 |
		diff <(printf '%s\n' "$((M + 512)) 512" "$((3 * M)) 4096") -
	# It is remembered: a second mount does not ask for them again.
	rescue_umount "$W"
	: >"$W/faults"
	live torn
	now_all "$W/expect"
}

@test "the same of qemu-nbd, which breaks the connection where it reads holes apart" {
	serve "eio $((M + 512)) 512"
	qemu-nbd -r -f raw -k "$W/qemu" -x torn --pid-file="$W/qemu.pid" --fork \
		--persistent "$(uri torn)" 3>&- 4>&-
	SOCK=$W/qemu live '' --deadline 60s
	cp "$LIVE" "$W/expect"
	echo "$((M + 512)) 512" |
		patch_from "$W/expect" "$BM/$NOVA/$TORN/disk"
	now_all "$W/expect"
}

@test "many requests are in flight at once" {
	local at pids=()

	serve "slow 1000 0 $SMALL_SIZE"
	live torn
	piece "$MNT/instances/torn/disk" 0 512 >/dev/null
	read_all()
	{
		for at in {1..12}; do
			piece "$MNT/instances/torn/disk" $((at * 65536)) 4096 \
				>"$W/piece$at" &
			pids+=($!)
		done
		wait "${pids[@]}"
	}
	took read_all
	for at in {1..12}; do
		cmp "$W/piece$at" <(piece "$LIVE" $((at * 65536)) 4096)
	done
	# One after the other would be 12 seconds and more.
	((TOOK < 9000))
}

@test "a connection that drops is made again" {
	serve "drop 0 4096"
	live torn
	# Dropped twice, and left to the next source.
	cmp <(piece "$MNT/instances/torn/disk" 0 4096) \
		<(piece "$BM/$NOVA/$TORN/disk" 0 4096)
	# After the second drop there may be a pause.
	wait_until 60 is_live_again
}

@test "while the server is gone the next source serves, and it comes back" {
	serve
	live torn
	cmp <(piece "$MNT/instances/torn/disk" 0 4096) <(piece "$LIVE" 0 4096)
	kill_server
	cmp <(piece "$MNT/instances/torn/disk" "$M" 65536) \
		<(piece "$BM/$NOVA/$TORN/disk" "$M" 65536)
	serve
	# What was not chosen meanwhile is the live one's again.
	wait_until 60 is_live_again
	# What was chosen stays (P4).
	cmp <(piece "$MNT/instances/torn/disk" "$M" 65536) \
		<(piece "$BM/$NOVA/$TORN/disk" "$M" 65536)
	claims "$MNT/instances/torn/rescue/disk.json" stale >"$W/stale"
	[[ $(<"$W/stale") == "$M "* ]]
}

@test "a server that hangs is waited for once, and not at the end" {
	serve
	# Long enough to tell once from twice on a busy machine.
	live torn --deadline 6s
	piece "$MNT/instances/torn/disk" 0 4096 >/dev/null
	kill -STOP "$(<"$W/server.pid")"
	took piece "$MNT/instances/torn/disk" "$M" 4096
	((TOOK > 5500 && TOOK < 11500))
	# At once, but where the pause is over already.
	took piece "$MNT/instances/torn/disk" $((2 * M)) 4096
	((TOOK < 11500))
	cmp <(piece "$MNT/instances/torn/disk" $((2 * M)) 4096) \
		<(piece "$BM/$NOVA/$TORN/disk" $((2 * M)) 4096)
	took rescue_umount "$W"
	((TOOK < 10000))
	kill -CONT "$(<"$W/server.pid")"
}

@test "a sector that hangs holds up no other" {
	serve "hang $M 4096"
	live torn
	took piece "$MNT/instances/torn/disk" "$M" 4096
	((TOOK < 8000))
	# Set aside for a while, as nothing else was heard; then it serves.
	wait_until 60 is_live_again
}

@test "a block chosen from a live disk that is gone is neither lost nor another's" {
	serve
	live torn
	piece "$MNT/instances/torn/disk" 0 4096 >/dev/null
	kill_server
	rescue_umount "$W"
	serve "hang 0 $SMALL_SIZE"
	live torn
	run ! piece "$MNT/instances/torn/disk" 0 4096
	: >"$W/faults"
	again()
	{
		cmp <(piece "$MNT/instances/torn/disk" 0 4096) \
			<(piece "$LIVE" 0 4096)
	}
	wait_until 60 again
}

@test "a server that is not there costs its source and no more" {
	run --separate-stderr "$RESCUEFS" scan --damaged "$BM" \
		--live "nbd+unix:///x?socket=$W/none,name=live"
	[[ $status -eq 3 && $output == *torn* ]]
	# shellcheck disable=SC2154 # bats sets it
	[[ $stderr == *"source live: "*"$W/none"* ]]
	live x
	[[ -e $MNT/instances/torn/disk ]]
	grep -q "NOT USED: " "$MNT/README"
	rescue_umount "$W"
	# One that takes the connection and says nothing.
	in_background python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
time.sleep(60)' "$SOCK"
	echo $! >"$W/server.pid"
	wait_until 60 test -S "$SOCK"
	took live x
	((TOOK < 15000))
	grep -q "no answer within 5 seconds" "$MNT/README"
}

# connection FIELD: of what the mount says of the only one.
connection()
{
	client cat "$MNT/status.json" >"$W/status"
	jq -er --arg field "$1" '.sources[] | select(.source == "live") |
		.connections | select(length == 1) | .[0][$field]' "$W/status"
}

# said TEXT: for people, and with the exit status that comes first.
said()
{
	local code=0 text

	text=$(client "$RESCUEFS" status --damaged "$BM" --backup "$BACKUP" \
		--live "$(uri torn),name=live" --state "$W/state") || code=$?
	[[ $code -eq $1 && $text == *"live:export torn: "$2* ]]
}

state_is()
{
	[[ $(connection state) == "$1" ]]
}

# The pause that is waited is another than last time: notes it, with the others.
has_longer_pause()
{
	local pause

	pause=$(connection pause_ms)
	[[ ${PAUSES##* } == "$pause" ]] || PAUSES+=" $pause"
	((pause >= $1))
}

@test "status says how the connection is, and pauses grow while it is not there" {
	local since PAUSES=

	serve
	live torn
	piece "$MNT/instances/torn/disk" 0 512 >/dev/null
	state_is connected
	since=$(connection since)
	[[ $(date -d "$since" +%s) -ge $(stat -c %Y "$W/server.pid") ]]
	[[ $(connection drops) -eq 0 && $(connection again_ms) -eq 0 ]]
	said 0 "connected since $since"

	kill_server
	piece "$MNT/instances/torn/disk" "$M" 4096 >/dev/null
	wait_until 60 state_is lost
	[[ $(connection drops) -eq 1 ]]
	# They are half a second, one, two and so on: no server answers.
	wait_until 60 has_longer_pause 2000
	# shellcheck disable=SC2086 # words
	printf '%s\n' $PAUSES >"$W/pauses"
	sort -nuc "$W/pauses"
	wait_until 60 said 3 "CONNECTION LOST since "
	grep -q "tried again" <(client "$RESCUEFS" status --damaged "$BM" \
		--backup "$BACKUP" --live "$(uri torn),name=live" \
		--state "$W/state")

	serve
	wait_until 90 state_is connected
	wait_until 60 is_live_again
	[[ $(connection pause_ms) -eq 0 && $(connection drops) -eq 1 ]]
	[[ $(date -d "$(connection since)" +%s) -ge $(date -d "$since" +%s) ]]
	said 1 "connected since " # some of it is stale now
	# Without a mount there is no connection to tell of.
	rescue_umount "$W"
	client "$RESCUEFS" status --json --damaged "$BM" --backup "$BACKUP" \
		--live "$(uri torn),name=live" --state "$W/state" \
		>"$W/status" || true
	jq -e '.sources[] | select(.source == "live") | .connections == null' \
		"$W/status"
}

@test "status says that a server which hangs is set aside" {
	is_aside()
	{
		AT=$((AT + 131072))
		piece "$MNT/instances/torn/disk" "$AT" 4096 >/dev/null
		state_is aside || state_is lost
	}
	local AT=0

	serve
	live torn
	piece "$MNT/instances/torn/disk" 0 512 >/dev/null
	kill -STOP "$(<"$W/server.pid")"
	wait_until 60 is_aside
	said 3 ""
	[[ $(connection missed) -ge 1 ]]
	kill -CONT "$(<"$W/server.pid")"
	wait_until 60 is_live_again
}

@test "status beside a mount asks the mount, and no server" {
	local before

	setsid nbdkit -r -P "$W/server.pid" -U "$SOCK" --filter=log \
		file "$LIVE" logfile="$W/log" 3>&- 4>&-
	live torn
	piece "$MNT/instances/torn/disk" 0 512 >/dev/null
	before=$(grep -c " Connect " "$W/log")
	said 0 "connected since "
	[[ $(grep -c " Connect " "$W/log") -eq $before ]]
	# Another verb, which has to find its disk, does ask.
	client "$RESCUEFS" map --damaged "$BM" --backup "$BACKUP" \
		--live "$(uri torn),name=live" --state "$W/state" torn/disk
	[[ $(grep -c " Connect " "$W/log") -gt $before ]]
}

# A server that takes every connection, lets the export be opened, and drops it at
# the first request; it counts.
@test "a server that drops whatever it is asked is not tried in a circle" {
	local PAUSES='' at

	serve "drop 0 $SMALL_SIZE"
	live torn
	for at in 0 1 2 3 4 5 6 7; do
		cmp <(piece "$MNT/instances/torn/disk" $((at * 65536)) 4096) \
			<(piece "$BM/$NOVA/$TORN/disk" $((at * 65536)) 4096)
	done
	wait_until 60 has_longer_pause 500
	[[ $(connection drops) -ge 2 ]]
}

# authority NAME: a CA of its own.  certify CA NAME SUBJECT EXTENSION: a key and a
# certificate that it signs.
authority()
{
	mkdir -p "$W/$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-days 2 -subj "/CN=$1" -keyout "$W/$1/ca.key" \
		-out "$W/$1/ca-cert.pem" 2>/dev/null
}

certify()
{
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-subj "/CN=$3" -keyout "$W/$1/$2-key.pem" \
		-out "$W/$1/$2.csr" 2>/dev/null
	openssl x509 -req -in "$W/$1/$2.csr" -CA "$W/$1/ca-cert.pem" \
		-CAkey "$W/$1/ca.key" -CAcreateserial -days 2 \
		-extfile <(echo "$4") -out "$W/$1/$2-cert.pem" 2>/dev/null
}

# serve_tls [OPTION...]: with TLS, on a port of localhost.
serve_tls()
{
	serve_tcp --tls=require --tls-certificates="$W/ours" "$@"
}

# serve_tcp [OPTION...]: on a port of localhost, which is left in PORT.
serve_tcp()
{
	local try

	for try in {1..20}; do
		PORT=$((20000 + ($$ * 31 + try * 977 + RANDOM) % 12000))
		! nbdkit -r -P "$W/server.pid" -i 127.0.0.1 -p "$PORT" \
			"$@" file "$LIVE" 2>"$W/nbdkit.log" 3>&- 4>&- || return 0
	done
	cat "$W/nbdkit.log"
	return 1
}

# tls HOST CERTIFICATES: mounts with that server as a live source.
tls()
{
	client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" --live \
		"nbds://$1:$PORT/torn?tls-certificates=$2,name=live" \
		--state "$W/state" "$MNT" 3>&- 4>&-
}

# without_it WHY: the mount is there without its live source, and says why.
without_it()
{
	cmp <(piece "$MNT/instances/torn/disk" 0 65536) \
		<(piece "$BM/$NOVA/$TORN/disk" 0 65536)
	jq -r '.sources[] | select(.source == "live") | .error' \
		"$MNT/status.json" >"$W/why"
	cat "$W/why"
	[[ $(<"$W/why") == *"nbds://"*$1* && $(wc -l <"$W/why") -eq 1 ]]
	rescue_umount "$W"
	rm -rf "$W/state"
}

@test "over TCP, by nbd:// and a port" {
	serve_tcp
	client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" \
		--live "nbd://localhost:$PORT/torn,name=live" \
		--state "$W/state" "$MNT" 3>&- 4>&-
	now_all "$LIVE"
	[[ $(getfattr --only-values -n user.rescuefs.sources \
		"$MNT/instances/torn/disk") == live* ]]
}

@test "TLS with certificates: the server is verified, and refused if it is another" {
	nbdkit --dump-config | grep -q '^tls=yes' || skip "nbdkit without TLS"
	authority ours
	authority others
	certify ours server localhost "subjectAltName=DNS:localhost"
	serve_tls
	tls localhost "$W/ours"
	now_all "$LIVE"
	[[ $(getfattr --only-values -n user.rescuefs.sources \
		"$MNT/instances/torn/disk") == live* ]]
	rescue_umount "$W"
	rm -rf "$W/state"
	# Signed by one whom we do not know.
	tls localhost "$W/others"
	without_it "no CA of tls-certificates has signed it"
	# The right one's, for another name.
	tls 127.0.0.1 "$W/ours"
	without_it "certificate is for another name"
	# No TLS where it must be.
	client "$RESCUEFS" mount --damaged "$BM" --state "$W/state" \
		--live "nbd://localhost:$PORT/torn,name=live" "$MNT" 3>&- 4>&-
	cmp <(piece "$MNT/instances/torn/disk" 0 4096) \
		<(piece "$BM/$NOVA/$TORN/disk" 0 4096)
	cat "$MNT/status.json"
	grep "export torn: .*or wants TLS, which nbds:// says" "$MNT/status.json"
}

@test "TLS with a certificate of the client's own" {
	nbdkit --dump-config | grep -q '^tls=yes' || skip "nbdkit without TLS"
	authority ours
	certify ours server localhost "subjectAltName=DNS:localhost"
	certify ours client me "extendedKeyUsage=clientAuth"
	mkdir "$W/known" "$W/unknown"
	cp "$W"/ours/{ca-cert,client-cert,client-key}.pem "$W/known"
	cp "$W/ours/ca-cert.pem" "$W/unknown"
	serve_tls --tls-verify-peer
	tls localhost "$W/known"
	now_all "$LIVE"
	rescue_umount "$W"
	rm -rf "$W/state"
	tls localhost "$W/unknown"
	without_it "if the server wants a certificate of ours"
}

@test "TLS is spoken where the URI says it" {
	nbdkit --dump-config | grep -q '^tls=yes' || skip "nbdkit without TLS"
	echo "me:$(seeded_bytes key 32 | xxd -p -c 64)" >"$W/psk"
	chmod 600 "$W/psk"
	nbdkit -r -P "$W/server.pid" -U "$SOCK" --tls=require \
		--tls-psk="$W/psk" file "$LIVE" 3>&- 4>&-
	client "$RESCUEFS" mount --damaged "$BM" --state "$W/state" --live \
		"nbds+unix://me@/torn?socket=$SOCK&tls-psk-file=$W/psk,name=live" \
		"$MNT" 3>&- 4>&-
	now_all "$LIVE"
}

@test "wrong words of a live source are named" {
	run --separate-stderr "$RESCUEFS" scan --live http://x
	[[ $status -eq 2 && $stderr == *"only those of NBD servers"* ]]
	run --separate-stderr "$RESCUEFS" scan --damaged nbd://x
	[[ $status -eq 2 && $stderr == *"an NBD server is a live source"* ]]
	printf '%s\n' "[source a]" "kind = live" "nbd = ssh://x" >"$W/c"
	run --separate-stderr "$RESCUEFS" scan "$W/c"
	[[ $status -eq 2 && $stderr == *"must begin with nbd://"* ]]
	run --separate-stderr "$RESCUEFS" scan \
		--live "nbds://x/?tls-certificates=pki"
	[[ $status -eq 2 && $stderr == *"'tls-certificates' must begin with a slash"* ]]
	run --separate-stderr "$RESCUEFS" scan --live "nbd+unix:///x?socket=s"
	[[ $status -eq 2 && $stderr == *"'socket' must begin with a slash"* ]]
	printf '%s\n' "[source a]" "kind = live" "nbd = nbd://x" "[export y]" \
		>"$W/c"
	run --separate-stderr "$RESCUEFS" scan "$W/c"
	[[ $status -eq 2 && $stderr == *":4: [export y] needs 'disk'"* ]]
}

# verify_live: what verify says of the live copy, as JSON.
verify_live()
{
	client "$RESCUEFS" verify --damaged "$BM" --backup "$BACKUP" \
		--state "$W/state" --live "$(uri torn),name=live" --quiet \
		--json torn/disk >"$W/said" || echo "$?"
	jq '.sources[] | select(.source == "live")' "$W/said" >"$W/live"
}

@test "verify: by QEMU over a connection of its own, beside a mount too" {
	serve
	[ -z "$(verify_live)" ]
	jq -e '.equal == 8388608 and .by == "QEMU"' "$W/live"
	# What the mount took from it is of then, and it changes.
	live torn
	now_all "$LIVE"
	printf 'flip 8192 512\n' >"$W/new" && mv "$W/new" "$W/faults"
	[ "$(verify_live)" -eq 3 ]
	jq -e '.equal == 8388608 and .merged.unreadable > 0 and
		.merged.extents == []' "$W/live"
	# A reader that errs does so each time.
	mkdir "$W/bin"
	cp "$LIVE" "$W/other.img"
	printf wrong | dd of="$W/other.img" conv=notrunc bs=1 seek=5000 \
		status=none
	printf '#!/bin/sh\nexec %s --read-only -f raw "%s"\n' \
		"$(type -P qemu-nbd)" "$W/other.img" >"$W/bin/qemu-nbd"
	chmod +x "$W/bin/qemu-nbd"
	: >"$W/new" && mv "$W/new" "$W/faults"
	[ "$(PATH=$W/bin:$PATH verify_live)" -eq 1 ]
	jq -e '.extents | map([.offset, .length, .state]) ==
		[[4608, 512, "different"]]' "$W/live"
}

@test "verify: what changes while it is read is no difference of readers" {
	# The first four reads of the first sector are told another number each.
	echo 0 >"$W/n"
	# shellcheck disable=SC2016 # it is nbdkit's shell that expands it
	setsid nbdkit -r -P "$W/server.pid" -U "$SOCK" eval \
		get_size='echo 1048576' pread='
			n=4
			[ "$4" != 0 ] || read -r n <"'"$W/n"'"
			[ "$4" != 0 ] || echo $((n + 1)) >"'"$W/n"'"
			{ [ "$n" -ge 4 ] || printf "$n"; cat /dev/zero; } |
				head -c "$3"' 3>&- 4>&-
	verify_live >"$W/status"
	jq -e '.equal == 1048576 and .differing == 0' "$W/live"
	[ "$(<"$W/n")" -ge 5 ]
}

#!/usr/bin/env bats
# P7 where the state's own disk fails or is full: a clear error, nothing lost
# that was fsynced, reads go on; and a state that cannot be taken is refused with
# a sentence, and left as it is.
# shellcheck disable=SC2030,SC2031 # run sets its variables anew in every test
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file mkfs.ext4 python3 || return
	export SOME=$BATS_FILE_TMPDIR/some
	seeded_bytes some $((1 << 20)) >"$SOME"
	digest_tree "$BM" >"$BATS_FILE_TMPDIR/digest"
}

setup()
{
	work_setup
	F=instances/torn/disk
	TRUTH=$BM/$NOVA/$TORN/disk
}

teardown()
{
	let_go "$W/rescue"
	let_go "$W/small"
	end_pid "$W/pid"
}

# view [ENV...]: mounts in the foreground, its words in $W/log.
view()
{
	MNT=$W/rescue STATE=${STATE-$W/state}
	mkdir -p "$MNT"
	in_background env "$@" "$RESCUEFS" mount -f --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" "$MNT" 2>>"$W/log"
	echo $! >"$W/pid"
	wait_until 60 is_mounted "$MNT" || die "$(<"$W/log")"
}

# The same on a disk that fails as the lines of $W/dodge say.
view_on_failing()
{
	view "ASAN_OPTIONS=${ASAN_OPTIONS-}:verify_asan_link_order=0" \
		"LD_PRELOAD=$RESCUEFS_BUILD/tests/crash/dodge.so" \
		"DODGE_DIR=${STATE-$W/state}" "DODGE_FILE=$W/dodge"
}

unview()
{
	let_go "$MNT"
	wait_until 60 is_gone "$(<"$W/pid")"
}

dodge()
{
	printf '%s\n' "$@" >"$W/dodge.new" && mv "$W/dodge.new" "$W/dodge"
}

# put FROM SEEK: so much of SOME to the disk, in blocks of 64 KiB, and an fsync.
put()
{
	client dd if="$SOME" of="$MNT/$F" bs=64k skip="$1" seek="$2" \
		count="$3" conv=notrunc,fsync status=none
}

# The disk is its source's but for these blocks: "SKIP SEEK COUNT"...
expect_disk()
{
	local w

	cp "$TRUTH" "$W/want"
	for w; do
		# shellcheck disable=SC2086 # three words
		set -- $w
		dd if="$SOME" of="$W/want" bs=64k skip="$1" seek="$2" \
			count="$3" conv=notrunc status=none
	done
	client cmp "$MNT/$F" "$W/want"
}

# fails ERRNO-TEXT PART-OF-THE-LOG FAULT: an fsync while the fault lasts, and all
# that can be read meanwhile.
fails()
{
	: >"$W/log"
	dodge "$3"
	run ! put 3 40 2
	[[ $output = *"$1"* ]] || die "$output"
	run ! put 3 40 2
	grep -q "$2" "$W/log" || die "the log: $(<"$W/log")"
	client cmp -n 65536 "$MNT/$F" "$SOME"
	client cmp -i 4194304 "$MNT/$F" "$TRUTH"
	client cmp "$MNT/instances/kept/disk" "$BACKUP/$NOVA/$KEPT/disk"
	client cat "$MNT/instances/torn/rescue/disk.json" >/dev/null
	dodge
}

@test "EIO and ENOSPC at a write: told, reads go on, and later writes do" {
	dodge
	view_on_failing
	put 0 0 1
	fails "Input/output error" "writing 65536 bytes" "write 5 /data/"
	fails "No space left" "writing 65536 bytes" "write 28 /data/"
	put 5 20 1
	kill -9 "$(<"$W/pid")"
	unview
	view
	expect_disk "0 0 1" "5 20 1"
}

@test "EIO at a sync: told each time, and the next that is done is done" {
	dodge
	view_on_failing
	put 0 0 1
	fails "Input/output error" "does not take what was written" \
		"sync 5 /data/"
	put 5 20 1
	kill -9 "$(<"$W/pid")"
	unview
	view
	expect_disk "0 0 1" "3 40 2" "5 20 1"
}

@test "EIO and ENOSPC of what is known: told, and kept with the next sync" {
	local fault

	dodge
	view_on_failing
	put 0 0 1
	for fault in "write 5" "sync 5"; do
		fails "Input/output error" "state $W/state: " "$fault known.db"
	done
	fails "No space left" "make room" "write 28 known.db"
	put 5 20 1
	kill -9 "$(<"$W/pid")"
	unview
	view
	expect_disk "0 0 1" "3 40 2" "5 20 1"
}

@test "a mount that ends while its state's disk fails says what is lost" {
	dodge
	view_on_failing
	put 0 0 1
	dodge "sync 5 /data/"
	client dd if="$SOME" of="$MNT/$F" bs=64k count=1 seek=9 conv=notrunc \
		status=none
	unview
	grep -q "torn/disk.*does not take what was written" "$W/log"
	view
	client cmp -n 65536 "$MNT/$F" "$SOME"
}

# A small file system of its own, with room to take away.
small_state()
{
	truncate -s 6M "$W/small.img"
	mkfs.ext4 -q -m 0 -O ^has_journal "$W/small.img"
	mkdir "$W/small"
	mount -o loop "$W/small.img" "$W/small"
	STATE=$W/small/state
}

@test "a full disk: the rescued store stops, reads go on, then writes do" {
	small_state
	head -c 2M /dev/zero >"$W/small/filler"
	view
	put 0 0 4
	client cmp -i 1048576 "$MNT/$F" "$TRUTH" # 7 MiB, of which 2 fit
	run ! client dd if="$SOME" of="$MNT/$F" bs=64k seek=16 conv=notrunc,fsync \
		status=none
	[[ $output = *"No space left on device"* ]]
	expect_disk "0 0 4"
	client cmp "$MNT/instances/kept/disk" "$BACKUP/$NOVA/$KEPT/disk"
	unview
	view
	expect_disk "0 0 4"
	rm "$W/small/filler"
	put 2 30 9
	unview
	view
	expect_disk "0 0 4" "2 30 9"
}

# Refused with this status and these words, by a mount and by a verb; nothing is
# changed but the name of who tried.
refuses()
{
	local verb before after

	before=$(digest_state)
	for verb in mount reset; do
		run "-$1" client "$RESCUEFS" "$verb" --damaged "$BM" --backup \
			"$BACKUP" --state "$STATE" \
			"$([[ $verb = mount ]] && echo "$MNT" || echo torn/disk)"
		[[ $output = *"$2"* && ${#lines[@]} -eq 1 ]] || die "$output"
	done
	after=$(digest_state)
	[[ $before = "$after" ]] || diff <(echo "$before") <(echo "$after")
}

digest_state()
{
	(cd "$STATE" && find . -type f ! -name lock -printf '%p %s ' \
		-exec md5sum {} +) | sort
}

sql()
{
	python3 -c 'import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.execute(sys.argv[2])
c.commit()' "$STATE/known.db" "$1"
}

@test "a state that is newer, damaged or in part is refused and left alone" {
	view
	put 0 0 16
	mkdir "$W/second"
	run -4 client "$RESCUEFS" mount --damaged "$BM" --state "$STATE" \
		"$W/second"
	[[ $output = *"in use by process $(<"$W/pid") ($MNT)"* ]]
	unview
	cp -a "$STATE" "$W/good"
	sql "PRAGMA user_version = 99"
	refuses 2 "format version 99"
	cp "$W/good/known.db" "$STATE/known.db"
	head -c 10000 "$W/good/known.db" >"$STATE/known.db"
	refuses 2 "known.db is damaged"
	seeded_bytes garbage 50000 >"$STATE/known.db"
	refuses 2 "known.db is damaged"
	: >"$STATE/known.db"
	refuses 2 "known.db is missing or empty"
	cp "$W/good/known.db" "$STATE/known.db"
	view
	expect_disk "0 0 16"
}

@test "what is missing of what was written is EIO, and a reset ends that" {
	view
	put 0 0 16
	unview
	find "$STATE/data" -type f ! -name "*.*" -exec truncate -s 500000 {} +
	view
	client cmp -n 500000 "$MNT/$F" "$SOME"
	client cmp -i 1048576 "$MNT/$F" "$TRUTH"
	run ! client head -c 600000 "$MNT/$F"
	[[ $output = *"Input/output error"* ]]
	run ! put 0 40 1
	grep -q "put a copy of it back, or 'rescuefs reset'" "$W/log"
	unview
	client "$RESCUEFS" reset --yes --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" torn/disk
	view
	expect_disk
	put 0 40 1
	expect_disk "0 40 1"
}

@test "P1: no verb opens a state that lies on a source" {
	cp -a "$BATS_FILE_TMPDIR/digest" "$W/digest"
	view
	put 0 0 1
	unview
	cp -a "$STATE" "$BACKUP/old-state"
	digest_tree "$BACKUP" >"$W/digest"
	STATE=$BACKUP/old-state
	refuses 2 "lies in the source"
	diff "$W/digest" <(digest_tree "$BACKUP")
	rm -r "$BACKUP/old-state"
	STATE=$W/rescue/state
	run -2 client "$RESCUEFS" mount --damaged "$BM" --state "$STATE" \
		"$W/rescue"
	[[ $output = *"lies in the mount point"* ]]
}

@test "P1: the sources are as they were" {
	diff "$BATS_FILE_TMPDIR/digest" <(digest_tree "$BM")
}

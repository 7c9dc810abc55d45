#!/usr/bin/env bats
# The failing disk itself: what the other tests believe of it.

bats_require_minimum_version 1.5.0
load lib/common
load lib/disk

setup_file()
{
	need_disk mkfs.ext4
	export W=$BATS_FILE_TMPDIR/disk
	export IMAGE=$BATS_FILE_TMPDIR/image
	seeded_bytes "${RESCUEFS_SEED:-1} faults" $((8 << 20)) >"$IMAGE"
	seeded_bytes "${RESCUEFS_SEED:-1} stale" $((8 << 20)) >"$IMAGE.old"
	disk_start "$W" "$IMAGE"
}

teardown_file()
{
	disk_stop "$BATS_FILE_TMPDIR/disk"
}

setup()
{
	disk_faults "$W" </dev/null
}

# sectors FIRST COUNT: these, read one at a time with O_DIRECT; a line each.
sectors()
{
	local s

	for ((s = $1; s < $1 + $2; s++)); do
		if client dd if="$DISK" bs=512 skip="$s" count=1 \
			iflag=direct status=none >"$BATS_TEST_TMPDIR/s" \
			2>/dev/null; then
			cmp -s "$BATS_TEST_TMPDIR/s" <(tail -c +$((s * 512 + 1)) \
				"${COMPARE-$IMAGE}" | head -c 512) &&
				echo "$s same" || echo "$s other"
		else
			echo "$s fails"
		fi
	done
}

direct()
{
	client dd if="$DISK" bs="$1" skip="$2" count=1 iflag=direct status=none
}

@test "without faults it is the image" {
	client cmp "$DISK" "$IMAGE"
}

@test "eio fails for exactly its 512 bytes" {
	disk_faults "$W" <<<"eio $((101 * 512)) 512"
	run sectors 99 5
	[ "$output" = "99 same
100 same
101 fails
102 same
103 same" ]
}

@test "eio of half a sector fails that sector" {
	disk_faults "$W" <<<"eio $((101 * 512 + 100)) 5"
	run sectors 100 3
	[ "$output" = "100 same
101 fails
102 same" ]
}

@test "a larger read that touches a bad sector fails with EIO" {
	disk_faults "$W" <<<"eio $((101 * 512)) 512"
	run direct 65536 0
	[ "$status" -ne 0 ]
	[[ $output = *"Input/output error"* ]]
}

@test "each read of a sector is counted, failed ones too" {
	local before after

	before=$(disk_touches "$W" $((200 * 512)))
	disk_faults "$W" <<<"eio $((200 * 512)) 512"
	run ! direct 512 200
	run ! direct 4096 25
	disk_faults "$W" </dev/null
	direct 512 200 >/dev/null
	after=$(disk_touches "$W" $((200 * 512)))
	[ $((after - before)) -eq 3 ]
	[ "$(disk_touches "$W" $((200 * 512)) 2048 | wc -l)" -eq 4 ]
}

@test "eio with a number heals after so many reads of the sector" {
	disk_faults "$W" <<<"eio $((300 * 512)) 1024 2"
	run sectors 300 1
	[ "$output" = "300 fails" ]
	run sectors 300 2
	[ "$output" = "300 fails
301 fails" ]
	run sectors 300 2
	[ "$output" = "300 same
301 fails" ]
	run sectors 300 2
	[ "$output" = "300 same
301 same" ]
}

@test "zero, flip and stale change what is delivered" {
	disk_faults "$W" <<EOT
zero 0 512       # a remark
flip 1024 512

stale $IMAGE.old 2048 512
EOT
	run sectors 0 6
	[ "$output" = "0 other
1 same
2 other
3 same
4 other
5 same" ]
	cmp <(direct 512 0) <(head -c 512 /dev/zero)
	COMPARE=$IMAGE.old run sectors 4 1
	[ "$output" = "4 same" ]
	# Each bit turned: the sum of a byte and its flipped self is 255.
	paste <(direct 512 2 | od -An -v -w1 -tu1) \
		<(tail -c +1025 "$IMAGE" | head -c 512 | od -An -v -w1 -tu1) |
		awk '$1 + $2 != 255 { bad++ } END { exit bad || NR != 512 }'
}

@test "slow takes its time, elsewhere it does not" {
	local t0 t1 t2

	disk_faults "$W" <<<"slow 1500 0 512"
	t0=$(date +%s%3N)
	direct 512 8 >/dev/null
	t1=$(date +%s%3N)
	direct 512 0 >/dev/null
	t2=$(date +%s%3N)
	[ $((t2 - t1)) -ge 1500 ]
	[ $((t1 - t0)) -lt 1500 ]
}

@test "hang waits until the line is gone, and only there" {
	disk_faults "$W" <<<"hang 4096 512"
	direct 512 8 >"$BATS_TEST_TMPDIR/out" 3>&- &
	sleep 0.5
	kill -0 $!
	[ ! -s "$BATS_TEST_TMPDIR/out" ]
	run sectors 9 1
	[ "$output" = "9 same" ]
	disk_faults "$W" </dev/null
	wait $!
	cmp "$BATS_TEST_TMPDIR/out" <(tail -c +4097 "$IMAGE" | head -c 512)
}

@test "a line that makes no sense fails everything" {
	disk_faults "$W" <<<"eio 512"
	run sectors 5000 1
	[ "$output" = "5000 fails" ]
}

@test "faults apply to a file on a mounted file system" {
	local image=$BATS_TEST_TMPDIR/fs work=$BATS_TEST_TMPDIR/w
	local mnt=$BATS_TEST_TMPDIR/mnt block

	mkdir "$mnt" "$BATS_TEST_TMPDIR/tree"
	head -c 65536 "$IMAGE" >"$BATS_TEST_TMPDIR/tree/f"
	truncate -s 16M "$image"
	mkfs.ext4 -q -b 4096 -d "$BATS_TEST_TMPDIR/tree" "$image"
	block=$(debugfs -R 'bmap /f 3' "$image" 2>/dev/null)
	disk_start "$work" "$image"
	mount -o ro,norecovery "$DISK" "$mnt"
	disk_faults "$work" <<<"eio $((block * 4096 + 1024)) 512"
	DISK=$mnt/f run sectors 24 5
	disk_faults "$work" </dev/null
	let_go "$mnt"
	disk_stop "$work"
	[ "$output" = "24 same
25 same
26 fails
27 same
28 same" ]
}

@test "drop ends the connection; the server takes new ones" {
	local work=$BATS_TEST_TMPDIR/w

	disk_start "$work" "$IMAGE"
	disk_faults "$work" <<<"drop 4096 512"
	client nbdinfo --size "nbd+unix:///?socket=$work/socket"
	run ! direct 512 8
	# nbdfuse does not connect again: it is a disk that is gone
	run ! direct 512 100
	client nbdinfo --size "nbd+unix:///?socket=$work/socket"
	disk_stop "$work"
	run ! is_mounted "$work/nbd"
}

#!/usr/bin/env bats
# SEEK_DATA and SEEK_HOLE say what the same calls say of the source.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file xfs_io
	W=$BATS_FILE_TMPDIR/mount
	export W
	# Data, hole, data, and 3 GiB of nothing, which is several looks ahead.
	truncate -s 3g "$BM/$NOVA/$TORN/disk"
	seeded_bytes seek 65536 | dd of="$BM/$NOVA/$TORN/disk" bs=64k \
		seek=20000 conv=notrunc status=none iflag=fullblock
	rescue_mount "$W"
}

teardown_file()
{
	rescue_umount "$BATS_FILE_TMPDIR/mount"
}

setup()
{
	MNT=$W/rescue
}

seeks()
{
	client xfs_io -r -c 'seek -a -r 0' "$1"
}

@test "every edge is where it is in the source" {
	run seeks "$MNT/instances/torn/disk"
	[ "$output" = "$(seeks "$BM/$NOVA/$TORN/disk")" ]
	[ "${#lines[@]}" -ge 4 ]
}

@test "one source alone has the same edges" {
	run seeks "$MNT/sources/bm0002/instances/torn/disk"
	[ "$output" = "$(seeks "$BM/$NOVA/$TORN/disk")" ]
}

@test "beyond the end there is neither" {
	for at in 3221225472 4000000000; do
		run client xfs_io -r -c "seek -h $at" \
			"$MNT/instances/torn/disk"
		[ "$output" = "$(client xfs_io -r -c "seek -h $at" \
			"$BM/$NOVA/$TORN/disk" 2>&1)" ]
	done
}

@test "a copy costs what is allocated" {
	client cp --sparse=auto "$MNT/instances/torn/disk" "$W/copy"
	cmp -n $((16 << 20)) "$W/copy" "$BM/$NOVA/$TORN/disk"
	(($(stat -c %b "$W/copy") * 512 < 16 << 20))
}

#!/usr/bin/env bats
# Writing to an image, in every way that there is, against a plain file to
# which the same is done.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file xfs_io
}

setup()
{
	work_setup
	rescue_mount "$W"
	cp --sparse=always "$BM/$NOVA/$TORN/disk" "$W/want"
}

teardown()
{
	rescue_umount "$W"
}

# both COMMAND...: the same with both files; IMAGE is a new disk's name.
both()
{
	client xfs_io "$@" "$W/want" >/dev/null
	# shellcheck disable=SC2153 # each test sets it
	client xfs_io "$@" "$MNT/instances/$IMAGE/disk" >/dev/null
}

alike()
{
	client cmp "$W/want" "$MNT/instances/$IMAGE/disk"
}

changes()
{
	local io

	for io in '' -d; do
		# shellcheck disable=SC2086
		both $io -c 'pwrite -S 0x5a 4096 8192' \
			-c 'pwrite -S 0x5b -b 1m 1m 3m' \
			-c 'pwrite -S 0x5c 6m 64k'
		alike
	done
	both -c 'pwrite -S 0x5d 777 1' -c 'pwrite -S 0x5e 1048575 2'
	alike
	both -c 'fpunch 64k 1m'
	alike
	both -c 'fzero -k 2m 1m'
	alike
	both -c 'fzero 7m 2m'
	alike
	both -c 'truncate 3000001'
	alike
	both -c 'truncate 8m'
	alike
	both -c 'falloc 0 10m'
	alike
	both -c 'pwrite -S 0x5f 11m 4k'
	alike
	[ "$(stat -c %s "$MNT/instances/$IMAGE/disk")" = \
		"$(stat -c %s "$W/want")" ]
}

@test "an image without page cache takes every change" {
	IMAGE=torn changes
	alike=$(md5sum <"$W/want")
	rescue_umount "$W"
	rescue_mount "$W"
	[ "$(client md5sum <"$MNT/instances/torn/disk")" = "$alike" ]
}

@test "an image with page cache takes every change" {
	cp --sparse=always "$BACKUP/$NOVA/$KEPT/disk" "$W/want"
	IMAGE=kept changes
	alike=$(md5sum <"$W/want")
	rescue_umount "$W"
	rescue_mount "$W"
	[ "$(client md5sum <"$MNT/instances/kept/disk")" = "$alike" ]
}

@test "a collapse is refused, and changes nothing" {
	run ! client fallocate -c -o 0 -l 4096 "$MNT/instances/torn/disk"
	IMAGE=torn alike
}

@test "times are the source's until the image is written" {
	[ "$(stat -c %Y "$MNT/instances/torn/disk")" = \
		"$(stat -c %Y "$BM/$NOVA/$TORN/disk")" ]
	client touch -d @1000000000 "$MNT/instances/torn/disk"
	[ "$(stat -c %Y "$MNT/instances/torn/disk")" = 1000000000 ]
	client xfs_io -c 'pwrite 0 512' "$MNT/instances/torn/disk"
	(($(stat -c %Y "$MNT/instances/torn/disk") > 1700000000))
}

@test "an emptied image is filled by cp, and keeps its holes" {
	local image=$MNT/instances/torn/disk

	truncate -s 64m "$W/new"
	seeded_bytes new 300000 | dd of="$W/new" bs=64k seek=100 conv=notrunc \
		status=none iflag=fullblock
	client cp --sparse=always "$W/new" "$image"
	client cmp "$W/new" "$image"
	# The source's own 4 MiB are counted as well: an estimate.
	(($(stat -c %b "$image") * 512 < 5 << 20))
	(($(stat -c %b "$image") > 0))
}

#!/usr/bin/env bats
# What is kept of what is read off a dying disk, by its own counters: all of it, what
# comes after the first error, or none of it; and across restarts.  A bad sector is
# not asked for again, whatever is kept.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/mount
load lib/volume

M=$((1 << 20))
BEFORE=$M BAD=$((8 * M)) AFTER=$((16 * M))

setup_file()
{
	volume_setup_file
}

setup()
{
	work_setup
}

teardown()
{
	volume_detach "$W"
	let_loops_go
}

# The bytes of the disk at OFF, 4096 of them.
piece()
{
	client dd if="$IMAGE" bs=4096 skip=$(($1 / 4096)) count=1 status=none
}

touches()
{
	disk_touches "$W/disk" "$1"
}

right()
{
	piece "$1" | cmp -n 4096 -i "0:$1" - "$V/host.img"
}

# Three mounts under one mode: before any error, past it, and once more; sets
# KEPT, what the store has in the end.
three_mounts()
{
	volume_attach "$W" "$V" <<<"eio $BAD 512"
	sed -i "s/^kind = damaged/&\nstore = $1/" "$W/site.conf"
	volume_mount "$W"
	right "$BEFORE"
	rescue_umount "$W"
	volume_mount "$W"
	right "$BEFORE"
	piece "$BAD" >/dev/null
	right "$AFTER"
	found=$(touches "$BAD")
	[ "$found" -ge 1 ]
	[ "$found" -le 2 ]
	rescue_umount "$W"
	volume_mount "$W"
	right "$AFTER"
	piece "$BAD" >/dev/null
	[ "$(touches "$BAD")" -eq "$found" ]
	[ "$(jq -r '.sources[] | select(.source == "bm0002") | .store' \
		"$MNT/status.json")" = "$1" ]
	KEPT=$(jq '.sources[] | select(.source == "bm0002") | .rescued.kept' \
		"$MNT/status.json")
}

@test "store = on: nothing that was delivered is asked for again" {
	three_mounts on
	[ "$(touches "$BEFORE")" -eq 1 ]
	[ "$(touches "$AFTER")" -eq 1 ]
	[ "$KEPT" -ge $((3 * 4096 - 512)) ]
}

@test "store = auto: nothing that was delivered since the first error is" {
	three_mounts auto
	[ "$(touches "$BEFORE")" -eq 2 ]
	[ "$(touches "$AFTER")" -eq 1 ]
	[ "$KEPT" -ge 4096 ]
}

@test "store = off: nothing is kept, and what is bad is known all the same" {
	three_mounts off
	[ "$(touches "$BEFORE")" -eq 2 ]
	[ "$(touches "$AFTER")" -eq 2 ]
	[ "$KEPT" -eq 0 ]
}

# two_devices KIND: $W/old and $W/new of one size, and a site with such a volume.
two_devices()
{
	local name

	# What has no block device below (tmpfs, overlay) has no number to tell.
	[ "$(stat -c %Hd "$W")" -ne 0 ] || skip "needs a disk below $W"
	mkdir "$W/vg"
	for name in old new; do
		seeded_bytes "$name" "$((4 * M))" >"$W/$name"
	done
	cat >"$W/site.conf" <<-EOT
		[site]
		state = $W/state
		[source bm0002]
		kind = $1
		volumes = $W/vg
	EOT
}

@test "another device of the same name and size: nothing of the old one is served" {
	two_devices damaged
	loop_of "$W/old"
	client "$RESCUEFS" fetch "$W/site.conf" "$VOL"
	loop_of "$W/new"
	run -3 client "$RESCUEFS" fetch "$W/site.conf" "$VOL"
	[[ $output == *"its loop-inode was "*" and is "*"'rescuefs refresh'"* ]]
	# It goes on with the device that it began with, by any name.
	let_loops_go
	loop_of "$W/new"
	loop_of "$W/old"
	volume_mount "$W"
	client cmp "$IMAGE" "$W/old"
	printf here | client dd of="$IMAGE" bs=1 seek=4096 conv=notrunc status=none
	rescue_umount "$W"
	loop_of "$W/new"
	run ! client "$RESCUEFS" refresh "$W/site.conf" "$VOL"
	[[ $output == *"was written to"*"rescuefs reset"* ]]
	client "$RESCUEFS" refresh --force "$W/site.conf" "$VOL"
	printf here | dd of="$W/new" bs=1 seek=4096 conv=notrunc status=none
	volume_mount "$W"
	client cmp "$IMAGE" "$W/new"
}

@test "another device of a backup is not taken for the one that was read" {
	two_devices backup
	loop_of "$W/old"
	volume_mount "$W"
	client cmp "$IMAGE" "$W/old"
	rescue_umount "$W"
	loop_of "$W/new"
	run -3 client "$RESCUEFS" map "$W/site.conf" "$VOL"
	[[ $output == *"$W/vg/$VOL on bm0002 is another device"*"its loop-inode was "*"'rescuefs refresh'"* ]]
	volume_mount "$W"
	run ! client cat "$IMAGE"
	rescue_umount "$W"
	# The same one by another name.
	let_loops_go
	loop_of "$W/new"
	loop_of "$W/old"
	client "$RESCUEFS" map "$W/site.conf" "$VOL"
	loop_of "$W/new"
	client "$RESCUEFS" refresh "$W/site.conf" "$VOL"
	volume_mount "$W"
	client cmp "$IMAGE" "$W/new"
}

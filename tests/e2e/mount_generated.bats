#!/usr/bin/env bats
# Generated files: of the right size, current, and unchanged under a reader.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file jq
}

setup()
{
	work_setup
	rescue_mount "$W"
}

teardown()
{
	rescue_umount "$W"
}

@test "their size is what is read" {
	for f in README instances/torn/instance.json \
		instances/torn/rescue/disk.map \
		instances/torn/rescue/disk.json; do
		[ "$(stat -c %s "$MNT/$f")" -gt 0 ]
		[ "$(stat -c %s "$MNT/$f")" = "$(client cat "$MNT/$f" | wc -c)" ]
	done
}

@test "they tell what is so now" {
	local json=$MNT/instances/torn/rescue/disk.json

	[ "$(jq .totals.local "$json")" = 0 ]
	client dd if=/dev/zero of="$MNT/instances/torn/disk" bs=4096 count=3 \
		conv=notrunc status=none
	[ "$(jq .totals.local "$json")" = 12288 ]
}

@test "who has one open reads the one that was opened" {
	local json=$MNT/instances/torn/rescue/disk.json first

	first=$(client cat "$json" | md5sum)
	exec 7<"$json"
	for i in 1 3 5 7 9; do
		client dd if=/dev/zero of="$MNT/instances/torn/disk" bs=4096 \
			seek="$i" count=1 conv=notrunc status=none
	done
	[ "$(client cat <&7 | md5sum)" = "$first" ]
	exec 7<&-
	[ "$(client cat "$json" | md5sum)" != "$first" ]
}

@test "the README names the sources" {
	grep -q '^  bm0002 .*damaged' "$MNT/README"
	grep -q '^  backup .*backup' "$MNT/README"
	(($(wc -l <"$MNT/README") < 40))
}

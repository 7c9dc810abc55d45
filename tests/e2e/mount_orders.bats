#!/usr/bin/env bats
# What is told and ordered through extended attributes.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file getfattr setfattr
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

order()
{
	client setfattr -n user.rescuefs.control -v "$1" \
		"$MNT/instances/$2/disk"
}

told()
{
	client getfattr --only-values -n "user.rescuefs.$1" "$2"
}

@test "reset drops what was written, from the page cache too" {
	local d image orig

	for d in "torn $BM/$NOVA/$TORN" "kept $BACKUP/$NOVA/$KEPT"; do
		image=$MNT/instances/${d%% *}/disk orig=${d#* }/disk
		client dd if=/dev/zero of="$image" bs=1M count=2 conv=notrunc \
			status=none
		client truncate -s 5M "$image"
		run ! client cmp -s "$image" "$orig"
		order reset "${d%% *}"
		client cmp "$image" "$orig"
		[ "$(stat -c %s "$image")" = "$(stat -c %s "$orig")" ]
		[ "$(told local "$image")" = 0 ]
	done
}

@test "refresh is refused under an overlay, and taken without" {
	order refresh torn
	client dd if=/dev/zero of="$MNT/instances/torn/disk" bs=512 count=1 \
		conv=notrunc status=none
	run ! order refresh torn
	[[ $output = *busy* ]]
	order reset torn
	order refresh torn
}

@test "other orders are refused" {
	run ! order explode torn
	[[ $output = *"Invalid argument"* ]]
	run ! client setfattr -n user.mine -v 1 "$MNT/instances/torn/disk"
	run ! client setfattr -n user.rescuefs.control -v reset "$MNT/README"
	run ! client setfattr -x user.rescuefs.uuid "$MNT/instances/torn/disk"
}

@test "an image tells what it is" {
	local image=$MNT/instances/torn/disk

	[ "$(told disk "$image")" = torn/disk ]
	[ "$(told uuid "$image")" = "$TORN" ]
	[ "$(told format "$image")" = raw ]
	[ "$(told sources "$image" | wc -w)" = 2 ]
	client cat "$image" >/dev/null
	[ "$(told unread "$image")" = 0 ]
	[ "$(($(told fresh "$image") + $(told hole "$image")))" = \
		"$SMALL_SIZE" ]
	run ! told error "$image"
	[ "$(told source "$MNT/sources/backup/instances/torn/disk")" = backup ]
}

#!/usr/bin/env bats
# A disk that no source can open: it is there, it says why, and the rest of the
# tree does not mind.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file getfattr
	W=$BATS_FILE_TMPDIR/mount
	export W
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

@test "it is listed, empty and not to be opened" {
	run client ls "$MNT/instances/broken"
	[ "${lines[0]}" = disk ]
	[ "$(stat -c '%a %s' "$MNT/instances/broken/disk")" = "400 0" ]
	run ! client cat "$MNT/instances/broken/disk"
	[[ $output = *"Input/output error"* ]]
	run ! client cat "$MNT/instances/broken/rescue/disk.map"
}

@test "it says why" {
	run client getfattr --only-values -n user.rescuefs.error \
		"$MNT/instances/broken/disk"
	[ "$status" -eq 0 ]
	[[ $output = *qcow2* ]]
}

@test "a verb beside the mount says why, too" {
	for verb in losses map; do
		run -3 --separate-stderr client "$RESCUEFS" "$verb" \
			--damaged "$BM" --backup "$BACKUP" --state "$W/state" \
			broken/disk
		# shellcheck disable=SC2154 # run sets it
		[[ $stderr = *"no source of it can be opened"*qcow2* ]]
	done
}

@test "the others are well" {
	client cmp "$MNT/instances/torn/disk" "$BM/$NOVA/$TORN/disk"
	client find "$MNT" >/dev/null
}

#!/usr/bin/env bats
# Who may see what.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file setpriv
}

setup()
{
	work_setup
	chmod 755 "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" "$BATS_TEST_TMPDIR" \
		"$BATS_RUN_TMPDIR"/* "$W"
}

teardown()
{
	rescue_umount "$W"
}

as_nobody()
{
	client setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
}

@test "another user sees nothing of it" {
	rescue_mount "$W"
	run ! as_nobody ls "$MNT"
	run ! as_nobody cat "$MNT/README"
}

@test "with allow_other another user sees the tree, and not the disks" {
	rescue_mount "$W" -o allow_other
	as_nobody cat "$MNT/README"
	as_nobody cat "$MNT/hosts/bm0002/etc/hostname"
	run ! as_nobody head -c1 "$MNT/instances/torn/disk"
	run ! as_nobody head -c1 "$MNT/sources/backup/instances/torn/disk"
	run ! as_nobody cat "$MNT/hosts/bm0002/etc/shadow"
	run ! as_nobody setfattr -n user.rescuefs.control -v reset \
		"$MNT/instances/torn/disk"
}

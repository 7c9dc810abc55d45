#!/usr/bin/env bats
# What may stand behind -o, and where a mount may stand.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file
}

setup()
{
	work_setup
}

teardown()
{
	rescue_umount "$W"
}

mount_line()
{
	awk -v p="$MNT" '$2 == p' /proc/self/mounts
}

@test "fstab's options are carried along" {
	rescue_mount "$W" -o rw,dev,suid,noauto,nofail,_netdev,user \
		-o x-systemd.automount,comment=rescue,defaults
	[ -f "$MNT/README" ]
}

@test "an unknown option is named" {
	run ! rescue_mount "$W" -o "noauto,frobnicate=3"
	[[ $output = *'"frobnicate=3"'* ]]
	run ! is_mounted "$W/rescue"
}

@test "the mount is nosuid and nodev whatever is asked, and says what it is" {
	rescue_mount "$W" -o dev,suid
	run mount_line
	[[ $output = *" fuse.rescuefs rw,nosuid,nodev,"* ]]
	[[ $output = *,default_permissions* ]]
	[[ $output != *allow_other* ]]
}

@test "with ro nothing can be written, and nothing is reset" {
	rescue_mount "$W" -o ro
	run ! client dd if=/dev/zero of="$MNT/instances/torn/disk" bs=512 \
		count=1 conv=notrunc
	[[ $output = *"Read-only file system"* ]]
	run ! client setfattr -n user.rescuefs.control -v reset \
		"$MNT/instances/torn/disk"
	[[ $output = *"Read-only file system"* ]]
	client cmp "$MNT/instances/torn/disk" "$BM/$NOVA/$TORN/disk"
}

@test "a mount point that is missing or no directory is told" {
	run ! client "$RESCUEFS" mount --backup "$BACKUP" --state "$W/state" \
		"$W/nowhere"
	[[ $output = *nowhere* ]]
	touch "$W/file"
	run ! client "$RESCUEFS" mount --backup "$BACKUP" --state "$W/state" \
		"$W/file"
	[[ $output = *"$W/file"*" directory"* ]]
}

@test "a mount point that is not empty is refused, unless it is told so" {
	mkdir -p "$W/rescue"
	touch "$W/rescue/treasure"
	run ! rescue_mount "$W"
	[[ $output = *treasure* ]]
	rescue_mount "$W" -o nonempty
	[ -f "$MNT/README" ]
}

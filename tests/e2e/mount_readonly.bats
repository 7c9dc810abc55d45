#!/usr/bin/env bats
# All but the images is read-only, and special files are only to be looked at.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file setfattr
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
	HOST=$MNT/hosts/bm0002
}

refused()
{
	run ! client "$@"
	[[ $output = *"Read-only file system"* ]]
}

@test "nothing can be made, renamed or taken away" {
	refused touch "$MNT/new"
	refused mkdir "$MNT/instances/new"
	refused rm -f "$MNT/README"
	refused rmdir "$HOST/etc"
	refused mv "$HOST/etc/hostname" "$HOST/etc/name"
	refused ln -s a "$HOST/etc/b"
	refused ln "$HOST/etc/hostname" "$HOST/etc/b"
	refused mkfifo "$HOST/etc/b"
	[ -f "$HOST/etc/hostname" ]
}

@test "nothing but the images can be written" {
	for f in README instances/torn/instance.json \
		instances/torn/rescue/disk.map hosts/bm0002/etc/hostname \
		sources/backup/instances/torn/disk; do
		refused dd if=/dev/zero of="$MNT/$f" bs=1 count=1 conv=notrunc
		refused truncate -s 0 "$MNT/$f"
		refused chmod 777 "$MNT/$f"
	done
}

@test "an image stays its owner's" {
	run ! client chmod 644 "$MNT/instances/torn/disk"
	[[ $output = *"not permitted"* ]]
	run ! client chown 1:1 "$MNT/instances/torn/disk"
	client chmod 600 "$MNT/instances/torn/disk"
}

@test "special files are shown and cannot be opened" {
	[ "$(stat -c %F "$HOST/dev/null")" = "character special file" ]
	[ "$(stat -c %t:%T "$HOST/dev/null")" = 1:3 ]
	[ "$(stat -c %F "$HOST/dev/initctl")" = fifo ]
	run ! client cat "$HOST/dev/null"
	[[ $output = *"Permission denied"* ]]
}

@test "hosts/ has the source's modes, times and links" {
	[ "$(stat -c '%a %u %g %Y' "$HOST/etc/shadow")" = \
		"$(stat -c '%a %u %g %Y' "$BM/etc/shadow")" ]
	[ "$(readlink "$HOST/etc/mtab")" = ../run/mtab ]
	[ "$(stat -c %i "$HOST/etc/shadow")" = \
		"$(find "$HOST/etc" -name shadow -printf %i)" ]
}

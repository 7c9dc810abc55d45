#!/usr/bin/env bats
# A base image that no source has, given by hand: checked against its size and its
# checksum, and not used where it cannot be that image.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
BASE=9f2c61a4a1b2c3d4e5f60718293a4b5c6d7e8f90

setup_file()
{
	need_small jq
	export T=$BATS_FILE_TMPDIR
	export BM=$T/bm0002 BACKUP=$T/backup
	local dir=$BM/$NOVA/$TORN

	mkdir -p "$BACKUP"
	small_instance "$BM" "$TORN" torn raw
	rm "$dir/disk"
	seeded_bytes base $((3 * M)) >"$T/base.raw"
	nova_overlay "$BM" "$TORN/disk" "$BASE" $((8 * M))
	mkdir "$BM/$NOVA/_base"
	cp "$T/base.raw" "$BM/$NOVA/_base/$BASE"
	qemu-io -f raw -c quit "$T/base.raw" >/dev/null
	nova_convert "$BM" "$NOVA/$TORN/disk" "$T/want.raw"
	rm "$BM/$NOVA/_base/$BASE"
	nova_disk_info "$BM" "$TORN" disk=qcow2
	qemu-img convert -O qcow2 "$T/base.raw" "$T/glance.qcow2"
	head -c $((2 * M)) "$T/base.raw" >"$T/short.raw"
	{ cat "$T/base.raw" && head -c $((6 * M)) /dev/zero; } >"$T/long.raw"
}

setup()
{
	small_setup
	BM=$T/bm0002
	MNT=$W/rescue
}

teardown()
{
	rescue_umount "$W"
}

# mount_given [LINE...]: with a [base] of these lines.
mount_given()
{
	mkdir -p "$MNT"
	rm -rf "$W/state"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	root = $BM
	[base $BASE]
	EOT
	printf '%s\n' "$@" >>"$W/site.conf"
	"$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" 3>&- 4>&- &
	wait_until 60 mountpoint -q "$MNT"
}

refused()
{
	run ! client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	[[ $output == *"Input/output error"* ]]
	wait_until 60 grep -q "$1" "$W/log"
	rescue_umount "$W"
}

digest()
{
	"$1sum" "$2" | cut -d' ' -f1
}

@test "a lost base image by hand: all of the disk is there again" {
	mount_given "file = $T/base.raw" "md5 = $(digest md5 "$T/base.raw")" \
		"sha512 = $(digest sha512 "$T/base.raw")"
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	client jq -e '[.extents[].state] | index("lost") == null' \
		"$MNT/instances/torn/rescue/disk.json"
	wait_until 60 grep -q "that is given by hand stands in" "$W/log"
	"$RESCUEFS" scan "$W/site.conf" |
		grep "base *$BASE  $T/base.raw 3.0M  last changed"
}

@test "Glance's own qcow2 image, whose checksum is the one that Glance has" {
	mount_given "file = $T/glance.qcow2" "format = qcow2" \
		"sha256 = $(digest sha256 "$T/glance.qcow2")"
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
}

@test "the wrong image is refused, and the mount comes up without it" {
	mount_given "file = $T/base.raw" "md5 = $(digest md5 "$T/short.raw")"
	refused "base $BASE: not used: .*base.raw: its md5 is .*, and not"
	mount_given "file = $T/long.raw"
	refused "long.raw has 9437184 bytes, more than the disk above it"
	mount_given "file = $W/none"
	refused "base $BASE: not used: $W/none: No such file"
	qemu-img create -q -f qcow2 -F raw -b "$T/base.raw" "$W/over.qcow2"
	mount_given "file = $W/over.qcow2" "format = qcow2"
	refused "over.qcow2 needs another file"
}

@test "the size that a source tells of it counts, and its good parts stay" {
	BM=$W/bm
	cp -a "$T/bm0002" "$BM"
	cp "$T/base.raw" "$BM/$NOVA/_base/$BASE"
	printf '0x0 +\n0x0 0x100000 +\n0x100000 0x200000 -\n' \
		>"$BM/$NOVA/_base/$BASE.map"
	mount_given "file = $T/short.raw"
	refused "short.raw has 2097152 bytes, and the sources' base image 3145728"
	mount_given "file = $T/base.raw"
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
}

@test "what the site file says wrongly is refused with its line" {
	local text

	mkdir "$W/bm"
	while IFS='|' read -r text want; do
		printf '[source bm]\nkind = damaged\nroot = bm\n%b\n' "$text" \
			>"$W/site.conf"
		run ! "$RESCUEFS" scan "$W/site.conf"
		[[ $output == *"$want"* ]]
	done <<-'EOT'
	[base x]\nmd5 = 00|md5 = 00: is no such checksum
	[base x]|[base x] needs a file
	[base]|needs a name
	[base x]\nfile = a\nformat = vmdk|must be one of: raw qcow2
	[base x]\nfile = a\n[base x]\nfile = b|[base x] is said twice
	EOT
	printf '[source bm]\nkind = damaged\nroot = bm\n[base x]\nfile = a\n' \
		>"$W/site.conf"
	"$RESCUEFS" scan "$W/site.conf" --write "$W/again.conf"
	grep -A1 '^\[base x\]' "$W/again.conf" | grep "file = $W/a"
}

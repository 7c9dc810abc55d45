#!/usr/bin/env bats
# A base image that no source has, given by hand: checked against its size and its
# checksum, and not used where it cannot be that image.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/disk
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
	work_setup
	BM=$T/bm0002
	MNT=$W/rescue
}

teardown()
{
	rescue_umount "$W"
	[[ ! -d $W/disk ]] || disk_stop "$W/disk"
}

# site_given [LINE...]: a site with a [base] of these lines.
site_given()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	root = $BM
	[base $BASE]
	EOT
	printf '%s\n' "$@" >>"$W/site.conf"
}

# mount_given [LINE...]: mounts it, with a state of its own.
mount_given()
{
	rm -rf "$W/state"
	site_given "$@"
	mount_again
}

mount_again()
{
	mkdir -p "$MNT"
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

# told JQ [VERB]: what scan, or status, says of the base image.
told()
{
	"$RESCUEFS" "${2-scan}" "$W/site.conf" --json |
		jq -e ".base_images_by_hand[0] | $1" >/dev/null
}

# touches FILE: how often the sectors of the disk were asked for, together.
touches()
{
	disk_touches "$W/disk" 0 "$(stat -c %s "$1")" |
		awk '{ n += $1 } END { print n }'
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
	"$RESCUEFS" scan "$W/site.conf" >"$W/scan"
	grep "base *$BASE  $T/base.raw 3.0M  last changed" "$W/scan"
	grep "^ *md5, sha512 is what it should be; of torn/disk$" "$W/scan"
}

@test "what scan and status tell of it: before a mount, beside one and after it" {
	local sha512 file=$W/base.raw

	cp --preserve=timestamps "$T/base.raw" "$file"
	sha512=$(digest sha512 "$file")
	site_given "file = $file" "sha512 = ${sha512^^}"
	told ".name == \"$BASE\" and .file == \"$file\" and .size == 3145728 and
		.checksum == \"not computed\" and .checksums[0].computed == null and
		.error == null and .disks == []"
	"$RESCUEFS" scan "$W/site.conf" >"$W/scan"
	grep "^ *sha512 not computed yet; of no disk that was opened$" "$W/scan"
	# Scan makes no state.
	[[ ! -e $W/state ]]
	mount_again
	grep "rescuefs: base $BASE: all 3 MiB of $file are read for its sha512; that is kept" \
		"$W/log"
	told ".checksum == \"agrees\" and .checksums[0].computed == \"$sha512\" and
		.disks == []"
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	told '.checksum == "agrees" and .disks == [{disk: "torn/disk", by: "header"}]'
	told '.checksum == "agrees" and .disks[0].disk == "torn/disk"' status
	rescue_umount "$W"
	told '.checksum == "agrees" and .disks == [{disk: "torn/disk", by: "header"}]'
	told '.checksum == "agrees"' status
	"$RESCUEFS" status "$W/site.conf" >"$W/status" || [[ $? -le 1 ]]
	grep "sha512 is what it should be; of torn/disk" "$W/status"
	# Another file is another, whatever it has.
	touch "$file"
	told '.checksum == "not computed" and .disks[0].disk == "torn/disk"'
	mount_again
	grep "are read for its sha512" "$W/log"
	told '.checksum == "agrees"'
	rescue_umount "$W"
	printf x | dd of="$file" bs=1 seek=5 conv=notrunc status=none
	mount_again
	grep "rescuefs: base $BASE: not used: $file: its sha512 is .*, and not" \
		"$W/log"
	told '.checksum == "differs"'
	run -3 "$RESCUEFS" status "$W/site.conf"
	[[ $output == *"sha512 DIFFERS: not used; of torn/disk"* ]]
	rm "$file"
	told '.error == "No such file or directory" and .size == null'
}

@test "a checksum reads the file once, of whatever mounts and verbs come" {
	local n file

	need_disk
	mkdir "$W/disk"
	disk_start "$W/disk" "$T/base.raw"
	file=$DISK_FILE
	site_given "file = $file" "md5 = $(digest md5 "$T/base.raw")" \
		"sha256 = $(digest sha256 "$T/base.raw")"
	n=$(touches "$T/base.raw")
	mount_again
	((n < $(touches "$T/base.raw")))
	# Two checksums are one pass over 3 MiB.
	((n + 2 * 6144 > $(touches "$T/base.raw")))
	rescue_umount "$W"
	n=$(touches "$T/base.raw")
	mount_again
	told '.checksum == "agrees"'
	((n == $(touches "$T/base.raw")))
	run ! grep "are read for" "$W/log"
	rescue_umount "$W"
	# What is said besides is computed, and nothing else; by a verb, too.
	echo "sha512 = $(digest sha512 "$T/base.raw")" >>"$W/site.conf"
	run -0 "$RESCUEFS" export "$W/site.conf" torn/disk -o "$W/out.raw"
	[[ $output == *"are read for its sha512; that is kept"* ]]
	client cmp "$W/out.raw" "$T/want.raw"
	run -0 "$RESCUEFS" export "$W/site.conf" torn/disk -o "$W/again.raw"
	[[ $output != *"are read for"* ]]
	told '.checksum == "agrees" and (.checksums | length) == 3'
}

@test "a checksum that takes its time shows on a terminal how far it is" {
	need_disk script
	seeded_bytes long $((24 * M)) >"$W/long.raw"
	mkdir "$W/disk"
	disk_start "$W/disk" "$W/long.raw"
	disk_faults "$W/disk" <<<"slow 150 0 $((24 * M))"
	site_given "file = $DISK_FILE" "md5 = $(digest md5 "$W/long.raw")"
	mkdir -p "$MNT"
	client script -qec "$RESCUEFS mount $W/site.conf $MNT" /dev/null \
		>"$W/log" 3>&- 4>&-
	grep "all 24 MiB of $DISK_FILE are read for its md5; that is kept" "$W/log"
	grep -aE "disk  [0-9.]+ MB of 25.2 MB \([0-9]+ %\)  .*/s  [0-9]+ s left" "$W/log"
	told '.checksum == "agrees"'
}

@test "by an image's id, scan tells which disk stands on it before one is opened" {
	local sha1 name

	# As nova calls it; and where it made the file larger.
	sha1=$(printf %s 9f2c61a4-0000-4000-8000-000000000000 | sha1sum |
		cut -d' ' -f1)
	site_given "file = $T/base.raw"
	for name in "$sha1" "${sha1}_20"; do
		sed -i "s/^\[base .*/[base $name]/" "$W/site.conf"
		told '.disks == [{disk: "torn/disk", by: "image id"}] and
			.checksum == "not said"'
	done
	"$RESCUEFS" scan "$W/site.conf" |
		grep "no checksum is said; of torn/disk (by its image's id)"
	sed -i "s/^\[base .*/[base ${sha1}x]/" "$W/site.conf"
	told '.disks == []'
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

#!/usr/bin/env bats
# rescuefs verify: equal where all is well, on the scene too; what is not equal is
# found, in the rescued store and between two readings; and no sector of the damaged
# disk is asked for.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/small
load lib/volume

setup_file()
{
	need_scene qemu-nbd ddrescuelog gzip xz zstd bzip2
	volume_setup_file
	echo "eio $(at_block "$V/host.img" /changed/5 2) 1536" >"$V/faults"
}

setup()
{
	work_setup
}

teardown()
{
	if [[ -d $W/disk ]]; then
		volume_detach "$W"
	fi
	rescue_umount "$W"
	scene_detach "$W/bm"
}

verify()
{
	client "$RESCUEFS" verify "$W/site.conf" "$@"
}

verify_backup()
{
	client "$RESCUEFS" verify --backup "$BACKUP,host=bm0002" \
		--state "$W/state" --json "$@"
}

# Reads all of the merged disk, and lets go of it.
read_volume()
{
	volume_mount "$W"
	client dd if="$IMAGE" of=/dev/null bs=64k conv=noerror status=none
	rescue_umount "$W"
}

touches()
{
	disk_touches "$W/disk" 0 $((64 << 20)) | awk '{ n += $1 } END { print n }'
}

# flip FILE OFFSET
flip()
{
	local byte

	byte=$(od -An -tu1 -j "$2" -N 1 "$1")
	printf '%b' "$(printf '\\x%02x' $((byte ^ 1)))" |
		dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# instead PROGRAM: one of that name comes first from now on, and runs stdin.
instead()
{
	mkdir -p "$W/bin"
	{ echo '#!/bin/sh' && cat; } >"$W/bin/$1"
	chmod +x "$W/bin/$1"
	PATH=$W/bin:$PATH
}

# qemu_of SOURCE OFFSET: from now on a qemu-nbd comes first that serves SOURCE with
# one byte changed, whatever it is told.
qemu_of()
{
	cp --sparse=always "$1" "$W/other.img"
	flip "$W/other.img" "$2"
	instead qemu-nbd <<-EOT
	exec $(type -P qemu-nbd) --read-only -f raw "$W/other.img"
	EOT
}

@test "the scene: equal, whatever its chains name, and beside a mount" {
	scene_attach "$W/bm"
	rescue_mount "$W"
	# A piece of it, and what fails, for which the backup stands in.
	client head -c 4M "$MNT/instances/april-ci/disk" >/dev/null
	while read -r disk off _; do
		[[ $disk != april-ci/disk ]] || client dd if="$MNT/instances/$disk" \
			of=/dev/null bs=64k skip=$((off / 65536)) count=1 \
			status=none
	done < <(scene_expect data)
	run -0 --separate-stderr client "$RESCUEFS" verify --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --json april-ci/disk
	jq -e '.equal and .whole and (.sources | length == 1)' <<<"$output"
	# All of the backup's disk, base image and all; and what was taken from it.
	[ "$(jq '.sources[0].equal' <<<"$output")" -eq \
		"$(stat -c %s "$TRUTH/april-ci/disk.raw")" ]
	[ "$(jq '.sources[0].merged.bytes' <<<"$output")" -gt 0 ]
	[ "$(jq '.sources[0].merged.bytes' <<<"$output")" -eq \
		"$(jq '[.extents[] | select(.source == "backup") | .length] |
			add' "$MNT/instances/april-ci/rescue/disk.json")" ]
	# What was rescued, of the disk and of its base image.
	jq -e '.rescued | map(.file) | any(test("_base/")) and
		any(test("/disk$"))' <<<"$output"
	rescue_umount "$W"
	run -0 --separate-stderr client "$RESCUEFS" verify --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --json "$ESSEX/disk"
	jq -e '.equal and .whole' <<<"$output"
}

@test "a flipped byte in the rescued store, and no sector is asked for" {
	local before off

	volume_attach "$W" "$V" <"$V/faults"
	read_volume
	before=$(touches)
	digest_tree "$V/backup" >"$W/sources"
	run -0 --separate-stderr verify --json "$VOL"
	digest_tree "$V/backup" | diff "$W/sources" -
	jq -e '.equal and .whole' <<<"$output"
	[ "$(jq '.sources[0].merged.bytes' <<<"$output")" -eq 1536 ]
	[ "$(jq '.rescued[0].checked' <<<"$output")" -eq \
		$(((64 << 20) - 1536)) ]
	# In two places, one of them nothing but zeros; a chunk each.
	off=$(at_block "$V/host.img" /kept/3)
	flip "$W"/state/data/*.store $((off + 77))
	flip "$W"/state/data/*.store $((63 << 20))
	run -1 --separate-stderr verify --json "$VOL"
	[ "$(jq -c '[.rescued[0].extents[] | [.offset, .length, .state]]' \
		<<<"$output")" = "[[$((off / 65536 * 65536)),65536,\"damaged\"],[$((63 << 20)),65536,\"damaged\"]]" ]
	jq -e '.equal | not' <<<"$output"
	# It is told again, also to people, and beside a mount.
	run -1 --separate-stderr verify "$VOL"
	[[ ${lines[0]} = "$VOL: NOT EQUAL" ]]
	[[ $output = *"65536 bytes at $((63 << 20)): kept bytes do not agree"* ]]
	[ "$(touches)" -eq "$before" ]
	volume_mount "$W"
	before=$(touches)
	run -1 --separate-stderr verify --json --all
	[ "$(jq '[.rescued[0].extents[].length] | add' <<<"$output")" -eq 131072 ]
	[ "$(touches)" -eq "$before" ]
}

@test "beside a mount: what it has checked and served already is checked again" {
	volume_attach "$W" "$V" <"$V/faults"
	volume_mount "$W"
	client dd if="$IMAGE" of=/dev/null bs=64k conv=noerror status=none
	# What you write is no difference, nor what it stands over.
	printf mine | dd of="$IMAGE" conv=notrunc bs=1 status=none \
		seek="$(at_block "$V/host.img" /changed/5 2)"
	run -0 --separate-stderr verify "$VOL"
	[[ ${lines[0]} = "$VOL: equal" ]]
	[[ $output = *"what you wrote to the disk is not part of it"* ]]
	flip "$W"/state/data/*.store $((60 << 20))
	run -1 --separate-stderr verify --json "$VOL"
	[ "$(jq '.rescued[0].extents[0].offset' <<<"$output")" -eq $((60 << 20)) ]
}

@test "two readings that are not equal: where, of which source, and on which side" {
	local off

	volume_attach "$W" "$V" <"$V/faults"
	read_volume
	off=$(at_block "$V/host.img" /changed/5 2)
	qemu_of "$V/backup/$VOL.img" $((off + 513))
	run -1 --separate-stderr verify --json "$VOL"
	[ "$(jq -c '.sources[0].extents' <<<"$output")" = \
		"[{\"offset\":$((off + 512)),\"length\":512,\"state\":\"different\"}]" ]
	# The same block is the merged disk's.
	[ "$(jq -c '.sources[0].merged.extents' <<<"$output")" = \
		"[{\"offset\":$((off + 512)),\"length\":512,\"state\":\"different\"}]" ]
	[ "$(jq -r '.sources[0].source' <<<"$output")" = backup ]
	run -1 --separate-stderr verify "$VOL"
	[[ $output = *"512 bytes at $((off + 512)): other bytes here than by QEMU"* ]]
	[[ $output = *"512 bytes at $((off + 512)): merged, other bytes than in the source"* ]]
}

@test "a file that changes while it is read: said, and no difference of readers" {
	local copy=$W/own/$VOL.img

	volume_attach "$W" "$V" <"$V/faults"
	cp -a --sparse=always "$V/backup" "$W/own"
	sed -i "s,$V/backup,$W/own," "$W/site.conf"
	read_volume
	qemu_of "$copy" 4096
	sed -i "2i touch \"$copy\"" "$W/bin/qemu-nbd"
	run -3 --separate-stderr verify --json "$VOL"
	jq -e '.equal and (.whole | not) and .sources[0].changed' <<<"$output"
	run -3 --separate-stderr verify "$VOL"
	[[ $output = *"backup: not verified: its file changed while it was read"* ]]
	# It does not change any more, and what differs is the readers'.
	sed -i 2d "$W/bin/qemu-nbd"
	rm -r "$W/state"
	run -1 --separate-stderr verify "$VOL"
}

# torn_qcow2 OPTION...: the backup's disk of "torn" is a new qcow2 image; sets DISK.
torn_qcow2()
{
	small_site "$W"
	nova_disk_info "$BACKUP" "$TORN" disk=qcow2
	DISK=$BACKUP/$NOVA/$TORN/disk
	rm "$DISK"
	cd "${DISK%/disk}" || return # data files are looked for from here
	qemu-img create -q -f qcow2 "$@" disk 8M
}

@test "an external data file is read a second time, too" {
	torn_qcow2 -o data_file=disk.data
	qemu-io -f qcow2 -c "write -P 17 1M 300k" disk >"$W/log"
	run -0 --separate-stderr verify_backup torn/disk
	jq -e '.equal and .whole and .sources[0].equal == 8388608' <<<"$output"
	# It is that file which is read: another byte in QEMU's is found.
	mkdir "$W/other"
	cp disk disk.data "$W/other"
	flip "$W/other/disk.data" $((1 << 20))
	instead qemu-nbd <<-EOT
	cd "$W/other" && exec $(type -P qemu-nbd) --read-only -f qcow2 disk
	EOT
	run -1 --separate-stderr verify_backup torn/disk
	[ "$(jq -c '.sources[0].extents' <<<"$output")" = \
		'[{"offset":1048576,"length":512,"state":"different"}]' ]
}

@test "a name that is refused is said, and no QEMU is told of it" {
	local name

	torn_qcow2
	instead qemu-nbd <<<"touch '$W/started' && exec false"
	for name in nbd+unix:///x?socket=/run/x ../../../../../../etc/none; do
		qemu-img rebase -u -f qcow2 -F raw -b "$name" disk
		run -3 --separate-stderr verify_backup torn/disk
		jq -e '.equal and (.whole | not) and .sources[0].equal == 0' \
			<<<"$output"
		jq -e --arg n "$name" '.sources[0].not_verified | contains($n)' \
			<<<"$output"
		[ ! -e "$W/started" ]
	done
}

@test "without QEMU, and of what has no second reading, it is not called whole" {
	volume_attach "$W" "$V" <"$V/faults"
	read_volume
	mkdir "$W/none"
	run -3 --separate-stderr env PATH="$W/none" "$RESCUEFS" verify --json \
		"$W/site.conf" "$VOL"
	jq -e '.equal and (.whole | not) and
		(.sources[0].not_verified | test("no qemu-nbd"))' <<<"$output"
	# The digests are checked all the same.
	[ "$(jq '.rescued[0].checked' <<<"$output")" -gt 60000000 ]
}

# packed PROGRAM ENDING: the backup is compressed.
packed()
{
	rm -rf "$W/packed" "$W/state"
	mkdir "$W/packed"
	client "$1" -1 -c <"$V/backup/$VOL.img" >"$W/packed/$VOL.img.$2"
	touch -r "$V/backup/$VOL.img" "$W/packed/$VOL.img.$2"
	sed -i "s,volumes = .*/\(backup\|packed\)$,volumes = $W/packed," \
		"$W/site.conf"
}

@test "a compressed copy is held against the program that unpacks it" {
	local how

	volume_attach "$W" "$V" <"$V/faults"
	for how in "gzip gz" "xz xz" "zstd zst" "bzip2 bz2"; do
		# shellcheck disable=SC2086 # a program and an ending
		packed $how
		read_volume
		run -0 --separate-stderr verify --json "$VOL"
		jq -e --arg by "${how% *}" '.equal and .whole and
			(.sources[0] | .by == $by and .equal == 67108864 and
			.merged.bytes == 1536)' <<<"$output"
	done
}

@test "a compressed copy: other bytes, less, more, a failure, no program" {
	local off

	off=$(at_block "$V/host.img" /changed/5 2)
	volume_attach "$W" "$V" <"$V/faults"
	packed gzip gz
	read_volume
	cp --sparse=always "$V/backup/$VOL.img" "$W/other"
	flip "$W/other" $((off + 513))
	instead gzip <<<"exec cat '$W/other'"
	run -1 --separate-stderr verify --json "$VOL"
	[ "$(jq -c '.sources[0] | .extents, .merged.extents' <<<"$output" |
		sort -u)" = \
		"[{\"offset\":$((off + 512)),\"length\":512,\"state\":\"different\"}]" ]
	run -1 --separate-stderr verify "$VOL"
	[[ $output = *"512 bytes at $((off + 512)): other bytes here than by gzip"* ]]
	instead gzip <<<"exec cat '$V/backup/$VOL.img' /etc/passwd"
	run -1 --separate-stderr verify "$VOL"
	[[ $output = *"at 67108864: behind the disk's end here, and not by gzip"* ]]
	instead gzip <<<"exec head -c 5000000 '$V/backup/$VOL.img'"
	run -1 --separate-stderr verify "$VOL"
	[[ $output = *" at 5000000: behind the disk's end by gzip"* ]]
	# What it did not come to is not called different.
	instead gzip <<<"head -c 5000000 '$V/backup/$VOL.img'; exit 1"
	run -3 --separate-stderr verify --json "$VOL"
	jq -e '.equal and (.whole | not) and (.sources[0] |
		.equal == 5000000 and .unreadable == 62108864)' <<<"$output"
	mkdir "$W/none"
	run -3 --separate-stderr env PATH="$W/none" "$RESCUEFS" verify \
		"$W/site.conf" "$VOL"
	[[ $output = *"backup: not verified: there is no gzip"* ]]
}

@test "an image with a mapfile: what that says was copied, and no more" {
	local copy=$W/own/$VOL.img

	volume_attach "$W" "$V" <"$V/faults"
	cp -a --sparse=always "$V/backup" "$W/own"
	sed -i "s,$V/backup,$W/own," "$W/site.conf"
	printf '# a rescue\n0x0 ? 1\n0 0x2000000 +\n0x2000000 0x1000 -\n%s\n' \
		'0x2001000 0x1fff000 +' >"$copy.map"
	ddrescuelog -t "$copy.map" >"$W/log"
	run -3 --separate-stderr verify --json "$VOL"
	jq -e '.equal and (.whole | not) and .sources[0].equal == 67104768 and
		.sources[0].extents == [{"offset": 33554432, "length": 4096,
			"state": "unreadable"}]' <<<"$output"
	qemu_of "$copy" $((50 << 20))
	run -1 --separate-stderr verify --json "$VOL"
	jq -e '.sources[0].extents | map(select(.state != "unreadable") |
		[.offset, .length]) == [[52428800, 512]]' <<<"$output"
	run -1 --separate-stderr verify "$VOL"
	[[ $output = *"4096 bytes at 33554432: not readable, nor by QEMU"* ]]
}

@test "wrong words" {
	volume_attach "$W" "$V" <"$V/faults"
	run -2 verify
	run -2 verify no-such
	run -2 verify --all "$VOL"
	run -0 verify --help
	[[ $output = "usage: rescuefs verify"* ]]
}

#!/usr/bin/env bats
# P5, a dying disk is spared, by the counters of the disk: over a whole session,
# across unmounts and a kill -9, a sector that was delivered is never asked for
# again, a bad one is touched twice at the most, and nothing is read ahead.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	need_scene filefrag
}

setup()
{
	W=$BATS_TEST_TMPDIR/bm
}

teardown()
{
	rescue_umount "$W"
	scene_detach "$W"
}

# The host's files that hold the disks, and those that tell of them: what the
# session, and before it every scan, will read.
disk_files()
{
	(cd "$BM" && find "$NOVA" -name 'disk*' -type f -o \
		-name libvirt.xml -type f -o -path '*/_base/*' -type f &&
		find etc/libvirt/qemu -name '*.xml' -type f)
}

# counts: "COUNT NUMBER": how many of these files' sectors were asked for so
# often.  The kernel's own reading of the file system is not among them.
counts()
{
	local file off len

	disk_files | while read -r file; do
		client filefrag -b512 -v "$BM/$file" | awk '$1 ~ /^[0-9]+:$/ {
			gsub(/\.\./, " "); gsub(/:/, " ")
			print $4 * 512, ($5 - $4 + 1) * 512 }'
	done | while read -r off len; do
		disk_touches "$W" "$off" "$len"
	done | sort -n | uniq -c | awk '{ print $2, $1 }'
}

most()
{
	counts | tail -1 | cut -d' ' -f1
}

drop_caches()
{
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# What an operator does on a bad day.
session()
{
	ls -lR "$MNT" >/dev/null || true
	cat "$MNT"/instances/*/instance.json "$MNT"/instances/*/libvirt.xml \
		>/dev/null || true
	cat "$MNT"/hosts/*/etc/libvirt/qemu/*.xml || true
	# A verb beside the mount scans as well.
	drop_caches
	client "$RESCUEFS" map --plain --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" april-ci/disk >/dev/null || true
	for disk in "$MNT/instances/april-ci/disk" "$MNT/instances/$ESSEX/disk"; do
		client e2fsck -fn "$disk" || true
		client dd if="$disk" bs=4k count=64 skip=1000 of=/dev/null \
			status=none || true
		client cat "$disk" 2>/dev/null | md5sum
		client cat "${disk%/*}/rescue/disk.map" >/dev/null
	done
}

@test "without a bad sector, each is asked for once, over two sessions" {
	scene_attach "$W" /dev/null
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/first"
	[ "$(most)" -eq 1 ]
	counts >"$BATS_TEST_TMPDIR/counts"
	rescue_umount "$W"
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/second"
	cmp "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	counts | diff "$BATS_TEST_TMPDIR/counts" -
}

@test "a bad sector is touched twice at the most, and then never again" {
	scene_attach "$W"
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/first"
	[ "$(most)" -le 2 ]
	counts >"$BATS_TEST_TMPDIR/counts"
	rescue_umount "$W"
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/second"
	cmp "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	counts | diff "$BATS_TEST_TMPDIR/counts" -
}

@test "what was delivered before a kill -9 is not asked for again" {
	local pid

	scene_attach "$W" /dev/null
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/first"
	counts >"$BATS_TEST_TMPDIR/counts"
	pid=$(cut -d' ' -f1 "$STATE/lock")
	kill -KILL "$pid"
	wait_until 60 is_gone "$pid"
	let_go "$MNT"
	drop_caches
	rescue_mount "$W"
	session >"$BATS_TEST_TMPDIR/second"
	cmp "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	counts | diff "$BATS_TEST_TMPDIR/counts" -
}

# raw_host NAME BLOCK: a host with one raw disk, whose places are the guest's own.
# A sector of the instance's file of that name fails, the first of that block; AT
# is where it is on the device.
raw_host()
{
	local file=$BATS_TEST_TMPDIR/host.img root=$BATS_TEST_TMPDIR/root block

	mkdir -p "$root/$NOVA/instance-00000001"
	seeded_bytes "$RESCUEFS_SEED ahead" $((4 << 20)) \
		>"$root/$NOVA/instance-00000001/disk"
	printf '<domain><name>instance-00000001</name><uuid>%s</uuid>%s%6000s</domain>\n' \
		11111111-2222-3333-4444-555555555555 '<devices><disk type="file"
		device="disk"><driver type="raw"/><source file="/'"$NOVA"'/instance-00000001/disk"/><target
		dev="vda"/></disk></devices>' ' ' \
		>"$root/$NOVA/instance-00000001/libvirt.xml"
	mkfs.ext4 -q -b 4096 -d "$root" "$file" 32M
	block=$(debugfs -R "bmap /$NOVA/instance-00000001/$1 $2" "$file" \
		2>/dev/null)
	AT=$((block * 4096))
	mkdir -p "$W/mnt/bm0002"
	BM=$W/mnt/bm0002
	echo "eio $AT 512" >"$BATS_TEST_TMPDIR/faults"
	disk_start "$W" "$file" "$BATS_TEST_TMPDIR/faults"
	# shellcheck disable=SC2153 # disk_start sets it
	client mount -t ext4 -o ro,norecovery "$DISK" "$BM"
	MNT=$W/rescue
	mkdir -p "$MNT"
}

raw_mount()
{
	client "$RESCUEFS" mount --damaged "$BM" --state "$W/state" "$MNT" \
		3>&- 4>&-
}

@test "a description that cannot be read: not asked for at each scan, but by refresh" {
	local counts

	raw_host libvirt.xml 1
	raw_mount
	counts=$(disk_touches "$W" $((AT - 4096)) 8192)
	[ "$(disk_touches "$W" "$AT")" -ge 1 ]
	[ "$(sort -n <<<"$counts" | tail -1)" -le 2 ]
	run ! client cat "$MNT/instances/instance-00000001/libvirt.xml"
	rescue_umount "$W"
	drop_caches
	client "$RESCUEFS" map --plain --damaged "$BM" --state "$W/state" \
		instance-00000001/disk >/dev/null || true
	drop_caches
	raw_mount
	[ "$(disk_touches "$W" $((AT - 4096)) 8192)" = "$counts" ]
	rescue_umount "$W"
	disk_faults "$W" </dev/null
	client "$RESCUEFS" refresh --damaged "$BM" --state "$W/state" \
		instance-00000001/disk
	# That sector once more, and none that it gave.
	[ "$(diff <(disk_touches "$W" $((AT - 4096)) 8192) - <<<"$counts" |
		grep -c "^<")" -eq 1 ]
	counts=$(disk_touches "$W" $((AT - 4096)) 8192)
	drop_caches
	raw_mount
	[ "$(disk_touches "$W" $((AT - 4096)) 8192)" = "$counts" ]
	client grep -q 11111111-2222 "$MNT"/instances/*/instance.json
	client cmp "$MNT/instances/instance-00000001/libvirt.xml" \
		"$BATS_TEST_TMPDIR/root/$NOVA/instance-00000001/libvirt.xml"
	[ "$(disk_touches "$W" $((AT - 4096)) 8192)" = "$counts" ]
}

@test "nothing is read ahead: 16 KiB before a bad sector leave it in peace" {
	raw_host disk 512
	raw_mount
	client dd if="$MNT/instances/instance-00000001/disk" bs=4k skip=508 \
		count=4 of=/dev/null status=none
	[ "$(disk_touches "$W" "$AT")" -eq 0 ]
	run ! client dd if="$MNT/instances/instance-00000001/disk" bs=4k \
		skip=512 count=1 of=/dev/null
	[ "$(disk_touches "$W" "$AT")" -ge 1 ]
}

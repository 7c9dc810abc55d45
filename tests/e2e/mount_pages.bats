#!/usr/bin/env bats
# What the kernel's page cache asks of a healthy file goes there without a copy in
# the mount's memory; and it is right, whatever becomes of the file meanwhile.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
VOL=volume-00000143
SIZE=$((8 * M))
# In the middle of a page, and of what is read at a time.
AT=$((2 * M + 5 * 512))

setup_file()
{
	need_disk jq qemu-img qemu-io
	small_setup_file
	export T=$BATS_FILE_TMPDIR
	seeded_bytes new "$SIZE" >"$T/new.raw"
	seeded_bytes old "$SIZE" >"$T/old.raw"
}

setup()
{
	work_setup
	mkdir -p "$W/new" "$W/old"
}

teardown()
{
	exec 5<&-
	rescue_umount "$W"
	[[ ! -d $W/disk ]] || disk_stop "$W/disk"
}

# mount_volume: the live one in $W/new, an older one in $W/old.
mount_volume()
{
	MNT=$W/rescue
	mkdir -p "$MNT"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source new]
	kind = live
	host = bm
	volumes = $W/new
	[source old]
	kind = backup
	host = bm
	volumes = $W/old
	taken = 2013-05-10T03:00:00Z
	EOT
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	V=$MNT/volumes/$VOL
}

# Bytes that the process which serves has had read into its memory so far.
copied()
{
	local pid

	pid=$(cut -d" " -f1 "$W/state/lock")
	awk '$1 == "rchar:" { print $2 }' "/proc/$pid/io"
}

# forget FILE: the kernel's pages of it, so that it asks again.
forget()
{
	client dd if="$1" iflag=nocache count=0 status=none
}

states()
{
	jq -r '.extents[] | "\(.offset) \(.length) \(.state) \(.source // "-")"' \
		"$MNT/volumes/rescue/$VOL.json"
}

# two_ages OFF LEN: the new volume with the old one's bytes there.
two_ages()
{
	head -c "$1" "$T/new.raw"
	tail -c +$(($1 + 1)) "$T/old.raw" | head -c "$2"
	tail -c +$(($1 + $2 + 1)) "$T/new.raw"
}

@test "no copy is made of a healthy file, and its map is as ever" {
	cp "$T/new.raw" "$W/new/$VOL"
	cp "$T/old.raw" "$W/old/$VOL"
	mount_volume
	before=$(copied)
	client cmp "$V" "$T/new.raw"
	(($(copied) - before < SIZE / 4))
	[ "$(states)" = "0 $SIZE fresh new" ]
	forget "$V"
	before=$(copied)
	client cmp "$V" "$T/new.raw"
	(($(copied) - before < SIZE / 4))
	# Past the page cache memory is faster.
	before=$(copied)
	client dd if="$V" of=/dev/null bs=1M iflag=direct status=none
	(($(copied) - before >= SIZE))
	cmp "$W/new/$VOL" "$T/new.raw"
}

@test "what was written, zeroed and cut off reads so between what was not" {
	cp "$T/new.raw" "$W/new/$VOL"
	cp "$T/old.raw" "$W/old/$VOL"
	cp "$T/new.raw" "$W/want"
	mount_volume
	for f in "$V" "$W/want"; do
		printf hello | client dd of="$f" bs=1 seek=$((M + 77)) \
			conv=notrunc status=none
		client fallocate -p -o $((3 * M + 512)) -l 70000 "$f"
		client truncate -s $((7 * M + 100)) "$f"
	done
	forget "$V"
	client cmp "$V" "$W/want"
}

@test "a qcow2 image with all that clusters can be, on a base" {
	local dir=$W/host/$NOVA/$KEPT

	seeded_bytes base $((5 * M)) >"$W/base"
	qemu-img create -q -f qcow2 -o cluster_size=4k -b "$W/base" -F raw \
		"$W/image" 8M
	qemu-io -f qcow2 -c "write -q -P 3 64k 1M" -c "write -q -P 4 2000k 12k" \
		-c "write -q -z 3M 256k" -c "write -q -c -P 5 4M 4k" \
		-c "write -q -P 6 4500k 700k" "$W/image"
	qemu-img convert -O raw "$W/image" "$W/want"
	cp -a "$BACKUP" "$W/host"
	mkdir -p "$W/host/$NOVA/_base"
	cp "$W/base" "$W/host/$NOVA/_base/base"
	cp "$W/image" "$dir/disk"
	qemu-img rebase -u -f qcow2 -F raw -b "/$NOVA/_base/base" "$dir/disk"
	nova_disk_info "$W/host" "$KEPT" disk=qcow2
	BM=$W/empty BACKUP=$W/host
	mkdir "$BM"
	rescue_mount "$W"
	client cmp "$MNT/instances/kept/disk" "$W/want"
	forget "$MNT/instances/kept/disk"
	client cmp "$MNT/instances/kept/disk" "$W/want"
	client cmp <(client dd if="$MNT/instances/kept/disk" bs=1M iflag=direct \
		status=none) "$W/want"
}

@test "a file that becomes shorter gives way to the next, and to no zeros" {
	cp "$T/new.raw" "$W/new/$VOL"
	cp "$T/old.raw" "$W/old/$VOL"
	mount_volume
	exec 5<"$V"
	[ "$(head -c 512 <&5 | md5sum)" = "$(head -c 512 "$T/new.raw" | md5sum)" ]
	truncate -s "$AT" "$W/new/$VOL"
	forget "$V"
	client cat "$V" >"$W/read"
	two_ages "$AT" $((SIZE - AT)) | cmp - "$W/read"
	# What was read ahead before it was cut was there, and is remembered.
	states | tail -n 1 | grep -qx "[0-9]* [0-9]* stale old"
}

@test "one bad sector of a healthy disk's is all that is stale" {
	cp "$T/old.raw" "$W/old/$VOL"
	echo "eio $AT 512" >"$W/faults.first"
	disk_start "$W/disk" "$T/new.raw" "$W/faults.first"
	ln -s "$DISK" "$W/new/$VOL"
	mount_volume
	two_ages "$AT" 512 >"$W/want"
	client cmp "$V" "$W/want"
	[ "$(states)" = "0 $AT fresh new
$AT 512 stale old
$((AT + 512)) $((SIZE - AT - 512)) fresh new" ]
	# P4: it stays so when the sector can be read again.
	disk_faults "$W/disk" </dev/null
	forget "$V"
	client cmp "$V" "$W/want"
}

#!/usr/bin/env bats
# Compressed copies are disks like any other: read at random without being
# unpacked, damage costs what the format says, and an index is built once.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file gzip xz zstd bzip2 pigz
}

setup()
{
	work_setup
	BM=$W/bm0002
	BACKUP=$W/backup
	TRUTH=$W/truth.raw
	small_instance "$BM" "$TORN" torn raw
	mkdir -p "$BACKUP/$NOVA"
	small_instance "$BACKUP" "$KEPT" kept raw
	DIR=$BACKUP/$NOVA/$KEPT
	{
		seeded_bytes packed $((3 << 20))
		head -c 2097152 /dev/zero
		seq 1 600000 | head -c $((3 << 20))
	} >"$TRUTH"
	rm "$DIR/disk"
}

teardown()
{
	rescue_umount "$W"
}

# As rescue_mount, with what the daemon says in $W/log.
mount_loudly()
{
	MNT=$W/rescue
	STATE=$W/state
	mkdir -p "$MNT"
	"$RESCUEFS" mount -f --backup "$BACKUP" --state "$STATE" "$MNT" \
		2>"$W/log" 3>&- 4>&- &
	wait_until 60 mountpoint -q "$MNT"
}

# What the daemon has read so far, in bytes.
daemon_read()
{
	awk '$1 == "rchar:" { print $2 }' "/proc/$(cut -d' ' -f1 "$STATE/lock")/io"
}

# served FILE: prints how many of its 4 KiB blocks are served; fails if one of
# them is not what the disk holds.
served()
{
	python3 - "$1" "$TRUTH" <<-'EOF'
	import os, sys
	fd, truth = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb")
	good, off = 0, 0
	while True:
	    want = truth.read(4096)
	    if not want:
	        break
	    try:
	        got = os.pread(fd, len(want), off)
	        if got != want[:len(got)]:
	            sys.exit(f"wrong at {off}")
	        if len(got) < len(want):
	            break  # beyond the end, where nobody knows the size
	        good += 1
	    except OSError as e:
	        if e.errno != 5:
	            raise
	    off += len(want)
	print(good)
	EOF
}

@test "in every format, in place of the disk: equal, byte for byte" {
	local cmds=("gzip -c" "pigz -ic" "xz -1c" "xz -T2 --block-size=1MiB -1c"
		"zstd -qc" "bzip2 -c") ends=(gz gz xz xz zst bz2) i

	for i in "${!cmds[@]}"; do
		rm -f "$DIR"/disk*.{gz,xz,zst,bz2}
		${cmds[i]} "$TRUTH" >"$DIR/disk.${ends[i]}"
		rm -rf "$W/state"
		rescue_mount "$W"
		client cmp "$MNT/instances/kept/disk" "$TRUTH"
		client cmp "$MNT/sources/backup/instances/kept/disk" "$TRUTH"
		[ "$(stat -c %s "$MNT/instances/kept/disk")" -eq 8388608 ]
		rescue_umount "$W"
	done
}

@test "scan names the copy, and another beside it is said to be passed over" {
	cp "$TRUTH" "$DIR/disk"
	gzip -c "$TRUTH" >"$DIR/disk.gz"
	run "$RESCUEFS" scan --backup "$BACKUP"
	[[ $output = *"has disk and disk.gz; the first is read"* ]]
	rm "$DIR/disk"
	run "$RESCUEFS" scan --backup "$BACKUP"
	[[ $output = *"packed (.gz)"* ]]
	[[ $output != *"disk.gz;"* ]]
}

@test "a qcow2 image and its base, both compressed" {
	local base=$BACKUP/$NOVA/_base

	mkdir -p "$base"
	cp "$TRUTH" "$base/0123abcd"
	qemu-img create -q -f qcow2 -F raw -b "$base/0123abcd" "$DIR/disk"
	qemu-io -f qcow2 -c "write -P 7 1M 300k" "$DIR/disk" >/dev/null
	qemu-img convert -O raw "$DIR/disk" "$W/want.raw"
	qemu-img rebase -u -F raw -b "/$NOVA/_base/0123abcd" "$DIR/disk"
	nova_disk_info "$BACKUP" "$KEPT" disk=qcow2
	gzip "$DIR/disk"
	xz -0 "$base/0123abcd"
	rescue_mount "$W"
	client cmp "$MNT/instances/kept/disk" "$W/want.raw"
}

@test "a compressed backup stands in for what the damaged host lacks" {
	local disk=$BM/$NOVA/$TORN/disk

	small_instance "$BACKUP" "$TORN" torn raw
	gzip "$BACKUP/$NOVA/$TORN/disk"
	cp "$disk" "$TRUTH"
	truncate -s 5000000 "$disk"
	touch -d '2030-01-01' "$disk"
	rescue_mount "$W"
	client cmp -n 5000000 "$MNT/instances/torn/disk" "$TRUTH"
	[ "$(stat -c %s "$MNT/instances/torn/disk")" -ge 5000000 ]
}

@test "a compressed copy of a volume" {
	mkdir "$W/lv"
	gzip -c "$TRUTH" >"$W/lv/volume-00000143.gz"
	rescue_mount "$W" --backup "$DIR,name=lv,volumes=$W/lv/volume-*.gz"
	client cmp "$MNT/volumes/volume-00000143" "$TRUTH"
}

@test "damage costs a block where blocks have checksums, and nothing is wrong" {
	xz -T2 --block-size=512KiB -0c "$TRUTH" >"$DIR/disk.xz"
	printf XXXX | dd of="$DIR/disk.xz" bs=1 seek=2000000 conv=notrunc \
		status=none
	rescue_mount "$W"
	[ "$(served "$MNT/instances/kept/disk")" -eq $((2048 - 128)) ]
	rescue_umount "$W"
	rm "$DIR/disk.xz"
	rm -rf "$W/state"
	bzip2 -1c "$TRUTH" >"$DIR/disk.bz2"
	printf XXXX | dd of="$DIR/disk.bz2" bs=1 seek=2000000 conv=notrunc \
		status=none
	rescue_mount "$W"
	n=$(served "$MNT/instances/kept/disk")
	[ "$n" -gt 400 ]
	[ "$n" -lt 2000 ]
}

@test "a gzip file that is cut short is served up to there" {
	local n

	gzip -c "$TRUTH" | head -c 2500000 >"$DIR/disk.gz"
	mount_loudly
	n=$(served "$MNT/instances/kept/disk")
	[ "$n" -gt 500 ]
	[ "$n" -lt 700 ]
	wait_until 60 grep -q "in the middle of a member" "$W/log"
}

@test "a checksum that fails for all of it: nothing is served, and that is said" {
	gzip -c "$TRUTH" >"$DIR/disk.gz"
	printf XXXX | dd of="$DIR/disk.gz" bs=1 seek=2000000 conv=notrunc \
		status=none
	mount_loudly
	[ "$(served "$MNT/instances/kept/disk")" -eq 0 ]
	wait_until 60 grep -q "checksum" "$W/log"
}

@test "a name that lies is an error that says so" {
	xz -0c "$TRUTH" >"$DIR/disk.gz"
	mount_loudly
	run ! client cat "$MNT/instances/kept/disk"
	wait_until 60 grep -q "its name says gzip" "$W/log"
}

# Something of an index is there.
is_begun()
{
	[[ -n $(find "$STATE/data" -type f -size +8k) ]]
}

@test "kill -9 while the index is built, then one that is built, then none" {
	local pid size

	{
		seq 1 30000000
		cat "$TRUTH"
	} | gzip -1c >"$DIR/disk.gz"
	size=$(stat -c %s "$DIR/disk.gz")
	rescue_mount "$W"
	pid=$(cut -d' ' -f1 "$STATE/lock")
	client cat "$MNT/instances/kept/disk" >"$W/out" 3>&- &
	wait_until 60 is_begun
	kill -9 "$pid"
	wait $! || true
	fusermount3 -uz "$MNT"
	wait_until 60 flock -n "$W/state/lock" true
	run ! grep -rq rfspack "$W/state/data" # it was still being built

	rescue_mount "$W"
	client tail -c 8388608 "$MNT/instances/kept/disk" | cmp - "$TRUTH"
	[ "$(daemon_read)" -ge "$size" ]
	rescue_umount "$W"

	# Not built again: most of the file is not even read.
	rescue_mount "$W"
	client tail -c 8388608 "$MNT/instances/kept/disk" | cmp - "$TRUTH"
	[ "$(daemon_read)" -lt $((size / 2)) ]
}

# What random reads cost in room: one part in a hundred of what they can reach.
# Noise, which an index cannot be made smaller for.
@test "the index of a gzip file is a hundredth of the data at the most" {
	local size=$((64 << 20)) room

	seeded_bytes large "$size" | pigz -1 >"$DIR/disk.gz"
	rescue_mount "$W"
	[[ $(stat -c %s "$MNT/instances/kept/disk") -eq $size ]]
	room=$(find "$STATE/data" -type f -printf '%s\n' |
		awk '{ n += $1 } END { print n }')
	((room > 0 && room * 100 <= size))
}

@test "the end of the mount does not wait for an index that is being built" {
	seq 1 40000000 | gzip -1c >"$W/one"
	for _ in {1..12}; do
		cat "$W/one"
	done >"$DIR/disk.gz"
	rescue_mount "$W"
	client cat "$MNT/instances/kept/disk" >/dev/null 2>&1 3>&- &
	wait_until 60 is_begun
	kill -TERM "$(cut -d' ' -f1 "$STATE/lock")"
	wait_until 60 flock -n "$W/state/lock" true
	run ! grep -rq rfspack "$W/state/data" # it was not finished
	wait $! || true
}

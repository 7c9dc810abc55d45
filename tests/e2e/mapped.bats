#!/usr/bin/env bats
# An image that GNU ddrescue made of a failing disk, and the mapfile beside it:
# what was not copied is unreadable and never zeros.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
VOL=volume-00000143

setup_file()
{
	need_disk jq ddrescue ddrescuelog
	small_setup_file ddrescue
	export T=$BATS_FILE_TMPDIR
	seeded_bytes rescued $((8 * M)) >"$T/truth.raw"
	# Two bad places, and a copy without its mapfile looks whole.
	printf 'eio %d %d\neio %d %d\n' $((2 * M)) 65536 $((5 * M)) 4096 \
		>"$T/faults"
	disk_start "$T/disk" "$T/truth.raw" "$T/faults"
	ddrescue -q -n -d "$DISK" "$T/vol.img" "$T/vol.map" || true
	disk_stop "$T/disk"
	[[ $(stat -c %s "$T/vol.img") -eq $((8 * M)) ]]
	ddrescuelog --list-blocks='?*/-' "$T/vol.map" >"$T/lost"
	[[ -s $T/lost ]]
}

setup()
{
	work_setup
	mkdir "$W/lv"
}

teardown()
{
	rescue_umount "$W"
	[[ ! -d $W/disk ]] || disk_stop "$W/disk"
}

# volume [ENDING]: the image as a volume's backup, its map beside it.
volume()
{
	cp --sparse=always "$T/vol.img" "$W/lv/$VOL.img"
	cp "$T/vol.map" "$W/lv/$VOL.img${1-.map}"
}

site()
{
	MNT=$W/rescue
	mkdir -p "$MNT" "$W/bm"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm]
	kind = damaged
	root = $W/bm
	[source lv]
	kind = backup
	host = bm
	volumes = $W/lv
	EOT
	cat >>"$W/site.conf"
}

mount_site()
{
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
}

# check FILE: every block that the map calls copied is as on the disk, and every
# other is unreadable.
check()
{
	client python3 - "$1" "$T/truth.raw" "$T/lost" <<-'EOT'
	import os, sys
	fd, truth = os.open(sys.argv[1], os.O_RDONLY), open(sys.argv[2], "rb").read()
	lost = {int(line) for line in open(sys.argv[3])}
	for block in range(len(truth) // 512):
	    try:
	        got = os.pread(fd, 512, block * 512)
	    except OSError as e:
	        assert e.errno == 5 and block in lost, block
	        continue
	    assert block not in lost, f"{block} was never copied"
	    assert got == truth[block * 512:block * 512 + 512], block
	EOT
}

@test "a volume: what the map does not call copied is unreadable" {
	volume
	site </dev/null
	mount_site
	check "$MNT/volumes/$VOL"
	check "$MNT/sources/lv/volumes/$VOL"
	claims "$MNT/volumes/rescue/$VOL.json" lost >"$W/lost"
	[[ $(awk '{ n += $2 } END { print n }' "$W/lost") -eq \
		$(($(wc -l <"$T/lost") * 512)) ]]
	"$RESCUEFS" scan "$W/site.conf" >"$W/scan"
	grep "$VOL .*8.0M.*lv .* as far as $VOL.img.map" "$W/scan"
	"$RESCUEFS" scan "$W/site.conf" --json | jq -e --arg v "$VOL" \
		'(.volumes | length == 1) and
		(.volumes[0].copies[0].mapfile | endswith($v + ".img.map"))'
}

@test "the other names of a mapfile, and a pattern that matches it" {
	local ending

	for ending in .log .mapfile; do
		rm -f "$W/lv/"*
		volume "$ending"
		"$RESCUEFS" scan --backup "$W,name=lv,volumes=$W/lv/*" --json |
			jq -e --arg e "$ending" '[.volumes[].copies[].mapfile |
				endswith($e)] == [true]'
	done
	mv "$W/lv/$VOL.img.mapfile" "$W/lv/$VOL.map"
	"$RESCUEFS" scan --backup "$W,name=lv,volumes=$W/lv" --json |
		jq -e '.volumes[0].copies[0].mapfile | endswith("143.map")'
	cp "$W/lv/$VOL.map" "$W/lv/$VOL.log"
	run "$RESCUEFS" scan --backup "$W,name=lv,volumes=$W/lv"
	[[ $output == *"$VOL.map and "*"$VOL.log are both mapfiles"* ]]
}

@test "a map that cannot be believed makes its image unreadable, not whole" {
	local bad

	volume
	printf 'no map\n' >"$W/1"
	: >"$W/2"
	printf '0x0 +\n' >"$W/3"
	head -c $(($(stat -c %s "$T/vol.map") - 4)) "$T/vol.map" >"$W/4"
	printf '0x0 +\n0x0 0x1000 +\n0x2000 0x1000 +\n' >"$W/5"
	for bad in 1 2 3 4 5; do
		cp "$W/$bad" "$W/lv/$VOL.img.map"
		rm -rf "$W/state"
		site </dev/null
		"$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" 3>&- 4>&- &
		wait_until 60 mountpoint -q "$MNT"
		run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
		wait_until 60 grep -q "lv:$W/lv/$VOL.img is not read, since its\
 mapfile cannot be believed: .*$VOL.img" "$W/log"
		rescue_umount "$W"
	done
}

@test "said in the site file, and denied there" {
	cp --sparse=always "$T/vol.img" "$W/lv/$VOL.img"
	mkdir "$W/maps"
	cp "$T/vol.map" "$W/maps/x"
	site <<-EOT
	[disk $VOL]
	mapfile = lv maps/x
	EOT
	mount_site
	check "$MNT/volumes/$VOL"
	rescue_umount "$W"
	rm -rf "$W/state"
	cp "$T/vol.map" "$W/lv/$VOL.map"
	site <<-EOT
	[disk $VOL]
	mapfile = lv none
	EOT
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/vol.img"
	"$RESCUEFS" scan "$W/site.conf" --json |
		jq -e '.volumes[0].copies[0].mapfile == null'
	rescue_umount "$W"
	site <<-EOT
	[disk $VOL]
	mapfile = elsewhere none
	EOT
	run ! "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"mapfile: there is no source 'elsewhere'"* ]]
}

@test "a host's disk: raw, qcow2, compressed; and a log that is no map" {
	local dir=$BM/$NOVA/$TORN

	cp "$dir/disk" "$W/want"
	printf '0x0 +\n0x0 0x200000 +\n0x200000 0x1000 -\n0x201000 0x5ff000 +\n' \
		>"$dir/disk.map"
	: >"$dir/console.log"
	rm -f "$BACKUP/$NOVA/$TORN/disk"
	rescue_mount "$W"
	[[ $(client ls "$MNT/instances/torn/rescue") != *disk.map.json* ]]
	client cmp -n $((2 * M)) "$MNT/instances/torn/disk" "$W/want"
	run ! client dd if="$MNT/instances/torn/disk" of=/dev/null bs=4096 \
		skip=512 count=1
	client cmp -i $((2 * M + 4096)) "$MNT/instances/torn/disk" "$W/want"
	rescue_umount "$W"
	rm -rf "$W/state"
	# The tables of the image are its bytes like any other.
	qemu-img convert -O qcow2 "$W/want" "$dir/disk"
	printf '0x0 +\n0x0 0x80000 +\n0x80000 0x10000 -\n0x90000 0x40000000 +\n' \
		>"$dir/disk.map"
	nova_disk_info "$BM" "$TORN" disk=qcow2
	nova_disk_info "$BACKUP" "$TORN" disk=qcow2
	rescue_mount "$W"
	run ! client cmp "$MNT/instances/torn/disk" "$W/want"
	[[ $output != *differ* ]]
	client dd if="$MNT/instances/torn/disk" of=/dev/null bs=64k \
		conv=noerror || true
	client jq -e '[.extents[] | select(.state == "lost") | .length] |
		add == 65536' "$MNT/instances/torn/rescue/disk.json"
	rescue_umount "$W"
	rm -rf "$W/state"
	# A map of a compressed file is of that file's bytes.
	rm "$dir/disk" "$dir/disk.map"
	gzip -c "$W/want" >"$dir/disk.gz"
	printf '0x0 +\n0x0 0x200000 +\n0x200000 0x40000000 -\n' \
		>"$dir/disk.gz.map"
	nova_disk_info "$BM" "$TORN" disk=raw
	rescue_mount "$W"
	client cmp -n $((M)) "$MNT/instances/torn/disk" "$W/want"
	run ! client cmp "$MNT/instances/torn/disk" "$W/want"
	[[ $output != *differ* ]]
}

@test "a map that cannot even be looked at is there: the image is not whole" {
	local dir=$BM/$NOVA/$TORN

	cp --sparse=always "$T/vol.img" "$W/lv/$VOL.img"
	ln -s "$VOL.img.map" "$W/lv/$VOL.img.map" # in a circle
	rm -f "$dir"/disk.*[!o] # all but disk.info
	truncate -s 8M "$dir/disk"
	ln -s disk.map "$dir/disk.map"
	rm -f "$BACKUP/$NOVA/$TORN/disk"
	site </dev/null
	mount_site
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
	rescue_umount "$W"
	rm -rf "$W/state"
	rescue_mount "$W"
	run ! client dd if="$MNT/instances/torn/disk" of=/dev/null count=1
}

# The image lies on a disk that fails itself: what was not copied is zeros in it,
# and no reason to ask that disk.
@test "a fetch of such an image asks for what was copied, and for nothing else" {
	volume
	truncate -s 16M "$W/lv/$VOL.img"
	disk_start "$W/disk" "$W/lv/$VOL.img" /dev/null
	mv "$W/lv/$VOL.img" "$W/copied.img"
	ln -s "$DISK" "$W/lv/$VOL.img"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm]
	kind = damaged
	volumes = $W/lv
	EOT
	"$RESCUEFS" fetch "$W/site.conf" --json "$VOL" >"$W/fetch"
	tail -1 "$W/fetch" | jq -e --argjson lost "$(wc -l <"$T/lost")" \
		'.pass == "done" and .bad == 0 and .untried == 0 and
		.rescued == 8388608 - 512 * $lost'
	python3 - "$W/disk/counts" "$T/lost" <<-'EOT'
	import struct, sys
	counts = open(sys.argv[1], "rb").read()
	lost = {int(line) for line in open(sys.argv[2])}
	for at in range(16384):
	    n, = struct.unpack_from("<I", counts, 4 * at)
	    assert n == 0 if at in lost else n >= 1, (at, n)
	EOT
	MNT=$W/rescue
	mkdir "$MNT"
	mount_site
	check "$MNT/volumes/$VOL"
}

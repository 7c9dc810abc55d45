#!/usr/bin/env bats
# fill = data: an older block stands in for what is in a file, and never for the
# filesystem's own tables; and what was found to be data stays data (P4).
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/mount
load lib/volume

setup_file()
{
	volume_setup_file
	places >"$V/places"
	# Not one of them was not found.
	[ "$(awk '$2 > 0' "$V/places" | wc -l)" -eq "$(wc -l <"$V/places")" ]
}

setup()
{
	work_setup
}

teardown()
{
	volume_detach "$W"
}

# "WHAT OFFSET" of a sector that is to fail: data may be stale, tables not.
places()
{
	local h=$V/host.img

	echo "data $(at_block "$h" /changed/5 2)"
	echo "data $(at_block "$h" /kept/7 7)"
	echo "data $(at_block "$h" /frag 4)"
	echo "data $(ask "$h" "ffb 1 9000" | awk '{ print $NF * 4096 }')"
	echo "table $(at_block "$h" /many 1)"
	echo "table $(at_inode "$h" /kept/3 | awk '{ print int($1 / 512) * 512 }')"
	echo "table $(at_extents "$h" /frag)"
	echo "table $(at_xattr "$h" /kept/1)"
	echo "table $(at_block "$h" "<8>" 3)"
}

# attach [WHAT]: the volume, failing at the places; without /frag's extents being
# bad its contents are known to be such.
attach()
{
	grep -v "$(at_extents "$V/host.img" /frag)" "$V/places" |
		awk '{ print "eio", $2, 512 }' | volume_attach "$W" "$V"
}

sector()
{
	client dd if="${2-$IMAGE}" bs=512 skip=$(($1 / 512)) count=1 status=none
}

each()
{
	awk -v w="$1" '$1 == w { print $2 }' "$V/places"
}

@test "data from the backup, tables not at all; the rest of the disk is the host's" {
	local off extents

	extents=$(at_extents "$V/host.img" /frag)
	attach
	volume_mount "$W" --fill data
	for off in $(each data); do
		sector "$off" | cmp - <(sector "$off" "$V/backup/$VOL.img")
	done
	for off in $(each table | grep -v "$extents"); do
		run ! sector "$off"
		[[ $output = *"Input/output error"* ]]
	done
	# Read wholly, it is lost there and nowhere else.
	client dd if="$IMAGE" of="$W/got" bs=64k conv=noerror,sync status=none \
		2>/dev/null || true
	each table | grep -v "$extents" | sort -n |
		diff - <(claims "$MNT/volumes/rescue/$VOL.json" lost |
			awk '{ for (i = 0; i < $2; i += 512) print $1 + i }')
	each data | sort -n |
		diff - <(claims "$MNT/volumes/rescue/$VOL.json" stale |
			awk '{ for (i = 0; i < $2; i += 512) print $1 + i }')
	run -1 client "$RESCUEFS" losses --fill data "$W/site.conf" "$VOL"
	[[ $output = *"stale "*"data "*"/changed/5"* ]]
	[[ $output = *"lost "*"directory "*"/many"* ]]
	run ! grep -E "^stale +(directory|inode|xattr|journal)" <<<"$output"
}

@test "what no readable table tells of counts as a table" {
	local extents data

	extents=$(at_extents "$V/host.img" /frag)
	data=$(at_block "$V/host.img" /frag 4)
	volume_attach "$W" "$V" <<-EOT
	eio $extents 512
	eio $data 512
	EOT
	volume_mount "$W" --fill data
	run ! sector "$data"
	run ! sector "$extents"
	rescue_umount "$W"
	# With all of it, both.
	volume_mount "$W"
	sector "$data" | cmp - <(sector "$data" "$V/backup/$VOL.img")
}

@test "P4: what was data yesterday is data today, until a refresh" {
	local data table

	data=$(each data | head -1)
	table=$(at_block "$V/host.img" /many 1)
	attach
	sed -i "s/^state/fill = data\nstate/" "$W/site.conf"
	volume_mount "$W"
	sector "$data" >"$W/was"
	rescue_umount "$W"
	# The host's descriptors are gone since: nothing would be data.
	echo "eio 0 $((4096 * 2))" >>"$W/disk/faults"
	volume_mount "$W"
	sector "$data" | cmp - "$W/was"
	run ! sector "$table"
	rescue_umount "$W"
	# The same words for one disk, over the site's.
	sed -i "s/^fill = data/fill = none/" "$W/site.conf"
	volume_mount "$W"
	run ! sector "$data"
	rescue_umount "$W"
	sed -i "s/^prefer/fill = data\nprefer/" "$W/site.conf"
	volume_mount "$W"
	sector "$data" | cmp - "$W/was"
}

@test "the words: -o fill=data, scan --write, and what is no value" {
	attach
	client "$RESCUEFS" scan "$W/site.conf" --fill data --write "$W/new.conf" \
		>/dev/null
	grep -q '^fill *= data$' "$W/new.conf"
	client "$RESCUEFS" scan "$W/new.conf" >/dev/null
	run -2 client "$RESCUEFS" scan "$W/site.conf" --fill some
	[[ $output = *"some is not one of all, data, none"* ]]
	volume_mount "$W" -o fill=data
	run ! sector "$(at_block "$V/host.img" /many 1)"
}

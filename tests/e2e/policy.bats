#!/usr/bin/env bats
# Policy: which block is taken, what stands in for it and what does not; and
# that a view, once given, stays (P4).
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	need_scene ddrescue ddrescuelog getfattr qemu-io
	W=$BATS_FILE_TMPDIR/bm
	export W MNT=$W/rescue
	mkdir -p "$MNT"
	scene_attach "$W"
	scene_expect data | awk '{ print $2, $3 }' | sort -n \
		>"$BATS_FILE_TMPDIR/stale"
	# The base's copy in the backup heals one more, where there is one.
	{
		cat "$BATS_FILE_TMPDIR/stale"
		scene_expect base | awk '{ print $5, $3 }'
	} | sort -n >"$BATS_FILE_TMPDIR/lost"
	[ "$(wc -l <"$BATS_FILE_TMPDIR/lost")" -ge 6 ]
}

teardown_file()
{
	let_go "$BATS_FILE_TMPDIR/bm/rescue" || true
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	T=$BATS_TEST_TMPDIR
	STATE=$T/state
	STALE=$BATS_FILE_TMPDIR/stale
	LOST=$BATS_FILE_TMPDIR/lost
	APRIL=$MNT/instances/april-ci/disk
	JSON=$MNT/instances/april-ci/rescue/disk.json
	# One bad sector: what the tests look at first.
	read -r SPOT _ <"$STALE"
}

teardown()
{
	unmount
	rm -rf "$BATS_TEST_TMPDIR"
}

# view ARG...: mounts with this test's state.
view()
{
	client "$RESCUEFS" mount --state "$STATE" "$@" "$MNT" 3>&- 4>&-
}

unmount()
{
	let_go "$MNT"
	[[ ! -e $STATE/lock ]] || wait_until 60 flock -n "$STATE/lock" true
}

# sector OFF [FILE]: 512 bytes of a disk.
sector()
{
	client dd if="${2-$APRIL}" bs=512 skip=$(($1 / 512)) count=1 status=none
}

# The state and the source of the block at OFF.
claim_at()
{
	jq -r --argjson at "$1" '.extents[] |
		select(.offset <= $at and .offset + .length > $at) |
		"\(.state) \(.source // "-")"' "$JSON"
}

# spots STATE: "OFF LEN" as the JSON has them.
spots()
{
	claims "$JSON" "$1" | awk '{ print $1, $2 }'
}

# The same by the mapfile: "OFF LEN" of the ranges marked $1.
marked()
{
	grep '^0x' "$MNT/instances/april-ci/rescue/disk.map" |
		while read -r off len mark; do
			[[ $mark != "$1" ]] || echo $((off)) $((len))
		done
}

# zeroed SPOTS FROM TO: a copy that is zero in the ranges "OFF LEN".
zeroed()
{
	cp --sparse=always "$2" "$3"
	truncate -s "$(stat -c %s "$2")" "$T/zero"
	patch_from "$3" "$T/zero" <"$1"
}

# copy_backup DIR SECONDS [OFF...]: of the backup what april-ci needs, its disk
# so many seconds newer and other bytes at OFF; as its guest sees it in DIR.raw.
copy_backup()
{
	local dir=$1 disk=$1/$NOVA/$APRIL_UUID/disk off opts
	local from=$BACKUP/$NOVA/$APRIL_UUID/disk

	mkdir -p "$dir/$NOVA/_base" "$dir/etc"
	cp -a "$BACKUP/etc/libvirt" "$dir/etc"
	cp -a "$BACKUP/$NOVA/$APRIL_UUID" "$dir/$NOVA"
	cp -a --sparse=always "$BACKUP/$NOVA/_base/$APRIL_BASE" "$dir/$NOVA/_base"
	opts=$(nova_chain "$dir" "$NOVA/$APRIL_UUID/disk")
	for off in "${@:3}"; do
		qemu-io --image-opts "$opts" -c "write -q -P 0x5a $off 512"
	done
	nova_convert "$dir" "$NOVA/$APRIL_UUID/disk" "$dir.raw"
	touch -d "@$(($(stat -c %Y "$from") + $2))" "$disk"
}

@test "without a backup a bad sector loses its 512 bytes and no more" {
	view --damaged "$BM"
	# A salvage tool on the merged disk finds exactly these bad.
	client ddrescue -q -b 512 "$APRIL" "$T/got" "$T/map"
	ddrescuelog -l- -b512 "$T/map" | awk '{ print $1 * 512, 512 }' |
		diff "$LOST" -
	zeroed "$LOST" "$TRUTH/april-ci/disk.raw" "$T/want"
	cmp "$T/want" "$T/got"
	spots lost | diff "$LOST" -
	marked - | diff "$LOST" -
	[ -z "$(spots stale)" ]
	run ! sector "$SPOT"
	[[ $output = *"Input/output error"* ]]
	# dd goes on behind it.
	client dd if="$APRIL" of="$T/three" bs=512 conv=noerror,sync count=3 \
		skip=$((SPOT / 512 - 1)) 2>"$T/errors"
	grep -q "Input/output error" "$T/errors"
	cmp -n 1536 -i "$((SPOT - 512)):0" "$T/want" "$T/three"
}

@test "lost = zero gives zeros, and the map still says lost" {
	view --damaged "$BM" --lost zero
	zeroed "$LOST" "$TRUTH/april-ci/disk.raw" "$T/want"
	client dd if="$APRIL" bs=1M status=none | cmp "$T/want" -
	spots lost | diff "$LOST" -
	marked - | diff "$LOST" -
	[ "$(getfattr --only-values -n user.rescuefs.lost "$APRIL")" -eq \
		$((512 * $(wc -l <"$LOST"))) ]
	# It is asked for anew at each mount, and an error without it.
	unmount
	view --damaged "$BM"
	run ! sector "$SPOT"
	[[ $output = *"Input/output error"* ]]
}

@test "fill = none: no older block stands in, and all comes back with it" {
	view --damaged "$BM" --backup "$BACKUP" --fill none
	client ddrescue -q -b 512 "$APRIL" "$T/got" "$T/map"
	ddrescuelog -l- -b512 "$T/map" | awk '{ print $1 * 512, 512 }' |
		diff "$STALE" -
	marked - | diff "$STALE" -
	[ -z "$(marked /)" ]
	# A base image of one name is the same bytes, of whatever age.
	[ "$(claim_at "$(scene_expect base | awk '{ print $5 }')")" = \
		"fresh backup" ]
	unmount
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "stale backup" ]
}

@test "fill = none holds back what was served before, and lets it go again" {
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" >/dev/null
	unmount
	view --damaged "$BM" --backup "$BACKUP" --fill none
	run ! sector "$SPOT"
	[[ $output = *"Input/output error"* ]]
	unmount
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
}

site_file()
{
	cat >"$T/site.conf" <<-CONF
	[site]
	state = $STATE
	$1
	[source bm0002]
	kind = damaged
	host = bm0002.the.re
	root = $BM
	[source backup]
	kind = backup
	host = bm0002.the.re
	root = $BACKUP
	$2
	CONF
}

mount_site()
{
	client "$RESCUEFS" mount "$T/site.conf" "$@" "$MNT" 3>&- 4>&-
}

@test "a disk's own rule goes before the site's fill and lost" {
	local table other=$MNT/instances/$ESSEX/disk

	table=$(scene_expect table | awk '{ print $2 }')
	site_file $'fill = none\nlost = eio' \
		"[disk april-ci/disk]"$'\nfill = all'
	mount_site
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
	run ! sector "$table" "$other"
	unmount

	# By the uuid; and what it does not say is the site's.
	site_file $'fill = all\nlost = zero' \
		"[disk $APRIL_UUID/disk]"$'\nfill = none\nlost = eio'
	mount_site
	run ! sector "$SPOT"
	sector "$table" "$other" |
		cmp -n 512 -i "0:$table" - "$YESTERDAY/$ESSEX/disk.raw"
	unmount

	# An option is the site's, and the disk's rule still goes before it.
	mount_site --fill none
	run ! sector "$SPOT"
	cmp -n 512 <(sector "$table" "$other") /dev/zero
}

@test "prefer = backup bm0002: the backup is the first, and so fresh" {
	site_file "" "[disk april-ci/disk]"$'\nprefer = backup bm0002'
	mount_site
	[ "$(getfattr --only-values -n user.rescuefs.sources "$APRIL")" = \
		"backup bm0002" ]
	[ "$(getfattr --only-values -n user.rescuefs.sources \
		"$MNT/instances/$ESSEX/disk")" = "bm0002 backup" ]
	client cmp "$APRIL" "$YESTERDAY/april-ci/disk.raw"
	[ -z "$(spots stale)$(spots lost)" ]
	[ "$(claim_at "$SPOT")" = "fresh backup" ]
	unmount
	site_file "" "[disk april-ci/disk]"$'\nprefer = bakcup'
	run -2 mount_site
	[[ $output = *"site.conf:"*"there is no source 'bakcup'"* ]]
}

@test "of two backups the fresher one stands in" {
	copy_backup "$T/old" -86400 "$SPOT"
	view --damaged "$BM" --backup "$T/old,name=old" \
		--backup "$BACKUP,name=yesterday"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "stale yesterday" ]
	[ "$(getfattr --only-values -n user.rescuefs.sources "$APRIL")" = \
		"bm0002 yesterday old" ]
}

@test "taken= makes a backup older than its files say" {
	copy_backup "$T/new" 3600 "$SPOT"
	view --damaged "$BM" --backup "$BACKUP,name=yesterday" \
		--backup "$T/new,name=new"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$T/new.raw"
	[ "$(claim_at "$SPOT")" = "stale new" ]
	unmount
	rm -rf "$STATE"
	view --damaged "$BM" --backup "$BACKUP,name=yesterday" \
		--backup "$T/new,name=new,taken=2013-05-10T03:00:00Z"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "stale yesterday" ]
	[ "$(getfattr --only-values -n user.rescuefs.as_of \
		"$MNT/sources/new/instances/april-ci/disk")" = \
		2013-05-10T03:00:00Z ]
}

# Where in the image's own file the guest's byte OFF is, by qemu-img.
host_offset()
{
	qemu-img map --output=json --image-opts \
		"$(nova_chain "$1" "$NOVA/$APRIL_UUID/disk")" |
		jq --argjson at "$2" '.[] | select(.start <= $at and
			.start + .length > $at and .depth == 0) |
			.offset + $at - .start'
}

@test "where the fresher backup cannot be read, the older one stands in" {
	local off first last at disk=$T/cut/$NOVA/$APRIL_UUID/disk

	copy_backup "$T/cut" 3600
	copy_backup "$T/old" -3600
	# Spots that yesterday's image has in clusters of its own, in the order
	# of its file: the image ends in front of the last one.
	cut -d' ' -f1 "$STALE" | while read -r off; do
		at=$(host_offset "$T/cut" "$off")
		[[ -z $at ]] || echo "$at $off"
	done | sort -n >"$T/places"
	[ "$(wc -l <"$T/places")" -ge 2 ]
	first=$(awk 'NR == 1 { print $2 }' "$T/places")
	last=$(awk 'END { print $2 }' "$T/places")
	touch -r "$disk" "$T/time"
	truncate -s "$(awk 'END { print $1 }' "$T/places")" "$disk"
	touch -r "$T/time" "$disk"
	view --damaged "$BM" --backup "$T/cut,name=cut" \
		--backup "$T/old,name=old"
	sector "$first" |
		cmp -n 512 -i "0:$first" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$first")" = "stale cut" ]
	sector "$last" |
		cmp -n 512 -i "0:$last" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$last")" = "stale old" ]
	run ! sector "$last" "$MNT/sources/cut/instances/april-ci/disk"
	[[ $output = *"Input/output error"* ]]
}

@test "P4: a backup that comes later changes nothing that was asked for" {
	local sources=(--damaged "$BM" --backup "$BACKUP") next

	view --damaged "$BM"
	run ! sector "$SPOT"
	unmount
	view "${sources[@]}"
	run ! sector "$SPOT"
	[[ $output = *"Input/output error"* ]]
	[ "$(claim_at "$SPOT")" = "lost -" ]
	# What nobody has asked for yet comes from it.
	next=$(sed -n '2s/ .*//p' "$STALE")
	sector "$next" | cmp -n 512 -i "0:$next" - "$YESTERDAY/april-ci/disk.raw"
	client "$RESCUEFS" refresh "${sources[@]}" --state "$STATE" \
		april-ci/disk
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$YESTERDAY/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "stale backup" ]
	unmount
	view "${sources[@]}"
	[ "$(claim_at "$SPOT")" = "stale backup" ]
}

@test "P4: a disk that can be read again changes nothing until refresh" {
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" >"$T/was"
	cp "$W/faults" "$T/faults"
	disk_faults "$W" </dev/null
	sector "$SPOT" | cmp - "$T/was"
	unmount
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" | cmp - "$T/was"
	[ "$(claim_at "$SPOT")" = "stale backup" ]
	unmount
	# Refresh without a mount: then the freshest source is asked anew.
	client "$RESCUEFS" refresh --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" april-ci/disk
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" >"$T/now"
	disk_faults "$W" <"$T/faults"
	cmp -n 512 -i "0:$SPOT" "$T/now" "$TRUTH/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "fresh bm0002" ]
}

@test "P4: under what was written nothing is refreshed" {
	local sources=(--damaged "$BM" --backup "$BACKUP" --state "$STATE")

	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" >"$T/was"
	client dd if=/dev/zero of="$APRIL" bs=512 count=1 conv=notrunc,fsync \
		status=none
	run client "$RESCUEFS" refresh "${sources[@]}" april-ci/disk
	[ "$status" -ne 0 ]
	[[ $output = *"written"*"rescuefs reset"* ]]
	unmount
	run client "$RESCUEFS" refresh "${sources[@]}" april-ci/disk
	[ "$status" -ne 0 ]
	[[ $output = *"written"*"rescuefs reset"* ]]
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" | cmp - "$T/was"
	cmp -n 512 <(sector 0) /dev/zero
}

@test "under what was written a refresh is done when told, and keeps it" {
	local sources=(--damaged "$BM" --backup "$BACKUP" --state "$STATE")

	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" >"$T/was"
	client dd if=/dev/zero of="$APRIL" bs=512 count=1 conv=notrunc,fsync \
		status=none
	cp "$W/faults" "$T/faults"
	disk_faults "$W" </dev/null
	[ "$(claim_at "$SPOT")" = "stale backup" ]
	run -0 client "$RESCUEFS" refresh --force "${sources[@]}" april-ci/disk
	[[ $output = *"stays as it is"* ]]
	cmp -n 512 <(sector 0) /dev/zero
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$TRUTH/april-ci/disk.raw"
	[ "$(claim_at "$SPOT")" = "fresh bm0002" ]
	unmount
	# Without a mount, and of a new state.
	disk_faults "$W" <"$T/faults"
	rm -r "$STATE"
	view --damaged "$BM" --backup "$BACKUP"
	sector "$SPOT" | cmp - "$T/was"
	client dd if=/dev/zero of="$APRIL" bs=512 count=1 conv=notrunc,fsync \
		status=none
	[ "$(claim_at "$SPOT")" = "stale backup" ]
	unmount
	disk_faults "$W" </dev/null
	run -0 client "$RESCUEFS" refresh --force "${sources[@]}" april-ci/disk
	[[ $output = *"stays as it is"* ]]
	view --damaged "$BM" --backup "$BACKUP"
	cmp -n 512 <(sector 0) /dev/zero
	sector "$SPOT" >"$T/now"
	disk_faults "$W" <"$T/faults"
	cmp -n 512 -i "0:$SPOT" "$T/now" "$TRUTH/april-ci/disk.raw"
	run -2 client "$RESCUEFS" reset --force "${sources[@]}" april-ci/disk
}

@test "P4: a backup whose file changed is refused until refresh" {
	local sources

	copy_backup "$T/copy" 0
	sources=(--damaged "$BM" --backup "$T/copy,name=backup")
	view "${sources[@]}"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$T/copy.raw"
	unmount
	rm -rf "$T/copy"
	copy_backup "$T/copy" 3600 "$SPOT"
	view "${sources[@]}"
	run ! sector "$SPOT"
	[[ $output = *"Input/output error"* ]]
	run getfattr --only-values -n user.rescuefs.error "$APRIL"
	[[ $output = *"its file on backup has changed"*"rescuefs refresh"* ]]
	# Of the other disks nothing changed.
	client head -c 512 "$MNT/instances/april-ci/disk.config" >/dev/null
	unmount
	client "$RESCUEFS" refresh "${sources[@]}" --state "$STATE" \
		april-ci/disk
	view "${sources[@]}"
	sector "$SPOT" | cmp -n 512 -i "0:$SPOT" - "$T/copy.raw"
	[ "$(claim_at "$SPOT")" = "stale backup" ]
}

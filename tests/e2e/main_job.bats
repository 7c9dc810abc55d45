#!/usr/bin/env bats
# The main job: the damaged host and its backup as one tree whose disks are as
# good as they can be, and which says how good that is.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	need_scene ddrescuelog getfattr
	W=$BATS_FILE_TMPDIR/bm
	export W
	{
		md5sum "$SCENE/host.img"
		digest_tree "$BACKUP"
	} >"$BATS_FILE_TMPDIR/digests"
	scene_attach "$W"
	rescue_mount "$W"
}

teardown_file()
{
	rescue_umount "$BATS_FILE_TMPDIR/bm"
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	MNT=$W/rescue
	STATE=$W/state
}

# The truth with yesterday's bytes in the ranges "OFF LEN" on stdin.
expected_image()
{
	cp --sparse=always "$TRUTH/$1.raw" "$BATS_FILE_TMPDIR/want"
	patch_from "$BATS_FILE_TMPDIR/want" "$YESTERDAY/$1.raw"
}

# How often each bad sector of data was asked for, a number a line.
touches_of_data()
{
	local off

	grep '# april-ci\|# base' "$SCENE/faults" | while read -r _ off _; do
		disk_touches "$W" "$off"
	done
}

@test "the tree has the instances by name, by uuid and by id" {
	[ -f "$MNT/README" ]
	[ -f "$MNT/instances/april-ci/disk" ]
	[ -f "$MNT/instances/$ESSEX/disk.local" ]
	[ "$(readlink -f "$MNT/by-uuid/$ESSEX_UUID")" = \
		"$MNT/instances/$ESSEX" ]
	[ "$(readlink -f "$MNT/by-id/instance-00000007")" = \
		"$MNT/instances/april-ci" ]
	[ "$(stat -c '%a %u' "$MNT/instances/april-ci/disk")" = \
		"600 $(id -u)" ]
	cmp "$MNT/instances/april-ci/console.log" \
		"$BM/$NOVA/$APRIL_UUID/console.log"
	run jq -r '.uuid, .flavor' \
		"$MNT/instances/april-ci/instance.json"
	[ "${lines[0]}" = "$APRIL_UUID" ]
	[ "${lines[1]}" = m1.small ]
}

@test "before anything is read, everything is unread" {
	run jq -c '[.totals.unread == .size, .totals.lost, .totals.stale]' \
		"$MNT/instances/april-ci/rescue/disk.json"
	[ "$output" = "[true,0,0]" ]
}

@test "every byte is the truth, but for 512 stale bytes a bad sector" {
	local json=$MNT/instances/april-ci/rescue/disk.json

	client dd if="$MNT/instances/april-ci/disk" bs=1M status=none \
		of="$BATS_FILE_TMPDIR/got"
	scene_expect data | awk '{ print $2, $3 }' | sort -n \
		>"$BATS_FILE_TMPDIR/spots"
	claims "$json" stale | awk '{ print $1, $2 }' \
		>"$BATS_FILE_TMPDIR/stale"
	diff "$BATS_FILE_TMPDIR/spots" "$BATS_FILE_TMPDIR/stale"
	[ -z "$(claims "$json" lost)" ]
	[ "$(claims "$json" stale | awk '{ print $3 }' | sort -u)" = backup ]
	expected_image april-ci/disk <"$BATS_FILE_TMPDIR/spots"
	cmp "$BATS_FILE_TMPDIR/want" "$BATS_FILE_TMPDIR/got"
}

@test "the base's bad sector is healed from the backup's same base" {
	local guest

	guest=$(scene_expect base | awk '{ print $5 }')
	run jq -r --argjson at "$guest" '.extents[] |
		select(.offset <= $at and .offset + .length > $at) |
		"\(.state) \(.source) \(.offset) \(.length)"' \
		"$MNT/instances/april-ci/rescue/disk.json"
	[ "$output" = "fresh backup $guest 512" ]
}

# Where a lost L2 table leads is told by the backup's, of what was there then.
@test "a lost L2 table makes stale only what was allocated since the backup" {
	local json=$MNT/instances/$ESSEX/rescue/disk.json off len

	read -r _ off len < <(scene_expect table)
	client dd if="$MNT/instances/$ESSEX/disk" bs=1M status=none \
		of="$BATS_FILE_TMPDIR/got"
	claims "$json" stale | awk '{ print $1, $2 }' \
		>"$BATS_FILE_TMPDIR/stale"
	awk -v a="$off" -v n="$len" '{ if ($1 < a || $1 + $2 > a + n) exit 1;
		sum += $2 } END { exit !(sum < n / 8) }' \
		"$BATS_FILE_TMPDIR/stale"
	[ -z "$(claims "$json" lost)" ]
	[ -z "$(claims "$json" unproved)" ]
	expected_image "$ESSEX/disk" <"$BATS_FILE_TMPDIR/stale"
	cmp "$BATS_FILE_TMPDIR/want" "$BATS_FILE_TMPDIR/got"
	jq -e --argjson a "$off" --argjson n "$len" '.healed > 4194304 and
		([.extents[] | select(.healed)] |
		 all(.healed == "backup" and .state == "fresh" and
			.source == "bm0002" and .offset >= $a and
			.offset + .length <= $a + $n))' "$json"
	[ "$(getfattr --only-values -n user.rescuefs.healed \
		"$MNT/instances/$ESSEX/disk")" -eq "$(jq .healed "$json")" ]
	client grep -q '^#.*Healed by another copy' \
		"$MNT/instances/$ESSEX/rescue/disk.map"
}

@test "the other disks are whole" {
	for d in april-ci/disk.eph0 april-ci/disk.config "$ESSEX/disk.local"; do
		client cmp "$MNT/instances/$d" "$TRUTH/$d.raw"
		run jq -c '[.totals.stale, .totals.lost, .totals.unread]' \
			"$MNT/instances/${d%/*}/rescue/${d#*/}.json"
		[ "$output" = "[0,0,0]" ]
	done
}

@test "the JSON is in order, without gaps, and sums up" {
	for j in "$MNT"/instances/*/rescue/*.json; do
		run jq '(reduce .extents[] as $e ({at: 0, ok: true};
			{at: ($e.offset + $e.length),
			 ok: (.ok and $e.offset == .at)})) as $walk |
			$walk.ok and $walk.at == .size and
			([.totals[]] | add) == .size' "$j"
		[ "$output" = true ]
	done
}

@test "ddrescuelog reads the map, and it says the same" {
	local map=$MNT/instances/april-ci/rescue/disk.map

	client cp "$map" "$BATS_FILE_TMPDIR/map"
	run ddrescuelog -l/ -b512 "$BATS_FILE_TMPDIR/map"
	[ "$status" -eq 0 ]
	[ "${#lines[@]}" -eq "$(scene_expect data | wc -l)" ]
	[ "${lines[0]}" -eq $(($(scene_expect data | awk '{ print $2 }' |
		sort -n | head -1) / 512)) ]
	run ddrescuelog -l- -b512 "$BATS_FILE_TMPDIR/map"
	[ -z "$output" ]
}

@test "a file whose inode is lost comes from the backup" {
	cmp "$MNT/hosts/bm0002.the.re/$VICTIM" "$BACKUP/$VICTIM"
	[ "$(stat -c '%a %u %g %s %Y' "$MNT/hosts/bm0002.the.re/$VICTIM")" = \
		"$(stat -c '%a %u %g %s %Y' "$BACKUP/$VICTIM")" ]
	[ "$(getfattr --only-values -n user.rescuefs.source \
		"$MNT/hosts/bm0002.the.re/$VICTIM")" = backup ]
	cmp "$MNT/hosts/bm0002.the.re/etc/hostname" "$BM/etc/hostname"
	[ "$(readlink "$MNT/hosts/bm0002.the.re/etc/nova")" = \
		../var/lib/nova ]
}

@test "one source alone gives EIO where it cannot read, and no byte else" {
	local off

	off=$(scene_expect data | awk 'NR == 1 { print $2 }')
	alone=$MNT/sources/bm0002/instances/april-ci/disk
	run ! client dd if="$alone" bs=512 skip=$((off / 512)) count=1 \
		of=/dev/null status=none
	[[ $output = *"Input/output error"* ]]
	for s in -1 1; do
		client dd if="$alone" bs=512 skip=$((off / 512 + s)) count=1 \
			status=none | cmp -n 512 -i 0:$((off + s * 512)) - \
			"$TRUTH/april-ci/disk.raw"
	done
	client cmp "$MNT/sources/backup/instances/april-ci/disk" \
		"$YESTERDAY/april-ci/disk.raw"
}

@test "extended attributes tell the totals" {
	local f=$MNT/instances/april-ci/disk

	[ "$(getfattr --only-values -n user.rescuefs.stale "$f")" -eq \
		$((512 * $(scene_expect data | wc -l))) ]
	[ "$(getfattr --only-values -n user.rescuefs.lost "$f")" -eq 0 ]
	[ "$(getfattr --only-values -n user.rescuefs.uuid "$f")" = \
		"$APRIL_UUID" ]
}

@test "a hole is a hole, and the allocated size is not zero" {
	local f=$MNT/instances/april-ci/disk.eph0

	[ "$(stat -c %b "$f")" -gt 0 ]
	[ "$(stat -c %b "$f")" -lt $(($(stat -c %s "$f") / 512)) ]
	client qemu-img map --output=json -f raw "$f" |
		jq -e 'any(.[]; .data == false) and any(.[]; .data)'
	client tar -C "$MNT/instances/april-ci" -Scf "$BATS_FILE_TMPDIR/t.tar" \
		disk.eph0
	[ "$(stat -c %s "$BATS_FILE_TMPDIR/t.tar")" -lt $((256 << 20)) ]
	tar -xOf "$BATS_FILE_TMPDIR/t.tar" disk.eph0 |
		cmp - "$TRUTH/april-ci/disk.eph0.raw"
}

@test "cp, qemu-img convert, losetup and a pipe give the same bytes" {
	local f=$MNT/instances/april-ci/disk want loop got

	want=$(client md5sum <"$f")
	client cp --sparse=always "$f" "$BATS_FILE_TMPDIR/cp"
	[ "$(md5sum <"$BATS_FILE_TMPDIR/cp")" = "$want" ]
	client qemu-img convert -f raw -O raw "$f" "$BATS_FILE_TMPDIR/convert"
	[ "$(md5sum <"$BATS_FILE_TMPDIR/convert")" = "$want" ]
	[ "$(client cat "$f" | md5sum)" = "$want" ]
	loop=$(losetup -r -f --show "$f")
	got=$(client md5sum <"$loop")
	losetup -d "$loop"
	[ "$got" = "$want" ]
}

@test "what is known of a bad sector outlives the mount; it is left alone" {
	local before line

	before=$(touches_of_data)
	# Finding a bad sector costs two touches at the most.
	[ "$(sort -n <<<"$before" | tail -1)" -le 2 ]
	rescue_umount "$W"
	echo 3 >/proc/sys/vm/drop_caches
	rescue_mount "$W"
	expected_image april-ci/disk < <(scene_expect data |
		awk '{ print $2, $3 }')
	client cmp "$MNT/instances/april-ci/disk" "$BATS_FILE_TMPDIR/want"
	line=$(claims "$MNT/instances/april-ci/rescue/disk.json" stale |
		awk '{ print $1, $2 }')
	[ "$line" = "$(scene_expect data | awk '{ print $2, $3 }' |
		sort -n)" ]
	[ "$(touches_of_data)" = "$before" ]
}

@test "a second daemon is told who holds the state" {
	mkdir -p "$BATS_FILE_TMPDIR/second"
	run -4 client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" "$BATS_FILE_TMPDIR/second" 3>&- 4>&-
	[[ $output = *"$MNT"* ]]
}

@test "e2fsck -fy ends with a clean filesystem on every disk" {
	for f in "$MNT/instances/april-ci/disk" "$MNT/instances/$ESSEX/disk"; do
		run client e2fsck -fy "$f"
		[ "$status" -le 1 ] || client e2fsck -fy "$f"
		client e2fsck -fn "$f"
	done
}

@test "resize2fs -M shrinks the image, and that outlives the mount" {
	local f=$MNT/instances/april-ci/disk size blocks sum

	client resize2fs -M "$f"
	blocks=$(dumpe2fs -h "$f" 2>/dev/null |
		sed -n 's/^Block count: *//p')
	size=$(stat -c %s "$f")
	[ "$size" -eq $((blocks * 4096)) ]
	[ "$size" -lt "$(stat -c %s "$TRUTH/april-ci/disk.raw")" ]
	sum=$(client md5sum <"$f")
	rescue_umount "$W"
	rescue_mount "$W"
	[ "$(stat -c %s "$f")" -eq "$size" ]
	[ "$(client md5sum <"$f")" = "$sum" ]
	client e2fsck -fn "$f"
	run debugfs -R 'cat /srv/late.txt' "$f"
	[[ $output = *"written last"* ]]
	# Writing over a stale block does not make the report forget it.
	jq -e '.totals.local > 0 and .overwritten.stale >= 0' \
		"$MNT/instances/april-ci/rescue/disk.json"
}

@test "reset drops one disk's overlay and leaves the other's" {
	local other

	other=$(client md5sum <"$MNT/instances/$ESSEX/disk")
	run -2 client "$RESCUEFS" reset --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" april-ci/disk </dev/null
	client "$RESCUEFS" reset --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" --yes april-ci/disk
	expected_image april-ci/disk < <(scene_expect data |
		awk '{ print $2, $3 }')
	client cmp "$MNT/instances/april-ci/disk" "$BATS_FILE_TMPDIR/want"
	[ "$(client md5sum <"$MNT/instances/$ESSEX/disk")" = "$other" ]
}

@test "a signal unmounts cleanly" {
	local pid

	pid=$(cut -d' ' -f1 "$STATE/lock")
	kill -TERM "$pid"
	wait_until 60 is_gone "$pid"
	run ! is_mounted "$MNT"
}

@test "the sources are what they were" {
	{
		md5sum "$SCENE/host.img"
		digest_tree "$BACKUP"
	} | diff "$BATS_FILE_TMPDIR/digests" -
}

#!/usr/bin/env bats
# rescuefs compare, against the truth: cmp of the whole images, and debugfs.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	scene_setup_file python3
}

teardown_file()
{
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
}

teardown()
{
	rescue_umount "$W"
}

compare()
{
	client "$RESCUEFS" compare --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$@"
}

touches_of_faults()
{
	local off len

	while read -r _ off len _; do
		disk_touches "$1" "$off" "$len"
	done < <(grep '^eio' "$SCENE/faults")
}

# The sectors in which two files differ, a number a line.
sectors_that_differ()
{
	python3 - "$1" "$2" <<-'END'
	import sys
	a, b = (open(name, "rb").read() for name in sys.argv[1:])
	for s in range(0, len(a), 512):
	    if a[s:s + 512] != b[s:s + 512]:
	        print(s // 512)
	END
}

# The sectors of extents whose state matches a pattern.
sectors_of_json()
{
	jq -r --arg s "$2" '.extents[] | select(.state | test($s)) |
		range(.offset / 512; (.offset + .length) / 512)' "$1"
}

@test "merged against backup: what cmp of the truth says, sector by sector" {
	local d=april-ci/disk

	run -1 --separate-stderr compare --json "$d"
	echo "$output" >"$W/got"
	[ "$(jq -r '.a.name + " " + .b.name' "$W/got")" = "merged backup" ]
	# What was lost is yesterday's, and so equal: all else is as it was.
	cp "$TRUTH/$d.raw" "$W/merged"
	jq -r '.extents[] | select(.state | test("unreadable"))' "$W/got" |
		(! grep -q .)
	while read -r _ off len _; do
		echo "$off $len"
	done < <(scene_expect data) | patch_from "$W/merged" "$YESTERDAY/$d.raw"
	sectors_that_differ "$W/merged" "$YESTERDAY/$d.raw" >"$W/want"
	sectors_of_json "$W/got" . | diff "$W/want" -
	[ "$(wc -l <"$W/want")" -gt 1000 ]
	[ "$(jq '[.totals[]] | add' "$W/got")" -eq \
		"$(stat -c %s "$TRUTH/$d.raw")" ]
}

@test "the damaged host alone: unreadable where its sectors are" {
	run -1 --separate-stderr compare --json april-ci/disk bm0002 backup
	sectors_of_json <(echo "$output") '^unreadable in A' >"$BATS_TEST_TMPDIR/got"
	scene_expect data | awk '$1 == "april-ci/disk" { print $2 / 512 }' |
		sort -n | diff - "$BATS_TEST_TMPDIR/got"
	# Their common base image is not read, though it is two files.
	[ "$(jq .not_read.shared <<<"$output")" -gt 10000000 ]
	run -1 --separate-stderr compare --read-shared --json april-ci/disk \
		bm0002 backup
	[ "$(jq .not_read.shared <<<"$output")" -eq 0 ]
}

@test "files that differ, with sizes and times of both sides" {
	local d=april-ci/disk f

	run -1 --separate-stderr compare --json "$d"
	echo "$output" >"$W/got"
	for f in 1 2 3 4 5 6 7 8; do
		jq -e --arg p "/srv/changed/$f.bin" '.files[] |
			select(.path == $p) |
			.a.size == 2000000 and .b.size == 2000000 and
			.a.differs > 1900000' "$W/got"
	done
	jq -e '.files[] | select(.path == "/srv/new/1.bin") |
		.a.size == 1500000 and .b == null' "$W/got"
	jq -e '[.files[] | select(.path | test("^/srv/kept/."))] ==
		[]' "$W/got"
	# The times are those that debugfs tells.
	want=$(debugfs -R 'stat /etc/motd' "$TRUTH/$d.raw" 2>/dev/null |
		sed -n 's/^ mtime: 0x\([0-9a-f]*\):.*/\1/p')
	got=$(jq -r '.files[] | select(.path == "/etc/motd") | .a.mtime' \
		"$W/got")
	[ "$(date -d "$got" +%s)" -eq $((16#$want)) ]
}

@test "a plain file is a side; equal, different and trouble as cmp has them" {
	compare april-ci/disk backup "$YESTERDAY/april-ci/disk.raw"
	run -1 compare april-ci/disk backup "$TRUTH/april-ci/disk.raw"
	cp --sparse=always "$YESTERDAY/april-ci/disk.raw" "$W/copy"
	printf x | dd of="$W/copy" bs=1 seek=100000000 conv=notrunc status=none
	truncate -s +4096 "$W/copy"
	run -1 --separate-stderr compare --block-size 4k --json april-ci/disk \
		backup "$W/copy"
	[ "$(jq -c '[.extents[] | [.offset, .length]]' <<<"$output")" = \
		'[[99999744,4096],[268435456,4096]]' ]
	[ "$(jq -r '.extents[1].state' <<<"$output")" = "only in B" ]
	run -2 compare april-ci/disk backup /nowhere
	[[ $output = *"/nowhere is no copy of april-ci/disk"*"merged, bm0002, backup"* ]]
	run -2 compare april-ci/disk backup "$W"
	run -2 compare --block-size 3 april-ci/disk
	run -2 compare no-such/disk
}

@test "text: totals, the first of many extents, and files" {
	run -1 --separate-stderr compare april-ci/disk
	[[ ${lines[0]} = "april-ci/disk: A is merged, B is backup" ]]
	[[ $output = *"more; --whole lists all"* ]]
	run -1 --separate-stderr compare --whole april-ci/disk
	[[ $output != *"--whole"* ]]
	[[ $output = *"/srv/new/3.bin"* ]]
}

@test "beside a mount it says the same" {
	local d=april-ci/disk

	run -1 --separate-stderr compare --json "$d" bm0002 backup
	jq -c '.extents, .not_read' <<<"$output" >"$W/want"
	rescue_mount "$W"
	run -1 --separate-stderr client "$RESCUEFS" compare --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --json "$d" bm0002 backup
	jq -c '.extents, .not_read' <<<"$output" | diff "$W/want" -
	run -1 --separate-stderr client "$RESCUEFS" compare --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --json "$d"
	[ "$(jq '.totals.different' <<<"$output")" -gt 16000000 ]
}

# How many times a sector was asked for, all together.
all_touches()
{
	od -An -v -w4 -tu4 "$1/counts" | awk '{ n += $1 } END { print n + 0 }'
}

@test "beside a mount the base image that both share is not read" {
	local d=april-ci/disk w=$BATS_FILE_TMPDIR/bm before shared
	local -a of=(client "$RESCUEFS" compare --damaged "$BM" --backup
		"$BACKUP" --state "$W/state" --no-files --json)

	rescue_mount "$W"
	run -1 --separate-stderr "${of[@]}" "$d" bm0002 backup
	shared=$(jq .not_read.shared <<<"$output")
	[ "$shared" -gt 10000000 ]
	# A sector is asked for once: what is asked for now was not before.
	before=$(all_touches "$w")
	run -1 --separate-stderr "${of[@]}" --read-shared "$d" bm0002 backup
	[ "$(jq .not_read.shared <<<"$output")" -eq 0 ]
	[ $(($(all_touches "$w") - before)) -ge $((shared * 9 / 5120)) ]
	# Nor where the merged disk has it, once that was chosen.
	client cat "$MNT/instances/$d" >/dev/null || true
	run -1 --separate-stderr "${of[@]}" "$d" merged backup
	[ "$(jq .not_read.shared <<<"$output")" -gt 10000000 ]
	# None of the mount's readers is asked of a range that it does not have.
	run ! getfattr -n user.rescuefs.seats.0.999999999999 \
		"$MNT/instances/$d"
	run ! getfattr -n user.rescuefs.seats.512.0 "$MNT/instances/$d"
}

@test "no source is written, nor asked again for what failed" {
	local w=$BATS_FILE_TMPDIR/bm

	digest_tree "$BACKUP" >"$W/before"
	compare april-ci/disk bm0002 backup >/dev/null || [ $? -eq 1 ]
	touches_of_faults "$w" >"$W/touches"
	compare april-ci/disk bm0002 backup >/dev/null || [ $? -eq 1 ]
	touches_of_faults "$w" | diff "$W/touches" -
	digest_tree "$BACKUP" | diff "$W/before" -
}

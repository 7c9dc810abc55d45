#!/usr/bin/env bats
# Tables of a qcow2 image that cannot be read, told by the backup's (rule 5).
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	need_scene getfattr
	W=$BATS_FILE_TMPDIR/bm
	export W MNT=$W/rescue
	mkdir -p "$MNT"
	scene_attach "$W" /dev/null
	{
		md5sum "$SCENE/host.img"
		digest_tree "$BACKUP"
	} >"$BATS_FILE_TMPDIR/digests"
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
	use "$ESSEX" "$ESSEX"
	disk_faults "$W" </dev/null
	echo 3 >/proc/sys/vm/drop_caches
	find_tables
}

# use NAME DIRECTORY: the instance whose disk is looked at.
use()
{
	IMG=$NOVA/$2/disk
	DISK_PATH=$MNT/instances/$1/disk
	JSON=$MNT/instances/$1/rescue/disk.json
}

find_tables()
{
	L1=$(be64 "$BM/$IMG" 40)
	L2=$(($(be64 "$BM/$IMG" "$L1") & 0x00fffffffffffe00))
}

teardown()
{
	unmount
	rm -rf "$BATS_TEST_TMPDIR"
}

# be64 FILE OFF: a big-endian number as a qcow2 image has it.
be64()
{
	echo $((16#$(od -An -v -tx1 -j "$2" -N 8 "$1" | tr -d ' \n')))
}

# broken OFF LEN [IMAGE]: from now on this part of the image cannot be read.
broken()
{
	scene_eio "${3-$IMG}" "$1" "$2" | disk_faults "$W"
	echo 3 >/proc/sys/vm/drop_caches
}

view()
{
	client "$RESCUEFS" mount --state "$STATE" --damaged "$BM" "$@" "$MNT" \
		3>&- 4>&-
}

unmount()
{
	let_go "$MNT"
	[[ ! -e $STATE/lock ]] || wait_until 60 flock -n "$STATE/lock" true
}

# status_of OPTION...: what status says beside the mount.
status_of()
{
	client "$RESCUEFS" status --state "$STATE" --damaged "$BM" "$@" ||
		[ $? -eq 1 ]
}

# verified OPTION... DISK: what verify says.
verified()
{
	client "$RESCUEFS" verify --quiet --state "$STATE" --damaged "$BM" "$@"
}

# map_of DISK: as map draws it.
map_of()
{
	client "$RESCUEFS" map --plain --state "$STATE" --damaged "$BM" "$@"
}

# allocated [IMAGE]: "OFF END" of what the backup's image held by itself.
allocated()
{
	qemu-img map -U --output=json --image-opts \
		"$(nova_chain "$BACKUP" "${1-$IMG}")" |
		jq -r '.[] | select(.depth == 0 and .data) |
			"\(.start) \(.start + .length)"'
}

# stale_are_new [IMAGE]: nothing that was allocated then is stale now.
stale_are_new()
{
	claims "$JSON" stale | awk '{ print "s", $1, $1 + $2 }' >"$T/spans"
	allocated "$@" | sed 's/^/a /' >>"$T/spans"
	awk '$1 == "s" { s[n++] = $2; e[n - 1] = $3 }
		$1 == "a" { for (i = 0; i < n; i++)
			if ($2 < e[i] && s[i] < $3) { print; bad = 1 } }
		END { exit bad }' "$T/spans"
}

# is_healed DISK [IMAGE]: the disk is the truth, but for what was allocated since.
is_healed()
{
	client dd if="$DISK_PATH" bs=1M status=none of="$T/got"
	[ -z "$(claims "$JSON" lost)" ]
	[ -z "$(claims "$JSON" unproved)" ]
	cp --sparse=always "$TRUTH/$1.raw" "$T/want"
	claims "$JSON" stale | patch_from "$T/want" "$YESTERDAY/$1.raw"
	cmp "$T/want" "$T/got"
	shift
	stale_are_new "$@"
	jq -e '.healed > 4194304' "$JSON"
}

@test "a whole L2 table lost" {
	broken "$L2" 65536
	view --backup "$BACKUP"
	is_healed "$ESSEX/disk"
	jq -e '.orphans.bytes > 4194304 and .orphans.partial' "$JSON"
	client grep -q 'healed by the tables of backup' \
		"$MNT/instances/$ESSEX/rescue/disk.svg"
	# A sign of its own, in the picture and in its legend.
	client "$RESCUEFS" map --plain --state "$STATE" --damaged "$BM" \
		--backup "$BACKUP" "$ESSEX/disk" >"$T/map"
	grep -q '^ *~  .* healed by the tables of backup' "$T/map"
	grep -q '^ *[0-9].*~' "$T/map"
	run ! grep '^ *=  .* healed' "$T/map"
	orphans_are_told
	unmount
	orphans_are_told
}

# By the verbs too, beside the mount and after it.
orphans_are_told()
{
	local site=(--state "$STATE" --damaged "$BM" --backup "$BACKUP")

	client "$RESCUEFS" status "${site[@]}" "$ESSEX/disk" >"$T/said" ||
		[ $? -eq 1 ]
	grep -q '^  orphans: .* clusters in use' "$T/said"
	client "$RESCUEFS" losses "${site[@]}" --quiet "$ESSEX/disk" \
		>"$T/said" || [ $? -eq 1 ]
	grep -q '^Orphans: .* clusters of the damaged image' "$T/said"
	grep -q "^Healed: .* found by another copy's tables" "$T/said"
	client "$RESCUEFS" losses "${site[@]}" --quiet --json "$ESSEX/disk" \
		>"$T/said" || [ $? -eq 1 ]
	jq -e '.orphans.bytes > 4194304 and .orphans.partial and
		.healed > 4194304 and .guessed == 0' "$T/said"
}

@test "4 KiB of an L2 table lost" {
	local off

	# Where the scene has much data.
	off=$(scene_expect table | awk '{ print $2 }')
	broken $((L2 + off / 8192)) 4096
	view --backup "$BACKUP"
	is_healed "$ESSEX/disk"
}

@test "the L1 table lost: the image's own L2 table is found" {
	broken "$L1" 65536
	view --backup "$BACKUP"
	is_healed "$ESSEX/disk"
	# It tells of what was allocated since, too.
	[ -z "$(claims "$JSON" stale)" ]
	cmp "$T/got" "$TRUTH/$ESSEX/disk.raw"
}

@test "the L1 table lost without a backup: tables are looked for if allowed" {
	local notes=$T/notes

	broken "$L1" 65536
	view
	[ "$(jq .healed "$JSON")" -eq 0 ]
	status_of >"$notes"
	grep -q 'heal = guessed looks for its L2 tables' "$notes"
	unmount
	STATE=$T/second
	view --heal guessed
	# The disk has one table, and one is found.
	client dd if="$DISK_PATH" bs=1M status=none of="$T/got"
	cmp "$T/got" "$TRUTH/$ESSEX/disk.raw"
	jq -e '.healed > 4194304 and ([.extents[] | select(.guessed) | .state] |
		unique == ["unproved"])' "$JSON"
	client grep -q ', guessed$' "$MNT/instances/$ESSEX/rescue/disk.map"
	status_of --heal guessed >"$notes"
	grep -q '1 L2 tables were found .* guessed to belong together' "$notes"
}

@test "a table of zeros that no copy can deny: served, and said to be suspect" {
	scene_eio "$IMG" "$L2" 65536 | sed 's/^eio/zero/' | disk_faults "$W"
	echo 3 >/proc/sys/vm/drop_caches
	view
	client cat "$DISK_PATH" >/dev/null
	jq -e '.suspect == .size and .totals.fresh == .size and
		.totals.hole == 0 and ([.extents[] | .suspect] | unique |
		length == 1)' "$JSON"
	[ "$(getfattr --only-values -n user.rescuefs.suspect \
		"$DISK_PATH")" -eq "$(stat -c %s "$DISK_PATH")" ]
	client grep -q ' and not as its refcounts have it' \
		"$MNT/instances/$ESSEX/rescue/disk.map"
	map_of "$ESSEX/disk" >"$T/map"
	grep -q 'suspect, .* and not as its refcounts have it' "$T/map"
}

@test "the header lost" {
	broken 0 512
	view --backup "$BACKUP"
	is_healed "$ESSEX/disk"
	cmp "$T/got" "$TRUTH/$ESSEX/disk.raw"
}

@test "a whole L2 table of today's version lost" {
	use april-ci "$APRIL_UUID"
	find_tables
	broken "$L2" 65536
	view --backup "$BACKUP"
	is_healed april-ci/disk
}

@test "what was healed is the same in the next mount, and costs no touch" {
	local sum touches

	broken "$L2" 65536
	view --backup "$BACKUP"
	sum=$(client md5sum <"$DISK_PATH")
	touches=$(sum_touches)
	unmount
	view --backup "$BACKUP"
	[ "$(client md5sum <"$DISK_PATH")" = "$sum" ]
	[ "$(sum_touches)" = "$touches" ]
}

# Of the bad sectors of the table.
sum_touches()
{
	local off len

	scene_eio "$IMG" "$L2" 65536 | while read -r _ off len _; do
		disk_touches "$W" "$off" "$len"
	done
}

@test "--no-heal: what the table mapped is yesterday's" {
	broken "$L2" 65536
	view --backup "$BACKUP" --no-heal
	client dd if="$DISK_PATH" bs=1M status=none of="$T/got"
	[ "$(jq .healed "$JSON")" -eq 0 ]
	cmp "$T/got" "$YESTERDAY/$ESSEX/disk.raw"
}

@test "a domain that discards: unproved, and used only where that is allowed" {
	cp -a --sparse=always "$BACKUP" "$T/bm0002.the.re"
	sed -i "s/<driver type='qcow2'/& discard='unmap'/" \
		"$T/bm0002.the.re/$NOVA/$ESSEX/libvirt.xml"
	broken "$L2" 65536
	view --backup "$T/bm0002.the.re"
	client dd if="$DISK_PATH" bs=1M status=none of="$T/got"
	[ "$(jq .healed "$JSON")" -eq 0 ]
	cmp "$T/got" "$YESTERDAY/$ESSEX/disk.raw"
	unmount
	STATE=$T/second
	view --backup "$T/bm0002.the.re" --heal all
	client dd if="$DISK_PATH" bs=1M status=none of="$T/got"
	jq -e '.totals.unproved > 4194304 and .healed == .totals.unproved' \
		"$JSON"
	[ "$(getfattr --only-values -n user.rescuefs.unproved \
		"$DISK_PATH")" -gt 4194304 ]
	client grep -q '  \*$' "$MNT/instances/$ESSEX/rescue/disk.map"
}

# Of the image: what others read of the host's own tables, as the kernel forgets them,
# is not ours.
image_touches()
{
	# A count of four bytes a sector, eight of them a block.
	awk 'NR == FNR { is[$1]; next }
		FNR - 1 in is { for (i = 1; i <= NF; i++) n += $i }
		END { print n }' \
		<(debugfs -R "blocks /$IMG" "$SCENE/host.img" 2>/dev/null |
			tr -s ' ' '\n' | grep .) \
		<(od -An -v -w32 -tu4 "$W/counts")
}

@test "verify derives what was healed in another way, and asks for no sector" {
	local before healed

	broken "$L2" 65536
	view --backup "$BACKUP"
	client dd if="$DISK_PATH" of=/dev/null bs=1M status=none
	healed=$(jq .healed "$JSON")
	before=$(image_touches)
	((before > 0))
	run -0 --separate-stderr verified --json --backup "$BACKUP" "$ESSEX/disk"
	jq -e --argjson n "$healed" '.equal and .whole and .healed.bytes == $n and
		.sources[0].healed.equal == $n' <<<"$output"
	unmount
	before=$(image_touches)
	run -0 --separate-stderr verified --json --backup "$BACKUP" "$ESSEX/disk"
	jq -e --argjson n "$healed" '.equal and .whole and
		.sources[0].healed.equal == $n' <<<"$output"
	[ "$(image_touches)" -eq "$before" ]
}

# swap FILE OFF: eight bytes and the next eight change places, and nobody is told.
swap()
{
	touch -r "$1" "$T/when"
	dd if="$1" bs=8 skip=$(($2 / 8)) count=2 status=none of="$T/two"
	{ tail -c 8 "$T/two" && head -c 8 "$T/two"; } |
		dd of="$1" bs=8 seek=$(($2 / 8)) conv=notrunc status=none
	touch -r "$T/when" "$1"
}

@test "verify tells where what was healed is not where the tables lead" {
	local at end

	cp -a --sparse=always "$BACKUP" "$T/bm0002.the.re"
	broken "$L2" 65536
	view --backup "$T/bm0002.the.re"
	client dd if="$DISK_PATH" of=/dev/null bs=1M status=none
	# Two clusters with data, healed both.
	read -r at end < <(allocated | awk '$2 - $1 >= 1048576 { print; exit }')
	at=$(((at + 65535) / 65536 * 65536))
	[ "$((at + 131072))" -le "$end" ]
	[ "$(claims "$JSON" fresh | awk -v at="$at" '$1 <= at &&
		$1 + $2 >= at + 131072' | wc -l)" -eq 1 ]
	swap "$T/bm0002.the.re/$IMG" $((L2 + at / 8192))
	run -1 --separate-stderr verified --json --backup "$T/bm0002.the.re" \
		"$ESSEX/disk"
	jq -e --argjson at "$at" '.sources[0].healed.extents |
		all(.offset >= $at and .offset + .length <= $at + 131072) and
		(map(.length) | add) > 65536' <<<"$output"
	run -1 --separate-stderr verified --backup "$T/bm0002.the.re" \
		"$ESSEX/disk"
	[[ $output = *": healed, other bytes than where its tables lead QEMU"* ]]
}

# all_derived: every healed byte of the disk, and it has what was written since.
all_derived()
{
	view --backup "$BACKUP"
	client dd if="$DISK_PATH" of=/dev/null bs=1M status=none
	verified --json --backup "$BACKUP" "$ESSEX/disk" >"$T/said"
	jq -e --argjson n "$(jq .healed "$JSON")" '.equal and .whole and
		$n > 4194304 and .sources[0].healed.equal == $n' "$T/said"
}

# A qemu-img that tells the truth of the first image, and of the next one that all
# lies a cluster further on.
lying_qemu_img()
{
	mkdir "$T/bin"
	cat >"$T/bin/qemu-img" <<-EOT
	#!/bin/bash
	$(type -P qemu-img) "\$@" | if [[ -e $T/second ]]; then
		awk -F'"offset": ' 'NF > 1 { \$0 = \$1 "\"offset\": " \
			\$2 + 65536 "}," } { print }'
	else
		cat
	fi
	touch "$T/second"
	EOT
	chmod +x "$T/bin/qemu-img"
}

@test "verify derives by the image's own tables what was written since" {
	broken "$L1" 65536
	all_derived
	lying_qemu_img
	PATH=$T/bin:$PATH run -1 --separate-stderr verified --json \
		--backup "$BACKUP" "$ESSEX/disk"
	jq -e '.sources[0].healed | .equal > 4194304 and
		(.extents | length) > 0' <<<"$output"
	unmount
	STATE=$T/other
	broken 0 512
	all_derived
}

@test "verify asks for nothing again where nothing is kept" {
	local before

	broken "$L2" 65536
	view --backup "$BACKUP" --store off
	client dd if="$DISK_PATH" of=/dev/null bs=1M status=none
	before=$(image_touches)
	run -3 --separate-stderr verified --json --backup "$BACKUP" \
		--store off "$ESSEX/disk"
	jq -e --argjson n "$(jq .healed "$JSON")" '.equal and (.whole | not) and
		$n > 4194304 and .sources[0].healed.not_kept == $n' <<<"$output"
	[ "$(image_touches)" -eq "$before" ]
}

@test "verify says of what nothing else tells" {
	broken "$L1" 65536
	view --heal guessed
	client dd if="$DISK_PATH" of=/dev/null bs=1M status=none
	run -3 --separate-stderr verified --json --heal guessed "$ESSEX/disk"
	jq -e --argjson n "$(jq .healed "$JSON")" '.equal and (.whole | not) and
		$n > 4194304 and .healed.not_looked_at == $n' <<<"$output"
}

@test "the sources are what they were" {
	disk_faults "$W" </dev/null
	{
		md5sum "$SCENE/host.img"
		digest_tree "$BACKUP"
	} | diff "$BATS_FILE_TMPDIR/digests" -
}

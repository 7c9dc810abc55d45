#!/usr/bin/env bats
# Losses: which files lost and stale blocks hit, against debugfs; what else is hit,
# and whether it matters; and that looking spares the disk.
# shellcheck disable=SC2030,SC2031,SC2153
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/volume

setup_file()
{
	need_scene tune2fs
	volume_setup_file
}

setup()
{
	work_setup
}

teardown()
{
	volume_detach "$W"
	scene_detach "$W"
}

# owned TRUTH JSON STATE: "INODE BYTES PATH" of the blocks in that state that files
# and directories have, by debugfs.
owned()
{
	local truth=$1 bs

	bs=$(dumpe2fs -h "$truth" 2>/dev/null | sed -n 's/^Block size: *//p')
	claims "$2" "$3" | awk -v bs="$bs" '{
		for (at = $1; at < $1 + $2; at = next_at) {
			next_at = (int(at / bs) + 1) * bs
			if (next_at > $1 + $2) next_at = $1 + $2
			print int(at / bs), next_at - at } }' |
		sort -k1,1 >"$W/blocks"
	cut -d' ' -f1 "$W/blocks" | uniq | xargs -r -n 1000 echo icheck >"$W/todo"
	debugfs -f "$W/todo" "$truth" 2>/dev/null |
		awk '/^[0-9]+\t[0-9]+$/ { print $1, $2 }' |
		sort -k1,1 | join "$W/blocks" - |
		awk '$3 > 8 || $3 == 2 { n[$3] += $2 } END { for (i in n) print i, n[i] }' |
		sort -k1,1 >"$W/inodes"
	cut -d' ' -f1 "$W/inodes" | xargs -r -n 1000 echo ncheck >"$W/todo"
	debugfs -f "$W/todo" "$truth" 2>/dev/null |
		awk '/^[0-9]+\t\// { print $1, $2 }' | sort -u -k1,1 |
		join "$W/inodes" - | sort
}

# told JSON STATE: the same as losses tells it.
told()
{
	jq -r --arg s "$2" '[.losses[] | select(.state == $s and .inode and
		(.kind | IN("data", "unwritten", "directory", "extents", "xattr")))] |
		group_by(.inode)[] | "\(.[0].inode) \(map(.bytes) | add) \(.[0].path)"' \
		"$1" | sort
}

# check_truth NAME TRUTH RESCUE STATE: all of it, for one disk.
check_truth()
{
	run -"$5" client "$RESCUEFS" losses "${SITE[@]}" --json "$1"
	echo "$output" >"$W/losses.json"
	owned "$2" "$3.json" "$4" >"$W/want"
	told "$W/losses.json" "$4" | diff "$W/want" -
	# No byte of it is in two places or in none.
	[ "$(jq --arg s "$4" '[.losses[] | select(.state == $s) | .bytes] | add // 0' \
		"$W/losses.json")" -eq "$(jq --arg s "$4" '.totals[$s]' "$3.json")" ]
	# In words the same.
	run client "$RESCUEFS" losses "${SITE[@]}" "$1"
	while read -r inode bytes path; do
		[[ $output = *"$bytes "*"$inode "*"$path"* ]]
	done < <(jq -r '.losses[] | select(.inode and .state == "'"$4"'") |
		"\(.inode) \(.bytes) \(.path)"' "$W/losses.json")
	cmp <(echo "$output") "$3.losses"
}

@test "on the scene: file by file what debugfs says, stale and then lost" {
	scene_attach "$W"
	# Healed, there is little stale behind the lost part of an L2 table.
	rescue_mount "$W" --no-heal
	SITE=(--damaged "$BM" --backup "$BACKUP" --state "$STATE" --no-heal)
	client cat "$MNT/instances/april-ci/disk" "$MNT/instances/$ESSEX/disk" \
		>/dev/null
	check_truth april-ci/disk "$TRUTH/april-ci/disk.raw" \
		"$MNT/instances/april-ci/rescue/disk" stale 1
	[ "$(wc -l <"$W/want")" -ge 8 ]
	check_truth "$ESSEX/disk" "$TRUTH/$ESSEX/disk.raw" \
		"$MNT/instances/$ESSEX/rescue/disk" stale 1
	[ "$(wc -l <"$W/want")" -ge 10 ]
	run ! grep refresh "$MNT/instances/april-ci/rescue/disk.losses"
	# Nothing is lost where nothing is bad.
	run -0 client "$RESCUEFS" losses "${SITE[@]}" april-ci/disk.config
	[[ $output = *"Lost:   nothing"*"Stale:  nothing"* ]]
	rescue_umount "$W"

	rm -rf "$STATE"
	MNT=$W/rescue
	client "$RESCUEFS" mount --damaged "$BM" --state "$STATE" "$MNT" 3>&- 4>&-
	SITE=(--damaged "$BM" --state "$STATE")
	client cat "$MNT/instances/april-ci/disk" >/dev/null 2>&1 || true
	client dd if="$MNT/instances/april-ci/disk" of=/dev/null bs=64k \
		conv=noerror 2>/dev/null || true
	check_truth april-ci/disk "$TRUTH/april-ci/disk.raw" \
		"$MNT/instances/april-ci/rescue/disk" lost 1
	[ "$(wc -l <"$W/want")" -ge 8 ]
	grep -q "asked for anew.*rescuefs refresh april-ci/disk$" \
		"$MNT/instances/april-ci/rescue/disk.losses"
}

# hit KIND PATH STATE: bytes of it in the answer.
hit()
{
	jq -r --arg k "$1" --arg p "$2" --arg s "$3" '[.losses[] |
		select(.kind == $k and (.path // "-") == $p and .state == $s) |
		.bytes] | add // 0' "$W/losses.json"
}

@test "directory, inode, extents, attributes, journal: each is told, with its age" {
	local h=$V/host.img

	volume_attach "$W" "$V" <<-EOT
	eio $(at_block "$h" /new) 512
	eio $(at_block "$h" /many 1) 1024
	eio $(at_inode "$h" /kept/3) 256
	eio $(at_extents "$h" /frag) 4096
	eio $(at_xattr "$h" /kept/1) 512
	eio $(at_block "$h" "<8>" 3) 4096
	eio $(at_block "$h" /changed/5 2) 1536
	EOT
	SITE=("$W/site.conf")
	volume_mount "$W"
	client cat "$IMAGE" >/dev/null
	run -1 client "$RESCUEFS" losses "${SITE[@]}" --json "$VOL"
	echo "$output" >"$W/losses.json"
	[ "$(hit directory /many stale)" -eq 1024 ]
	[ "$(hit data /changed/5 stale)" -eq 1536 ]
	[ "$(hit journal '<journal>' stale)" -eq 4096 ]
	# The block of /new is of a time when it held nothing, and that of /frag's
	# extents too: neither is what its checksum says.
	[ "$(jq '[.losses[] | select(.kind == "directory" and .bytes == 512 and
		.state == "stale")] | length' "$W/losses.json")" -eq 1 ]
	[ "$(hit extents /frag stale)" -eq 4096 ]
	[ "$(jq '[.losses[] | select(.state == "checksum")] | length' \
		"$W/losses.json")" -ge 2 ]
	[ "$(jq '[.losses[] | select(.kind == "inode" and .state == "stale")] |
		length' "$W/losses.json")" -ge 1 ]
	jq -e '.losses | all(.state != "stale" or (.source == "backup" and
		.as_of == "2013-05-10T03:00:00Z"))' "$W/losses.json"
	jq -e '.matters and (.alarms | length == 1) and .alarms[0].dirty' \
		"$W/losses.json"
	run client "$RESCUEFS" losses "${SITE[@]}" "$VOL"
	[[ $output = *"ALARM: the journal of ext4 \"data\" waits"* ]]
	[[ $output = *"stale "*"backup 2013-05-10T03:00:00Z  /changed/5"* ]]

	# The advice, word for word: then nothing of the journal is replayed.
	client debugfs -w -R 'feature -needs_recovery -has_journal' "$IMAGE"
	run client e2fsck -fy "$IMAGE"
	[ "$status" -le 1 ]
	[[ $output != *"recovering journal"* ]]
	client tune2fs -j "$IMAGE"
	client e2fsck -fn "$IMAGE"
	# What was written over is not forgotten.
	[ "$("$RESCUEFS" losses "${SITE[@]}" --json "$VOL" |
		jq .overwritten.stale)" -gt 0 ]
}

@test "free space and a spare superblock are harmless: status 0" {
	local spare free h=$V/host.img

	spare=$(dumpe2fs "$h" 2>/dev/null |
		sed -n 's/.*Backup superblock at \([0-9]*\).*/\1/p' | head -1)
	[ -z "$spare" ] || spare="eio $((spare * 4096)) 1024"
	free=$(ask "$h" "ffb 1 9000" | awk '{ print $NF * 4096 }')
	volume_attach "$W" "$V" <<-EOT
	$spare
	eio $free 4096
	EOT
	volume_mount "$W"
	client cat "$IMAGE" >/dev/null
	run -0 client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	[[ $output = *"Harmless, as nothing is there:"*"free"*"4096"* ]]
	[[ $output != *"What is hit:"* && $output != *ALARM* ]]
}

touches()
{
	disk_touches "$W/disk" 0 $((64 << 20)) | awk '{ n += $1 } END { print n }'
}

@test "rescue/disk.losses and --quiet read nothing; losses reads tables, once" {
	local before

	volume_attach "$W" "$V" <<<"eio $(at_block "$V/host.img" /kept/1 2) 512"
	volume_mount "$W"
	client head -c 4096 "$IMAGE" >/dev/null
	before=$(touches)
	client cat "$MNT/volumes/rescue/$VOL.losses" >"$W/text"
	grep -q "Not read yet: tables that this answer needs" "$W/text"
	run -0 client "$RESCUEFS" losses --quiet "$W/site.conf" "$VOL"
	cmp <(echo "$output") "$W/text"
	[ "$(touches)" -eq "$before" ]
	# Tables only: the bad sector is in a file's contents.
	run -0 client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	[[ $output = *"Not read yet: "*"fetch"* ]]
	[[ $output != *"tables that this answer needs"* ]]
	[ "$(touches)" -gt "$before" ]
	[ "$(touches)" -lt $((before + (6 << 20) / 512)) ]
	before=$(touches)
	run -0 client "$RESCUEFS" losses --json "$W/site.conf" "$VOL"
	[ "$(touches)" -eq "$before" ]
	# Once the file is read it is told; without the mount the same.
	client cat "$IMAGE" >/dev/null
	run -1 client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	[[ $output = *"/kept/1"* ]]
	echo "$output" >"$W/beside"
	rescue_umount "$W"
	run -1 client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	diff "$W/beside" <(echo "$output")
}

@test "what is not ext is told in bytes, a partitioned disk by its partitions" {
	local d=$W/v

	mkdir -p "$d/backup"
	truncate -s 8M "$d/host.img" "$d/fs.img"
	printf '%s\n' 2048,4096,S 8192,8192,L | sfdisk -q "$d/host.img"
	truncate -s 2M "$d/swap"
	mkswap -q "$d/swap" 2>/dev/null
	truncate -s 4M "$d/fs.img"
	mkdir "$d/tree"
	seeded_bytes file 50000 >"$d/tree/file"
	mkfs.ext4 -q -O ^has_journal -d "$d/tree" "$d/fs.img"
	dd if="$d/swap" of="$d/host.img" bs=512 seek=2048 conv=notrunc status=none
	dd if="$d/fs.img" of="$d/host.img" bs=512 seek=8192 conv=notrunc status=none
	cp "$d/host.img" "$d/backup/$VOL.img"
	touch -d 2013-05-10T03:00:00Z "$d/backup/$VOL.img"
	volume_attach "$W" "$d" <<-EOT
	eio $((2048 * 512 + 65536)) 1024
	eio $((8192 * 512 + $(ask "$d/fs.img" "bmap /file 1") * 1024)) 512
	EOT
	volume_mount "$W"
	client cat "$IMAGE" >/dev/null
	run -1 client "$RESCUEFS" losses --json "$W/site.conf" "$VOL"
	echo "$output" >"$W/losses.json"
	jq -e '[.volumes[] | [.partition, .type, .ext]] ==
		[[1, "swap", false], [2, "ext4", true]]' "$W/losses.json"
	[ "$(hit data /file stale)" -eq 512 ]
	[ "$(hit other - stale)" -eq 1024 ]
	run client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	[[ $output = *"swap on partition 1, 2.1 MB: is not ext2, ext3 or ext4"* ]]
}

@test "wrong words" {
	run -2 client "$RESCUEFS" losses --damaged "$V"
	[[ $output = *"the disk is missing"* ]]
	run -2 client "$RESCUEFS" losses --damaged "$V" --nonsense
	[[ $output = *"--help lists them"* ]]
	run -0 client "$RESCUEFS" losses --help
	[[ $output = "usage: rescuefs losses"* ]]
}

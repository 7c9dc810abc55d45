#!/usr/bin/env bats
# rescuefs advise: its figures against e2fsck and debugfs on the truth.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/volume

setup_file()
{
	scene_setup_file sfdisk setfattr
}

teardown_file()
{
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	export TMPDIR=$W/tmp
	mkdir -p "$TMPDIR"
}

teardown()
{
	if [[ -d $W/vol ]]; then
		volume_detach "$W/vol"
	fi
	rescue_umount "$W"
	end_pid "$W/server.pid"
}

advise()
{
	client "$RESCUEFS" advise --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$@"
}

# candidate NAME FILTER: of the JSON in $output.
candidate()
{
	jq -r --arg n "$1" ".candidates[] | select(.name == \$n) | $2" \
		<<<"$output"
}

nothing_is_left()
{
	[ -z "$(ls -A "$TMPDIR")" ]
	! grep -q "$TMPDIR" /proc/self/mounts
}

@test "data blocks alone are hit: the merged disk, with the files to look at" {
	local d=april-ci/disk

	# Read all of it, so that what is lost is known.
	client "$RESCUEFS" compare --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$d" >/dev/null || [ $? -eq 1 ]
	run -0 --separate-stderr advise --json "$d"
	[ "$(jq -r .recommend <<<"$output")" = merged ]
	[ "$(jq .ext <<<"$output")" = true ]
	[ "$(candidate merged .stale)" -eq "$(scene_expect data |
		awk '$1 == "april-ci/disk" { n += $3 } END { print n }')" ]
	[ "$(candidate merged .lost)" -eq 0 ]
	[ "$(candidate merged .files_hit)" -eq "$(scene_expect data |
		awk '$1 == "april-ci/disk" { print $5 }' | sort -u | wc -l)" ]
	[ "$(candidate merged .e2fsck.final)" -eq 0 ]
	# Withheld, the same bytes are lost and no table with them.
	[ "$(candidate "merged, fill = none" .lost)" -eq \
		"$(candidate merged .stale)" ]
	[ "$(candidate "merged, fill = none" .e2fsck.final)" -eq 0 ]
	jq -e '.commands |
		any(test("^rescuefs losses --damaged .* april-ci/disk$"))' \
		<<<"$output"
	nothing_is_left
}

@test "what e2fsck does to the backup is what it does to yesterday's disk" {
	local d=april-ci/disk fixed=0

	run -0 --separate-stderr advise --json "$d"
	cp --sparse=always "$YESTERDAY/$d.raw" "$W/raw"
	fixed=$(e2fsck -fy "$W/raw" 2>&1 | grep -o '? yes' | wc -l) || true
	[ "$(candidate backup .e2fsck.fixed)" -eq "$fixed" ]
	e2fsck -fn "$W/raw"
	[ "$(candidate backup .e2fsck.final)" -eq 0 ]
	# /srv/changed is 8 files, /srv/new 3 and /etc/motd one; late.txt is in
	# the journal only.
	[ "$(candidate backup .given_up)" -ge 12 ]
	[ "$(candidate backup .given_up)" -le 14 ]
}

@test "text has a reason and commands" {
	run -0 --separate-stderr advise april-ci/disk
	[[ $output = *"Recommended: merged, as "* ]]
	[[ $output = *"e2fsck -fy MOUNTPOINT/instances/april-ci/disk"* ]]
	# It runs as it is printed.
	grep -E '^rescuefs (advise|losses) ' <<<"$output" | tail -n 1 \
		>"$BATS_TEST_TMPDIR/command"
	run env PATH="$(dirname "$RESCUEFS"):$PATH" \
		bash "$BATS_TEST_TMPDIR/command"
	[[ $output = "april-ci/disk"* ]]
	nothing_is_left
}

@test "an image with a lost table: figures for both sides, and one advice" {
	client "$RESCUEFS" compare --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$ESSEX/disk" >/dev/null ||
		[ $? -eq 1 ]
	run --separate-stderr advise --json "$ESSEX/disk"
	[ "$status" -le 1 ]
	[ "$(candidate merged .e2fsck.final)" -eq 0 ]
	[ "$(candidate backup .given_up)" -gt 0 ]
	[ "$(jq -r .recommend <<<"$output")" != null ]
	nothing_is_left
}

@test "beside a mount, and without a trace in its disks" {
	local image

	rescue_mount "$W"
	image=$MNT/instances/april-ci/disk
	printf x | dd of="$image" bs=1 seek=150000000 conv=notrunc status=none
	digest_tree "$BACKUP" >"$W/before"
	md5sum "$image" >"$W/image"
	run --separate-stderr client "$RESCUEFS" advise --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --json april-ci/disk
	[ "$status" -eq 0 ]
	[ "$(jq -r .recommend <<<"$output")" = merged ]
	[ "$(getfattr --only-values -n user.rescuefs.local "$image")" -eq 1 ]
	md5sum -c "$W/image"
	digest_tree "$BACKUP" | diff "$W/before" -
	nothing_is_left
}

@test "no advice where e2fsck could not write" {
	mkdir "$BATS_TEST_TMPDIR/full"
	mount -t tmpfs -o size=64k none "$BATS_TEST_TMPDIR/full"
	TMPDIR=$BATS_TEST_TMPDIR/full run advise april-ci/disk
	umount "$BATS_TEST_TMPDIR/full"
	[ "$status" -ne 0 ]
	[[ $output = *"no room"*"TMPDIR names another directory"* ]]
	[[ $output != *"Recommended: merged"* ]]
}

@test "a throw-away disk does not go to a source" {
	digest_tree "$BACKUP" >"$W/before"
	TMPDIR=$BACKUP run -2 advise april-ci/disk
	[[ $output = *TMPDIR* ]]
	digest_tree "$BACKUP" | diff "$W/before" -
}

# end_midway SIGNAL: starts it and ends it while its throw-away disk is mounted;
# fails if it was too fast for that.
end_midway()
{
	local pid

	"$RESCUEFS" advise --damaged "$BM" --backup "$BACKUP" \
		--state "$W/state" april-ci/disk >/dev/null 3>&- 4>&- &
	pid=$!
	until grep -q "$TMPDIR" /proc/self/mounts; do
		! is_gone "$pid" || return
	done
	kill "-$1" "$pid"
	wait_until 60 is_gone "$pid"
}

# One that has just ended by itself has nothing mounted.
kill_midway()
{
	end_midway KILL && grep -q "$TMPDIR" /proc/self/mounts
}

# sometime COMMAND...: one of twenty tries succeeds.
sometime()
{
	local n

	for n in {1..20}; do
		"$@" && return
	done
	die "none of $n tries"
}

@test "a signal in the middle leaves nothing behind" {
	sometime end_midway TERM
	nothing_is_left
}

@test "what a kill -9 leaves is taken away by the next, and nothing else" {
	sometime kill_midway
	# One that another process has is not touched, nor what only looks like it.
	mkdir -m 700 "$TMPDIR/rescuefs-scratch-inuse1"
	mkdir -m 755 "$TMPDIR/rescuefs-scratch-other1"
	flock "$TMPDIR/rescuefs-scratch-inuse1" \
		timeout 100 "$RESCUEFS" advise --damaged "$BM" \
		--backup "$BACKUP" --state "$W/state" april-ci/disk >/dev/null
	rmdir "$TMPDIR/rescuefs-scratch-inuse1" "$TMPDIR/rescuefs-scratch-other1"
	nothing_is_left
}

# The sums of rescuefs losses as a candidate has them.
sums()
{
	jq -c '.sums | [(.lost | .data + .tables + .unknown), .lost.tables,
		(.stale | .data + .tables + .unknown), .stale.tables]' "$1"
}

@test "older blocks in files alone: as fill = data would have them" {
	local v=$W/v

	mkdir -p "$v" "$W/vol"
	volume_make "$v"
	{
		echo "eio $(at_block "$v/host.img" /changed/5 2) 1536"
		echo "eio $(at_block "$v/host.img" /many 1) 512"
		echo "eio $(at_inode "$v/host.img" /kept/3 |
			awk '{ print int($1 / 512) * 512 }') 512"
	} >"$v/faults"
	volume_attach "$W/vol" "$v" <"$v/faults"
	# All of it is read, under either rule.
	client "$RESCUEFS" compare --no-files "$W/vol/site.conf" "$VOL" \
		>/dev/null || [ $? -eq 1 ]
	client "$RESCUEFS" compare --no-files --fill data --state "$W/other" \
		"$W/vol/site.conf" "$VOL" >/dev/null || [ $? -eq 1 ]
	run --separate-stderr client "$RESCUEFS" advise --json \
		"$W/vol/site.conf" "$VOL"
	[ "$status" -le 1 ]
	client "$RESCUEFS" losses --json --fill data --state "$W/other" \
		"$W/vol/site.conf" "$VOL" >"$W/losses" || [ $? -eq 1 ]
	[ "$(jq -c '.candidates[] | select(.name == "merged, fill = data") |
		[.lost, .lost_tables, .stale, .stale_tables]' <<<"$output")" = \
		"$(sums "$W/losses")" ]
	[ "$(candidate "merged, fill = data" .stale)" -eq 1536 ]
	[ "$(candidate "merged, fill = data" .stale_tables)" -eq 0 ]
	[ "$(candidate "merged, fill = data" .lost_tables)" -ge 1024 ]
	[ "$(candidate "merged, fill = none" .stale)" -eq 0 ]
	[ "$(candidate merged .stale_tables)" -ge 1024 ]
	volume_detach "$W/vol"
	nothing_is_left
}

# plain_site FILE: it is a volume of a damaged host, and of its backup the day before.
plain_site()
{
	mkdir -p "$W/vg" "$W/lv"
	cp --sparse=always "$1" "$W/vg/$VOL"
	cp --sparse=always "$1" "$W/lv/$VOL"
	touch -d 2013-05-10T03:00:00Z "$W/lv/$VOL"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm]
	kind = damaged
	volumes = $W/vg
	[source lv]
	kind = backup
	host = bm
	volumes = $W/lv
	EOT
}

@test "a disk with partitions: e2fsck is run on each filesystem in its place" {
	local n fixed=0

	truncate -s 40M "$W/raw"
	printf '%s\n' 'label: gpt' 'start=2048, size=30720' \
		'start=34816, size=30720' | sfdisk -q "$W/raw"
	for n in 2048 34816; do
		mkfs.ext4 -q -b 1024 -E "offset=$((n * 512))" "$W/raw" 15360
	done
	# Something to mend in the second one.
	debugfs -w -R 'set_super_value free_blocks_count 17' \
		"$W/raw?offset=$((34816 * 512))" 2>/dev/null
	plain_site "$W/raw"
	run -0 --separate-stderr client "$RESCUEFS" advise --json \
		"$W/site.conf" "$VOL"
	for n in 2048 34816; do
		fixed=$((fixed + $(e2fsck -fy "$W/raw?offset=$((n * 512))" 2>&1 |
			grep -o '? yes' | wc -l)))
	done
	[ "$fixed" -gt 0 ]
	for n in merged lv; do
		[ "$(candidate "$n" .e2fsck.fixed)" -eq "$fixed" ]
		[ "$(candidate "$n" .e2fsck.first)" -eq 1 ]
		[ "$(candidate "$n" .e2fsck.final)" -eq 0 ]
	done
	[ "$(jq -r .recommend <<<"$output")" = merged ]
	nothing_is_left
}

@test "files that lost their directory: as many as e2fsck puts into lost+found" {
	local i found

	mkdir -p "$W/tree/dir"
	for i in {1..7}; do echo "$i" >"$W/tree/dir/$i"; done
	truncate -s 16M "$W/raw"
	mkfs.ext4 -q -d "$W/tree" "$W/raw"
	debugfs -w -R "clri /dir" "$W/raw" 2>/dev/null
	cp --sparse=always "$W/raw" "$W/mended"
	plain_site "$W/raw"
	run --separate-stderr client "$RESCUEFS" advise --json "$W/site.conf" \
		"$VOL"
	e2fsck -fy "$W/mended" >/dev/null || true
	found=$(debugfs -R "ls /lost+found" "$W/mended" 2>/dev/null |
		grep -o '#[0-9]*' | wc -l)
	[ "$found" -eq 7 ]
	[ "$(candidate merged .e2fsck.lost_found)" -eq "$found" ]
	nothing_is_left
}

@test "what is no ext filesystem gets the answer by blocks, and says so" {
	seeded_bytes noext $((4 << 20)) >"$W/raw"
	plain_site "$W/raw"
	run -0 --separate-stderr client "$RESCUEFS" advise --json \
		"$W/site.conf" "$VOL"
	jq -e '(.ext | not) and all(.candidates[]; .e2fsck == null)' \
		<<<"$output"
	[ "$(jq -r .recommend <<<"$output")" = merged ]
	jq -e '.commands | all(test("e2fsck") | not)' <<<"$output"
	nothing_is_left
}

# live_site DIR: the volume of DIR with a live copy, newer than the host's, that a
# server of ours gives, failing as the lines on stdin say.
live_site()
{
	cat >"$W/live.faults"
	cp --sparse=always "$1/host.img" "$W/live.img"
	setsid nbdkit -r -P "$W/server.pid" -U "$W/socket" \
		"$RESCUEFS_BUILD/tests/faults/faults.so" "file=$W/live.img" \
		"faults=$W/live.faults" "counts=$W/live.counts" 3>&- 4>&-
	cat >>"$W/vol/site.conf" <<-EOT
	[source live]
	kind = live
	host = bm0002
	nbd = nbd+unix:///$VOL?socket=$W/socket
	EOT
}

@test "a live copy: what it cannot give is counted, all of it that is used" {
	local v=$W/v a b n

	mkdir -p "$v" "$W/vol"
	volume_make "$v"
	echo "eio $(at_inode "$v/host.img" /kept/3 |
		awk '{ print int($1 / 512) * 512 }') 512" >"$v/faults"
	volume_attach "$W/vol" "$v" <"$v/faults"
	# Two files' contents that e2fsck never asks for, and free space.
	a=$(at_block "$v/host.img" /kept/5 7) b=$(at_block "$v/host.img" /new/2)
	n=$(dumpe2fs "$v/host.img" 2>/dev/null |
		sed -n 's/^ *Free blocks: .*[ -]\([0-9][0-9]*\)$/\1/p' | tail -1)
	live_site "$v" <<-EOT
	eio $a 512
	eio $((b + 1024)) 1024
	eio $((n * 4096)) 4096
	EOT
	run --separate-stderr client "$RESCUEFS" advise --json \
		"$W/vol/site.conf" "$VOL"
	[ "$status" -le 1 ]
	[ "$(candidate live '[.lost, .lost_tables, .files_hit, .unread]' |
		jq -c .)" = '[1536,0,2,0]' ]
	[ "$(candidate live .e2fsck.final)" -eq 0 ]
	[ "$(candidate live .given_up)" -eq 0 ]
	[ "$(candidate backup '[.lost, .unread]' | jq -c .)" = '[0,0]' ]
	# Nobody needs to know what was in free space.
	[ "$(od -An -tu4 -j $((n * 32)) -N 4 "$W/live.counts" | tr -d ' ')" -eq 0 ]
	run --separate-stderr client "$RESCUEFS" advise --json --quick \
		"$W/vol/site.conf" "$VOL"
	[ "$(candidate live .lost)" -eq 0 ]
	[ "$(candidate live .unread)" -gt 1000000 ]
	run -1 --separate-stderr client "$RESCUEFS" compare --json \
		"$W/vol/site.conf" "$VOL" live "$v/host.img"
	jq -r '.extents[] | "\(.offset) \(.length) \(.state)"' \
		<<<"$output" | sort -n >"$W/got"
	printf '%s unreadable in A\n' "$a 512" "$((b + 1024)) 1024" \
		"$((n * 4096)) 4096" | sort -n | diff - "$W/got"
	volume_detach "$W/vol"
	nothing_is_left
}

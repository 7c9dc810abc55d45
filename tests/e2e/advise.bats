#!/usr/bin/env bats
# rescuefs advise: its figures against e2fsck and debugfs on the truth.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	need_scene
	scene_attach "$BATS_FILE_TMPDIR/bm"
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
	rescue_umount "$W"
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
	jq -e '.commands | any(test("^rescuefs losses april-ci/disk$"))' \
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

@test "a throw-away disk does not go to a source" {
	digest_tree "$BACKUP" >"$W/before"
	TMPDIR=$BACKUP run -2 advise april-ci/disk
	[[ $output = *TMPDIR* ]]
	digest_tree "$BACKUP" | diff "$W/before" -
}

# Starts it and ends it by a signal while its throw-away disk is mounted; fails
# if it was too fast for that.
interrupt_once()
{
	local pid

	"$RESCUEFS" advise --damaged "$BM" --backup "$BACKUP" \
		--state "$W/state" april-ci/disk >/dev/null 3>&- 4>&- &
	pid=$!
	until grep -q "$TMPDIR" /proc/self/mounts; do
		! is_gone "$pid" || return
	done
	kill -TERM "$pid"
	wait_until 60 is_gone "$pid"
}

@test "a signal in the middle leaves nothing behind" {
	local n=0

	until interrupt_once; do
		n=$((n + 1))
		((n < 20))
	done
	nothing_is_left
}

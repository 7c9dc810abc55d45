#!/usr/bin/env bats
# Random work on a damaged disk, which is served past the page cache, and on one
# that is not, held against plain copies: a minute here, and on demand
#
#   RESCUEFS_EXERCISE_SECONDS=3600 RESCUEFS_TEST_SECONDS=3900 \
#       tests/run --crash exercise
bats_require_minimum_version 1.5.0

load ../e2e/lib/common
load ../e2e/lib/nova
load ../e2e/lib/disk
load lib/host

setup_file()
{
	need_disk mkfs.ext4 python3
	host_make "$BATS_FILE_TMPDIR"
	digest_tree "$BACKUP" >"$HOST/digest"
}

setup()
{
	W=$BATS_TEST_TMPDIR/w
	host_attach "$W"
}

teardown()
{
	host_detach "$W"
}

@test "random work, remounts and kills: two disks are what their copies are" {
	local seconds=${RESCUEFS_EXERCISE_SECONDS:-60}

	CLIENT_SECONDS=$((seconds + 60)) client python3 "$CRASH/exercise.py" \
		"$RESCUEFS_SEED" "$seconds" "$WORK=$HOST/work.raw" \
		"instances/kept/disk=$HOST/kept.raw" >&3
	diff "$HOST/digest" <(digest_tree "$BACKUP") # P1
}

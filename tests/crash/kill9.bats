#!/usr/bin/env bats
# P7, and with it P4 and P5: the daemon is killed at random moments, and what
# was fsynced is there, nothing else is but what was written since or before,
# and no sector is asked for again that was delivered or found bad.
bats_require_minimum_version 1.5.0

load ../e2e/lib/common
load ../e2e/lib/nova
load ../e2e/lib/disk
load lib/host

setup_file()
{
	need_disk mkfs.ext4 filefrag python3
	host_make "$BATS_FILE_TMPDIR"
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

@test "P7: killed 200 times at random moments, and what was fsynced is there" {
	CLIENT_SECONDS=280 client python3 "$CRASH/kill9.py" \
		"$RESCUEFS_SEED" "${RESCUEFS_KILLS:-200}" "$HOST/work.raw" \
		"$HOST/volume.raw" >&3
}

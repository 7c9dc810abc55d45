#!/usr/bin/env bats
# A mount ends when it is told to, whatever goes on inside.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

setup_file()
{
	small_setup_file
}

setup()
{
	work_setup
	start
}

# Mounts in the foreground; PID_FILE has the process that serves.
start()
{
	MNT=$W/rescue
	PID_FILE=$W/pid
	rescue_mount "$W" -f </dev/null >"$W/log" 2>&1 3>&- 4>&- &
	wait_until 60 test -f "$MNT/README"
	cut -d" " -f1 "$W/state/lock" >"$PID_FILE"
}

teardown()
{
	rescue_umount "$W"
}

ended()
{
	wait_until 60 is_gone "$(<"$PID_FILE")"
	! is_mounted "$MNT"
}

end_with()
{
	kill "-$1" "$(<"$PID_FILE")"
	ended
}

@test "a signal, with someone inside" {
	(
		cd "$MNT/instances"
		end_with TERM
	)
	start
	end_with HUP
}

@test "under load" {
	while cat "$MNT/instances/torn/disk"; do :; done >/dev/null 2>&1 3>&- &
	while find "$MNT/instances" "$MNT/hosts" -ls; do :; done >/dev/null 2>&1 3>&- &
	sleep 1
	end_with TERM
}

@test "umount, and what was written is there in the next mount" {
	printf hello | client dd of="$MNT/instances/kept/disk" conv=notrunc \
		status=none
	umount "$MNT"
	ended
	rescue_mount "$W"
	[ "$(client head -c5 "$MNT/instances/kept/disk")" = hello ]
}

@test "a mount whose process died is told, and how to end it" {
	kill -9 "$(<"$PID_FILE")"
	wait_until 60 is_gone "$(<"$PID_FILE")"
	run ! client "$RESCUEFS" mount --backup "$BACKUP" --state "$W/state" \
		"$MNT"
	[[ $output = *"$MNT"* ]]
	umount "$MNT"
	rescue_mount "$W"
	[ -f "$MNT/README" ]
}

@test "nothing of the mount's own keeps it busy when it has just begun" {
	end_with TERM
	for _ in {1..40}; do
		rescue_mount "$W"
		umount "$MNT"
		wait_until 60 flock -n "$W/state/lock" true
	done
}

@test "the kernel reads ahead in large pieces, wherever the mount is" {
	local device

	end_with TERM
	MNT="$W/a place \\ apart"
	mkdir -p "$MNT"
	client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" \
		--state "$W/state" "$MNT"
	device=$(stat -c '%Hd:%Ld' "$MNT")
	wait_until 60 grep -qx 1024 "/sys/class/bdi/$device/read_ahead_kb"
	umount "$MNT"
}

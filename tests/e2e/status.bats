#!/usr/bin/env bats
# Status: its figures are those of map and of the disk's own counters, beside a
# mount and without one; it reads nothing; and what cannot be used is said.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/mount
load lib/volume

setup_file()
{
	volume_setup_file
}

setup()
{
	work_setup
}

teardown()
{
	volume_detach "$W"
}

status()
{
	client "$RESCUEFS" status "$W/site.conf" "$@"
}

# source NAME FILTER: of one source of the JSON on stdin.
source_of()
{
	jq -r --arg name "$1" ".sources[] | select(.source == \$name) | $2"
}

touches()
{
	disk_touches "$W/disk" 0 $((64 << 20)) | awk '{ n += $1 } END { print n }'
}

read_all()
{
	client dd if="$IMAGE" of=/dev/null bs=64k conv=noerror status=none \
		2>/dev/null || true
}

# The states of the disk by map.
wanted()
{
	"$RESCUEFS" map --json "$W/site.conf" "$VOL" | jq -cS .totals
}

@test "its figures are those of map and of the store, beside a mount and without" {
	local before json

	# The backup is shorter: what is bad behind its end is lost.
	mkdir -p "$W/v/backup"
	ln -s "$V/host.img" "$W/v/host.img"
	head -c 60M "$V/backup/$VOL.img" >"$W/v/backup/$VOL.img"
	touch -d 2013-05-10T03:00:00Z "$W/v/backup/$VOL.img"
	volume_attach "$W" "$W/v" <<-EOT
	eio $((8 << 20)) 1536
	eio $((62 << 20)) 1024
	EOT
	volume_mount "$W"
	read_all
	before=$(touches)
	json=$(status --json "$VOL") && false
	[ "$(jq .mounted <<<"$json")" = true ]
	diff <(wanted) <(jq -cS '.disks[0].states' <<<"$json")
	[ "$(jq '.disks[0].states.stale' <<<"$json")" -eq 1536 ]
	[ "$(jq '.disks[0].states.lost' <<<"$json")" -eq 1024 ]
	[ "$(jq '.disks[0].size' <<<"$json")" -eq $((64 << 20)) ]
	[ "$(source_of bm0002 .rescued.bad <<<"$json")" -eq 2560 ]
	[ "$(source_of bm0002 .rescued.kept <<<"$json")" -eq $(((64 << 20) - 2560)) ]
	[ "$(source_of bm0002 .rescued.files <<<"$json")" -eq 1 ]
	[ "$(source_of bm0002 .reading.errors <<<"$json")" -ge 5 ]
	[ "$(source_of bm0002 .reading.reads <<<"$json")" -ge 64 ]
	[ "$(source_of bm0002 .reading.missed <<<"$json")" -eq 0 ]
	[ "$(source_of backup .rescued <<<"$json")" = null ]
	run -1 status
	[[ $output = *"$VOL: 67.1 MB"*"1.0 kB lost"*"1.5 kB stale"* ]]
	[[ $output = *"rescued (store = on): 67.1 MB of 1 file, 2.6 kB bad"* ]]
	# What is written counts as such, from then on.
	client dd if=/dev/zero of="$IMAGE" bs=4096 count=2 seek=3 conv=notrunc \
		status=none
	json=$(status --json) && false
	[ "$(jq '.disks[0].states.local' <<<"$json")" -eq 8192 ]
	[ "$(touches)" -eq "$before" ]

	rescue_umount "$W"
	json=$(status --json "$VOL") && false
	[ "$(jq .mounted <<<"$json")" = false ]
	[ "$(jq '.disks[0].states.local' <<<"$json")" -eq 8192 ]
	[ "$(jq '.disks[0].states.lost' <<<"$json")" -eq 1024 ]
	diff <(wanted) <(jq -cS '.disks[0].states' <<<"$json")
	[ "$(source_of bm0002 .rescued.bad <<<"$json")" -eq 2560 ]
	[ "$(source_of bm0002 .rescued.kept <<<"$json")" -eq $(((64 << 20) - 2560)) ]
	[ "$(source_of bm0002 .reading <<<"$json")" = null ]
	[ "$(touches)" -eq "$before" ]
}

# Each time another block, as the last one is not asked for again, and a longer
# pause: on a busy machine the first may be over before it is looked for.
is_aside()
{
	local text code=0

	AT=$((AT + 1))
	client dd if="$IMAGE" of=/dev/null bs=4096 skip="$AT" count=1 status=none
	json=$(status --json)
	[[ "$(source_of bm0002 .reading.aside_ms <<<"$json")" -gt 0 ]] || return
	text=$(status) || code=$?
	[[ $code -eq 3 && $text = *"SET ASIDE for "* ]]
}

@test "a source that hangs is set aside, and said to be" {
	local json AT=2047

	volume_attach "$W" "$V" <<<"hang $((8 << 20)) $((1 << 20))"
	volume_mount "$W"
	wait_until 60 is_aside
	[ "$(source_of bm0002 .reading.missed <<<"$json")" -ge 1 ]
	[ "$(source_of bm0002 .rescued.late <<<"$json")" -gt 0 ]
	: | disk_faults "$W/disk"
}

@test "a source that cannot be opened is named, with the reason" {
	volume_attach "$W" "$V" </dev/null
	cat >>"$W/site.conf" <<-EOT
	[source gone]
	kind = backup
	host = bm0002
	root = $W/nowhere
	EOT
	volume_mount "$W"
	run -3 status
	[[ $output = *"gone: backup of bm0002, $W/nowhere"*"NOT USED: "*"No such file"* ]]
	[ "$(jq -r '.sources[] | select(.source == "gone") | .open' \
		"$MNT/status.json")" = false ]
	rescue_umount "$W"
	run -3 status
	[[ $output = *"NOT USED: "* ]]
}

@test "what was rescued and no longer fits its digest is said, and not served" {
	local store

	volume_attach "$W" "$V" </dev/null
	volume_mount "$W"
	client head -c 1M "$IMAGE" >"$W/was"
	rescue_umount "$W"
	run -0 status
	store=$(find "$W/state/data" -name '*.store')
	[ -f "$store" ]
	printf 'spoilt' | dd of="$store" bs=1 seek=70000 conv=notrunc status=none
	volume_mount "$W"
	# Of the chunk the backup or the source stands in, and never what is spoilt.
	client head -c 1M "$IMAGE" >"$W/is" || true
	run ! grep -q spoilt "$W/is"
	run -3 status
	[[ $output = *"DAMAGED: 65.5 kB of what was rescued fail their digest"* ]]
	[ "$(source_of bm0002 .rescued.damaged <"$MNT/status.json")" -eq 65536 ]
	# The next mount knows it, and serves it no more than this one.
	rescue_umount "$W"
	run -3 status
	[[ $output = *"DAMAGED: 65.5 kB of what was rescued fail their digest"* ]]
	volume_mount "$W"
	client head -c 1M "$IMAGE" >"$W/is" || true
	run ! grep -q spoilt "$W/is"
}

@test "wrong words, and a state that is not there" {
	volume_attach "$W" "$V" </dev/null
	run -2 status
	[[ $output = *"there is no state in $W/state"* ]]
	[ ! -e "$W/state" ]
	run -2 status --nonsense
	run -2 status volume-99999999
	run -0 client "$RESCUEFS" status --help
	[[ $output = "usage: rescuefs status"* ]]
	volume_mount "$W"
	run -0 status "$VOL"
	[[ $output = *"$VOL: not read yet"* ]]
}

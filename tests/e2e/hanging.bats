#!/usr/bin/env bats
# P6: a disk that hangs for good, in its directories and tables as in its files,
# holds up no scan, no verb, no mount and no end of one.  A call that waits for
# it is never interrupted: all that is needed to fail these tests is one.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/small

setup_file()
{
	need_disk debugfs jq mkfs.ext4 qemu-img qemu-nbd || return
	export T=$BATS_FILE_TMPDIR/trees
	mkdir -p "$T"
	small_site "$T"
	mkdir -p "$BM/srv/here" "$BACKUP/srv/here" "$BM/var/volumes" \
		"$BM/var/foreign"
	for i in {1..20}; do
		echo new >"$BM/srv/here/$i"
		echo old >"$BACKUP/srv/here/$i"
		touch -d 2013-05-10T03:00:00Z "$BACKUP/srv/here/$i"
	done
	echo bm >"$BM/srv/alone"
	seeded_bytes volume $((1 << 20)) >"$BM/var/volumes/volume-00000007"
	seeded_bytes foreign $((8 << 20)) >"$T/foreign.raw"
	qemu-img convert -f raw -O vmdk "$T/foreign.raw" \
		"$BM/var/foreign/volume-00000008"
	mkfs.ext4 -q -b 4096 -d "$BM" "$T/host.img" 64M
	export BACKUP
}

# The host is mounted, and nothing else of it was ever looked at.
setup()
{
	W=$BATS_TEST_TMPDIR/w
	BM=$W/mnt/bm0002
	MNT=$W/rescue
	mkdir -p "$BM" "$MNT"
	disk_start "$W" "$T/host.img"
	client mount -t ext4 -o ro,norecovery "$DISK" "$BM"
	SITE=(--damaged "$BM,volumes=$BM/var/volumes,deadline=300ms"
		--backup "$BACKUP,taken=2013-05-10" --state "$W/state")
}

# A process that is stuck ends when the fault is lifted, and not before.
teardown()
{
	disk_faults "$W" </dev/null
	let_go "$MNT"
	wait_until 60 released
	disk_stop "$W"
}

released()
{
	! is_mounted "$BM" || umount "$BM" 2>/dev/null
}

hangs()
{
	disk_faults "$W" <<<"hang 0 $((64 << 20))"
}

mount_it()
{
	client "$RESCUEFS" mount "${SITE[@]}" "$MNT" 3>&- 4>&-
	PID=$(cut -d' ' -f1 "$W/state/lock")
}

ends()
{
	client umount "$MNT"
	wait_until 60 is_gone "$PID"
}

missed()
{
	client jq '.sources[] | select(.source == "bm0002") | .reading.missed' \
		"$MNT/status.json"
}

is_back()
{
	[[ $(client cat "$MNT/hosts/bm0002/srv/alone") = bm ]]
}

same()
{
	cmp <(client cat "$MNT/instances/$1/disk") "$BACKUP/$NOVA/$2/disk"
}

# verb VERB WORD...: it comes to an end, and not because it was used wrongly.
verb()
{
	run client "$RESCUEFS" "$1" "${SITE[@]}" "${@:2}"
	echo "$1: $status: $output"
	[[ $status -le 3 && $output != *"--help says more"* ]]
}

@test "a host that hangs from the start: scan, mount, its tree, its disks, the end" {
	hangs
	run --separate-stderr client "$RESCUEFS" scan "${SITE[@]}"
	[[ $status -le 3 && $output = *torn* && $output = *kept* ]]
	# shellcheck disable=SC2154 # bats sets it
	[[ $stderr = *"source bm0002: "*"timed out"* ]]
	mount_it
	[[ "$(client cat "$MNT/hosts/bm0002/etc/hostname")" = bm0002 ]]
	[[ "$(client ls "$MNT/hosts/bm0002/srv/here" | wc -l)" -eq 20 ]]
	client ls -lR "$MNT" >/dev/null
	same torn "$TORN"
	same kept "$KEPT"
	[ "$(missed)" -ge 1 ]
	ends
	# The state is its own again, and all of the host is there.
	disk_faults "$W" </dev/null
	mount_it
	wait_until 60 is_back
	ends
}

@test "a host that hangs under a mount: what is cached, what is not, the others" {
	local pids=()

	mount_it
	[[ "$(client cat "$MNT/hosts/bm0002/srv/here/7")" = new ]]
	hangs
	# A name that was never looked up, and a directory that was never listed.
	[[ "$(client cat "$MNT/hosts/bm0002/etc/hostname")" = bm0002 ]]
	client ls -l "$MNT/hosts/bm0002/dev" >/dev/null
	[ "$(missed)" -ge 1 ]
	# P4: what it gave before is its, or an error, and not the older one.
	run client cat "$MNT/hosts/bm0002/srv/here/7"
	[[ $output = new || $status -ne 0 ]]
	[[ $output != old ]]
	same torn "$TORN"
	same kept "$KEPT"
	run client cat "$MNT/hosts/bm0002/srv/alone"
	# The others end, whoever waits.
	for i in {1..20}; do
		client stat "$MNT/hosts/bm0002/var/$i" >/dev/null 2>&1 &
		pids+=($!)
	done
	same kept "$KEPT"
	wait "${pids[@]}" || true
	ends
}

# with_backup DEADLINE: the same with the sources' parts changed: the copy on the
# disk is the backup.
with_backup()
{
	SITE=(--damaged "$BACKUP,name=sick,host=bm0002"
		--backup "$BM,deadline=$1,taken=2013-05-10,name=bm0002,host=bm0002"
		--state "$W/state")
}

@test "a backup with a deadline that hangs from the start" {
	with_backup 300ms
	hangs
	run client "$RESCUEFS" scan "${SITE[@]}"
	[[ $status -le 3 && $output = *torn* && $output = *kept* ]]
	[[ $output = *"source bm0002: "*"timed out"* ]]
	mount_it
	[[ "$(client cat "$MNT/hosts/bm0002/etc/hostname")" = bm0002 ]]
	client ls -lR "$MNT" >/dev/null
	same torn "$TORN"
	same kept "$KEPT"
	[ "$(missed)" -ge 1 ]
	ends
}

@test "a backup with a deadline that hangs under a mount: its equals, its own files" {
	with_backup 3s
	mount_it
	[ "$(missed)" -eq 0 ]
	hangs
	# What is read is compared with the backup, which should hold the same.
	same torn "$TORN"
	[ "$(missed)" -ge 1 ]
	same kept "$KEPT"
	run client cat "$MNT/hosts/bm0002/srv/alone"
	[ "$status" -ne 0 ]
	verb status
	# It is tried again, and has lost nothing.
	disk_faults "$W" </dev/null
	wait_until 60 is_back
	ends
	with_backup 60s
	mount_it
	cmp <(client cat "$MNT/sources/bm0002/instances/torn/disk") \
		"$BACKUP/$NOVA/$TORN/disk"
	ends
}

@test "a backup with a deadline and a bad sector: its page is bad, and no more" {
	local off

	with_backup 60s
	off=$(debugfs -R "bmap /$NOVA/$TORN/disk 512" "$T/host.img" 2>/dev/null)
	disk_faults "$W" <<<"eio $((off * 4096 + 512)) 512"
	mount_it
	run client dd if="$MNT/sources/bm0002/instances/torn/disk" bs=4096 \
		skip=512 count=1 of=/dev/null status=none
	[ "$status" -ne 0 ]
	cmp <(client dd if="$MNT/sources/bm0002/instances/torn/disk" bs=4096 \
		conv=noerror,sync status=none 2>/dev/null | head -c 2M) \
		<(head -c 2M "$BACKUP/$NOVA/$TORN/disk")
	cmp <(client dd if="$MNT/sources/bm0002/instances/torn/disk" bs=4096 \
		skip=513 status=none) \
		<(tail -c +$((513 * 4096 + 1)) "$BACKUP/$NOVA/$TORN/disk")
	same torn "$TORN"
	ends
}

# A volume in a format of VMware's, on a backup.
with_foreign()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source old]
	kind = backup
	host = bm0002
	volumes = $BM/var/foreign
	deadline = 1s
	[disk volume-00000008]
	format = vmdk
	EOT
	SITE=("$W/site.conf")
}

# QEMU would wait for it for ever, and we for QEMU.
@test "a foreign image on a backup with a deadline hangs: no reader, no end waits" {
	local image=$MNT/volumes/volume-00000008

	with_foreign
	mount_it
	hangs
	run client dd if="$image" bs=64k count=1 of=/dev/null
	[ "$status" -eq 1 ]
	ends
	disk_faults "$W" </dev/null
	mount_it
	cmp <(client cat "$image") "$T/foreign.raw"
	ends
}

# fetch_hangs: a fetch of torn in the mount, whose order is gone, and whose first
# request for one block of the file will not be answered: one that no search for
# filesystems looks at.
fetch_hangs()
{
	local block pid

	block=$(debugfs -R "bmap /$NOVA/$TORN/disk 700" "$T/host.img" \
		2>/dev/null)
	disk_faults "$W" <<<"hang $((block * 4096)) 4096"
	"$RESCUEFS" fetch --patience 600 "${SITE[@]}" torn/disk \
		>/dev/null 3>&- 4>&- &
	pid=$!
	wait_until 60 was_asked $((block * 4096))
	kill -KILL "$pid"
	wait "$pid" || true
}

was_asked()
{
	[ "$(disk_touches "$W" "$1")" -gt 0 ]
}

# Both its patience and the deadline are longer than 'ends' allows.
@test "an end waits for no fetch that hangs" {
	SITE[1]=${SITE[1]/300ms/120s}
	mount_it
	client head -c 4096 "$MNT/instances/torn/disk" >/dev/null
	fetch_hangs
	ends
}

# What the fetch is asking for comes from the next source.
@test "no reader waits for what a fetch is asking for" {
	mount_it
	fetch_hangs
	same torn "$TORN"
	ends
}

@test "no verb waits for a host that hangs" {
	mount_it
	client head -c 4096 "$MNT/instances/torn/disk" >/dev/null
	ends
	# What was looked up is forgotten with the mount.
	client umount "$BM"
	client mount -t ext4 -o ro,norecovery "$DISK" "$BM"
	hangs
	verb map torn/disk
	verb status
	verb losses torn/disk
	verb compare torn/disk --with backup
	verb advise --no-fsck torn/disk
	verb report -o "$W/report.html"
	verb fetch --patience 1 torn/disk
	verb refresh torn/disk
	verb reset torn/disk
	verb scan
}

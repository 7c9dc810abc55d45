#!/usr/bin/env bats
# Disks that are images in a Ceph cluster, a real one: read by a qemu-nbd of the
# mount's own, which starts only where the site file names the image, and ends with
# the mount, also when the cluster does not answer any more.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small
load lib/ceph

M=$((1 << 20))
VOL=volume-00000143
ODD='odd,conf=x,user:x"}'

setup_file()
{
	need_small jq qemu-nbd python3
	! lacks_ceph || return 0
	export T=$BATS_FILE_TMPDIR
	{ seeded_bytes old $((5 * M)) && head -c $((3 * M)) /dev/zero; } >"$T/old"
	{ seeded_bytes new $((2 * M)) && tail -c $((6 * M)) "$T/old"; } >"$T/new"
	ceph_start "$T"
	ceph_call rbd import "$T/old" "volumes/$VOL"
	ceph_call rbd snap create "volumes/$VOL@2013-05-10"
	# What is newer is in the image, and not in its snapshot.
	qemu-img convert -n -O raw "$T/new" "rbd:volumes/$VOL:conf=$C/own.conf"
	ceph_call rbd import "$T/new" "volumes/$ODD"
	ceph_call rbd import "$T/new" "volumes/${TORN}_disk"
	ceph_call rbd namespace create volumes/apart
	ceph_call rbd import "$T/new" "volumes/apart/$VOL"
}

teardown_file()
{
	ceph_stop "$BATS_FILE_TMPDIR"
}

setup()
{
	need_ceph
	work_setup
	mkdir "$W/lv" "$W/bm"
	MNT=$W/rescue
}

teardown()
{
	[[ ! $(lacks_ceph) ]] || return 0
	ceph_signal CONT
	rescue_umount "$W"
}

# site IMAGE [KIND [LINE]]: the damaged host, a backup of the volume from
# yesterday, and an image of the cluster.
site()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	deadline = 5s
	[source bm]
	kind = damaged
	root = $W/bm
	[source lv]
	kind = backup
	host = bm
	volumes = $W/lv
	taken = 2012-12-31
	[source ceph]
	kind = ${2-live}
	host = bm
	rbd = $1
	ceph_conf = ${CONF-$C/client.conf}
	ceph_user = reader
	ceph_keyring = ${KEYRING-$C/reader.keyring}
	${3-}
	EOT
}

mount_site()
{
	mkdir -p "$MNT"
	rm -rf "$W/state"
	front_mount
}

no_servers()
{
	[[ -z $(servers) ]]
}

# piece FILE OFF
piece()
{
	client dd if="$1" bs=4096 skip=$(($2 / 4096)) count=1 status=none
}

@test "a live image: byte for byte, by a user who cannot write, and it ends with the mount" {
	local pid key

	run ! ceph_call rados -n client.reader --keyring "$C/reader.keyring" \
		-p volumes put rbd_data.x "$T/old"
	cp "$T/old" "$W/lv/$VOL"
	site "volumes/$VOL"
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/new"
	client cmp "$MNT/sources/ceph/volumes/$VOL" "$T/new"
	client cmp "$MNT/sources/lv/volumes/$VOL" "$T/old"
	pid=$(servers)
	[[ $pid =~ ^[0-9]+$ ]]
	# Its key is nowhere to be seen.
	key=$(sed -n 's/^.*key = //p' "$C/reader.keyring")
	[[ ${#key} -gt 20 ]]
	run ! grep -qF "$key" "/proc/$pid/cmdline" "/proc/$pid/environ"
	run ! grep -rqF "$key" "$W/state" "$W/log"
	rescue_umount "$W"
	wait_until 60 is_gone "$pid"
	"$RESCUEFS" scan --json "$W/site.conf" | jq -e '.volumes[0].copies[0] |
		.source == "ceph" and .size == 8388608 and .as_of == "now"'
	# What is written out means the same.
	"$RESCUEFS" scan --write "$W/again.conf" "$W/site.conf"
	diff <("$RESCUEFS" scan "$W/site.conf") <("$RESCUEFS" scan "$W/again.conf")
}

@test "a snapshot is a backup of its day, and a disk of nova's an instance's" {
	small_instance "$W/bm" "$TORN" torn raw
	run ! cmp "$W/bm/$NOVA/$TORN/disk" "$T/new"
	cp "$T/new" "$W/lv/$VOL"
	site "volumes/$VOL@2013-05-10" backup "
		[source vms]
		kind = live
		host = bm
		rbd = volumes/${TORN}_disk
		ceph_conf = $C/client.conf
		ceph_user = reader
		ceph_keyring = $C/reader.keyring"
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/old"
	client cmp "$MNT/sources/lv/volumes/$VOL" "$T/new"
	client cmp "$MNT/instances/torn/disk" "$T/new"
	"$RESCUEFS" scan --json "$W/site.conf" | jq -e '.volumes[0].copies[0] |
		.source == "ceph" and (.as_of | startswith("2013-05-10T00:00"))'
}

@test "a name is a name, whatever is in it, and a namespace is a part of it" {
	site "volumes/$ODD volumes/apart/$VOL" live "
		[export volumes/$ODD]
		disk = volume-00000007"
	mount_site
	client cmp "$MNT/volumes/volume-00000007" "$T/new"
	client cmp "$MNT/volumes/$VOL" "$T/new"
	[[ $(servers | wc -l) = 2 ]]
}

@test "a cluster that is not there: the mount comes up without it, and says so" {
	cp "$T/old" "$W/lv/$VOL"
	ceph_conf "$(free_port)" >"$W/gone.conf"
	CONF=$W/gone.conf site "volumes/$VOL"
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/old"
	told "does not open volumes/$VOL; is the cluster there"
	wait_until 60 no_servers
	rescue_umount "$W"
	CONF=$W/none site "volumes/$VOL"
	mount_site
	told "ceph_conf: $W/none: No such file"
	rescue_umount "$W"
	ceph_call ceph auth get client.admin -o "$W/other"
	KEYRING=$W/other site "volumes/$VOL"
	mount_site
	told "has no key of client.reader"
	[[ -z $(servers) ]]
}

@test "of several images one that is not there is told, and the others are read" {
	site "volumes/volume-00000001 volumes/$VOL"
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/new"
	run ! client dd if="$MNT/volumes/volume-00000001" of=/dev/null count=1
	"$RESCUEFS" scan "$W/site.conf" | grep "does not open volumes/volume-00000001"
}

# Somewhere else each time: what was chosen while it was away stays.
is_live_again()
{
	at=$((at + 16384))
	# Above, both are the same.
	((at < 2 * M)) || die "it does not come back"
	sleep 0.5
	cmp -s <(piece "$MNT/volumes/$VOL" "$at") <(piece "$T/new" "$at")
}

@test "a cluster that dies holds nothing up: the next source serves, and it comes back" {
	local pid

	cp "$T/old" "$W/lv/$VOL"
	site "volumes/$VOL" live "deadline = 500ms"
	mount_site
	# A busy machine may be late, too.
	at=0
	wait_until 60 is_live_again
	ceph_signal STOP
	cmp <(piece "$MNT/volumes/$VOL" $((7 * M / 4))) \
		<(piece "$T/old" $((7 * M / 4)))
	told "does not answer within 500 ms"
	ceph_signal CONT
	at=$((M / 2))
	wait_until 60 is_live_again
	# A program that waits for a cluster is ended all the same.
	pid=$(servers)
	ceph_signal STOP
	piece "$MNT/volumes/$VOL" $((15 * M / 8)) >/dev/null
	rescue_umount "$W"
	wait_until 60 is_gone "$pid"
	wait_until 60 is_gone "$MOUNT"
}

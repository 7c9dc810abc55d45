#!/usr/bin/env bats
# Volumes: devices and files beside the hosts' trees, found in a directory or by
# a pattern, merged by name, and matched to the instances that have them.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount

G=$((1 << 30))
M=$((1 << 20))
SIZE=$((30 * G))
VOL=volume-00000143
BIG=a3b1c5d7-0000-4000-8000-00000000f143
SMALL=b4c2d6e8-1111-4111-8111-00000000aa01
CI=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11

# What each copy has at each place, a MiB at a time.
PLACES="0 $((9 * G)) $((26 * G)) $((27 * G)) $((29 * G))"

# band WHO PLACE: a MiB of that copy's own.
band()
{
	seeded_bytes "${RESCUEFS_SEED:-7}-$1-$2" "$M"
}

# copy FILE SIZE WHO: a sparse volume with data at the places that it reaches.
copy()
{
	local at

	truncate -s "$2" "$1"
	for at in $PLACES; do
		((at >= $2)) || band "$3" "$at" |
			dd of="$1" bs=1M seek=$((at / M)) conv=notrunc \
				status=none iflag=fullblock
	done
}

setup_file()
{
	need_disk jq
	export T=$BATS_FILE_TMPDIR
	mkdir -p "$T/live" "$T/backup"
	copy "$T/damaged.img" "$SIZE" damaged
	# Made anew elsewhere, smaller, and written since.
	copy "$T/live/$VOL" $((28 * G)) live
	copy "$T/backup/$VOL.img" "$SIZE" backup
	touch -d 2013-05-10 "$T/backup/$VOL.img"
	cp --sparse=always "$T/backup/$VOL.img" "$T/yesterday.img"
}

setup()
{
	W=$BATS_TEST_TMPDIR/w
	mkdir -p "$W/vg"
}

teardown()
{
	rescue_umount "$W"
	disk_stop "$W/disk"
}

# The damaged volume as LVM shows it: a symlink in the group's directory.
attach()
{
	disk_start "$W/disk" "$T/damaged.img" "$@"
	ln -s "$DISK" "$W/vg/$VOL"
}

# host ROOT: an instance whose domain has the volume.
host()
{
	mkdir -p "$1/$NOVA/$CI" "$1/etc/libvirt/qemu"
	truncate -s 1M "$1/$NOVA/$CI/disk"
	nova_disk_info "$1" "$CI" disk=raw
	nova_domain "$1" instance-00000007 "$CI" april-ci m1.tiny 64 "$CI" disk
	sed -i "s|^    <interface|    <disk type='block' device='disk'>\\
      <source dev='/dev/disk/by-path/ip-10.0.1.9:3260-iscsi-iqn.2010-10.org.openstack:$VOL-lun-1'/>\\
      <target dev='vdb' bus='virtio'/>\\
      <serial>$BIG</serial>\\
    </disk>\\
&|" "$1/etc/libvirt/qemu/instance-00000007.xml"
}

# site: the three ages of the volume, the damaged one first.
site()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	volumes = $W/vg
	[source elsewhere]
	kind = live
	volumes = $T/live/volume-*
	[source backup]
	kind = backup
	host = bm0002
	volumes = $T/backup
	[disk $VOL]
	prefer = bm0002 elsewhere backup
	EOT
}

mount_site()
{
	MNT=$W/rescue
	mkdir -p "$MNT"
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
}

piece()
{
	client dd if="$1" bs=1M skip=$(($2 / M)) count=1 status=none
}

@test "a volume that fails after 26 GB merges with its backup and a live copy" {
	local at who

	echo "eio $((26 * G)) $((4 * G))" >"$W/faults"
	attach "$W/faults"
	site
	mount_site
	[[ $(stat -c %s "$MNT/volumes/$VOL") -eq $SIZE ]]
	for at in $PLACES; do
		who=damaged
		((at < 26 * G)) || who=live
		((at < 28 * G)) || who=backup
		cmp <(piece "$MNT/volumes/$VOL" "$at") <(band $who "$at")
	done
	claims "$MNT/volumes/rescue/$VOL.json" stale >"$W/stale"
	printf '%s\n' "$((26 * G)) $M elsewhere" "$((27 * G)) $M elsewhere" \
		"$((29 * G)) $M backup" | diff - "$W/stale"
	client ddrescuelog --show-status "$MNT/volumes/rescue/$VOL.map"
	# Each source alone, without the others' help.
	cmp <(piece "$MNT/sources/elsewhere/volumes/$VOL" 0) <(band live 0)
	run ! piece "$MNT/sources/bm0002/volumes/$VOL" $((27 * G))
	cmp "$T/backup/$VOL.img" "$T/yesterday.img"
}

@test "by age alone the live copy comes first, and the device before its backup" {
	attach
	site
	sed -i '/^\[disk/,$d' "$W/site.conf"
	"$RESCUEFS" scan "$W/site.conf" --json |
		jq -e --arg v "$VOL" '.volumes[] | select(.name == $v) |
			[.copies[].source] == ["elsewhere", "bm0002", "backup"]'
	run "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"$VOL"*"28G"*"raw by layout"* ]]
}

@test "a volume is its instance's by the serial in the domain's XML" {
	host "$W/bm0002"
	mkdir "$W/lv"
	truncate -s 1M "$W/lv/$VOL" "$W/lv/volume-$SMALL"
	"$RESCUEFS" scan --damaged "$W/bm0002" --volumes "$W/lv" --json \
		>"$W/json"
	jq -e --arg u "$BIG" --arg v "$VOL" '.instances[0].volumes[0] |
		.uuid == $u and .name == $v and .target == "vdb"' "$W/json"
	jq -e --arg u "$BIG" '.volumes[0] | .uuid == $u and
		.attached_to == "april-ci"' "$W/json"
	MNT=$W/rescue
	mkdir "$MNT"
	client "$RESCUEFS" mount --damaged "$W/bm0002" --volumes "$W/lv" \
		--state "$W/state" "$MNT" 3>&- 4>&-
	[[ $(readlink "$MNT/by-uuid/$BIG") == ../volumes/$VOL ]]
	[[ $(readlink "$MNT/by-uuid/$SMALL") == ../volumes/volume-$SMALL ]]
	# Verbs take the name and the uuid.
	echo written | client dd of="$MNT/volumes/$VOL" conv=notrunc status=none
	client "$RESCUEFS" reset --damaged "$W/bm0002" --volumes "$W/lv" \
		--state "$W/state" --yes "$BIG"
	cmp "$MNT/volumes/$VOL" "$W/lv/$VOL"
}

@test "what is no volume is passed over, and said where it looks like one" {
	mkdir "$W/lv"
	truncate -s 1M "$W/lv/$VOL" "$W/lv/root" "$W/lv/volume-0000014" \
		"$W/lv/_snapshot-$SMALL"
	mkfifo "$W/lv/volume-00000144"
	ln -s nowhere "$W/lv/volume-00000145"
	mkdir "$W/lv/volume-00000146"
	mkdir -p "$W/bm0002"
	client "$RESCUEFS" scan --damaged "$W/bm0002" --volumes "$W/lv" --json \
		>"$W/json"
	jq -e --arg v "$VOL" '[.volumes[].name] == [$v]' "$W/json"
	jq -e '[.notes[] | select(contains("neither a file nor"))] | length == 2' \
		"$W/json"
	jq -e '[.notes[] | select(contains("volume-00000145: No such"))] |
		length == 1' "$W/json"
}

@test "a compressed copy is named by its ending, and beside the plain one passed over" {
	mkdir "$W/lv"
	truncate -s 1M "$W/lv/$VOL"
	gzip -k "$W/lv/$VOL"
	mkdir -p "$W/bm0002"
	"$RESCUEFS" scan --damaged "$W/bm0002" --volumes "$W/lv/volume-*" \
		--json >"$W/json"
	jq -e --arg v "$VOL" '[.volumes[].name] == [$v] and
		(.volumes[0].copies | length == 1) and
		(.volumes[0].copies[0].path | endswith($v))' "$W/json"
	jq -e '.notes[0] | contains("are both")' "$W/json"
}

@test "volumes that cannot be looked into cost the source its volumes, no more" {
	host "$W/bm0002"
	run --separate-stderr "$RESCUEFS" scan --damaged "$W/bm0002" \
		--volumes "$W/none"
	[[ $status -eq 3 && $output == *april-ci* ]]
	# shellcheck disable=SC2154 # bats sets it
	[[ $stderr == *"volumes in $W/none: No such file"* ]]
	run --separate-stderr "$RESCUEFS" scan --volumes "$W/vg" \
		--damaged "$W/bm0002"
	[[ $status -eq 2 && $stderr == *"stands behind the source"* ]]
	mkdir "$W/rescue"
	run --separate-stderr client "$RESCUEFS" mount --damaged "$W/bm0002" \
		--volumes "$W" --state "$W/state" "$W/rescue"
	[[ $status -eq 2 && $stderr == *"lies in the source"* ]]
}

@test "the site file that scan writes has the volumes" {
	mkdir -p "$W/bm0002" "$W/lv"
	truncate -s 1M "$W/lv/$VOL"
	"$RESCUEFS" scan --damaged "$W/bm0002" --volumes "$W/lv" \
		--write "$W/site.conf"
	"$RESCUEFS" scan "$W/site.conf" --json |
		jq -e --arg v "$VOL" '.volumes[0].name == $v'
}

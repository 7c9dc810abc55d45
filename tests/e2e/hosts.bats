#!/usr/bin/env bats
# Several damaged hosts in one site, each on a failing disk of its own: what one
# holds heals the other where that is proved (base images), and nowhere else; one
# that hangs holds nothing of the other up; and an instance that a migration left
# on both is two.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
CI=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11
WEB=4dc574c5-4254-4b1c-8d7e-0a1b2c3d4e5f
MOVED=77777777-7777-4777-8777-777777777777
BASE=9f2c61a4a1b2c3d4e5f60718293a4b5c6d7e8f90

# instance ROOT UUID ID NAME FORMAT
instance()
{
	mkdir -p "$1/$NOVA/$2"
	nova_disk_info "$1" "$2" disk="$5"
	nova_domain "$1" "$3" "$2" "$4" m1.tiny 64 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
}

# host NAME UUID ID INSTANCE: a raw disk of 2 MiB, a qcow2 one over a base image of
# 1 MiB that both hosts have, and the instance that was moved.
host()
{
	local root=$T/$1 over=${2/%?/0}

	mkdir -p "$root/$NOVA/_base" "$root/etc"
	echo "$1" >"$root/etc/hostname"
	seeded_bytes base "$M" >"$root/$NOVA/_base/$BASE"
	instance "$root" "$2" "$3" "$4" raw
	seeded_bytes "$4" $((2 * M)) >"$root/$NOVA/$2/disk"
	instance "$root" "$over" "${3}a" "$4-over" qcow2
	nova_overlay "$root" "$over/disk" "$BASE" "$M"
	instance "$root" "$MOVED" instance-00000077 moved raw
	seeded_bytes "moved-$1" "$M" >"$root/$NOVA/$MOVED/disk"
	# The same size and the same time: on one host that would be the same file.
	touch -d 2013-05-09 "$root/$NOVA/$MOVED/disk" "$root/$NOVA/_base/$BASE"
	# Yesterday's backup has other bytes of the raw disk, and of the rest nothing.
	mkdir -p "$T/backup/$1.the.re"
	instance "$T/backup/$1.the.re" "$2" "$3" "$4" raw
	seeded_bytes "old-$4" $((2 * M)) \
		>"$T/backup/$1.the.re/$NOVA/$2/disk"
	touch -d 2013-05-08 "$T/backup/$1.the.re/$NOVA/$2/disk"
	mkfs.ext4 -q -b 4096 -d "$root" "$T/$1.img" 32M
}

setup_file()
{
	need_disk jq mkfs.ext4 || return
	export T=$BATS_FILE_TMPDIR/trees
	host bm0002 "$CI" instance-00000001 ci
	host bm0003 "$WEB" instance-00000002 web
}

# at HOST PATH OFF: where the host's device has that byte of the file.
at()
{
	local block

	block=$(debugfs -R "bmap /$2 $(($3 / 4096))" "$T/$1.img" 2>/dev/null)
	echo $((block * 4096 + $3 % 4096))
}

# bad HOST PATH OFF...: a bad sector of the file at each of these.
bad()
{
	local off

	for off in "${@:3}"; do
		echo "eio $(at "$1" "$2" "$off") 512"
	done
}

# On each host the raw disk has a bad sector that the backup has, and the base image
# and the moved one have another each, at a place of their own.
faults_of()
{
	if [[ $1 = bm0002 ]]; then
		bad bm0002 "$NOVA/$CI/disk" 4608
		bad bm0002 "$NOVA/_base/$BASE" 65536
		bad bm0002 "$NOVA/$MOVED/disk" 8192
	else
		bad bm0003 "$NOVA/$WEB/disk" $((M + 512))
		bad bm0003 "$NOVA/_base/$BASE" 131072
		bad bm0003 "$NOVA/$MOVED/disk" 16384
	fi
}

setup()
{
	local name

	work_setup
	MNT=$W/rescue
	mkdir "$MNT"
	for name in bm0002 bm0003; do
		mkdir -p "$W/$name" "$W/mnt/$name"
		disk_start "$W/$name" "$T/$name.img"
		client mount -t ext4 -o ro,norecovery "$DISK" "$W/mnt/$name"
		faults_of "$name" | disk_faults "$W/$name"
	done
	SITE=(--damaged "$W/mnt/bm0002" --damaged "$W/mnt/bm0003"
		--backup "$T/backup/bm0002.the.re,taken=2013-05-10"
		--backup "$T/backup/bm0003.the.re,taken=2013-05-10"
		--state "$W/state")
}

released()
{
	! is_mounted "$1" || umount "$1" 2>/dev/null
}

teardown()
{
	local name

	for name in bm0002 bm0003; do
		disk_faults "$W/$name" </dev/null
	done
	rescue_umount "$W"
	end_pid "$W/nbdkit.pid"
	for name in bm0002 bm0003; do
		wait_until 60 released "$W/mnt/$name"
		disk_stop "$W/$name"
	done
}

mount_it()
{
	client "$RESCUEFS" mount "${SITE[@]}" "$@" "$MNT" 3>&- 4>&-
}

# expect INSTANCE SIZE SEED [OFF SEED]: these bytes, but for a sector of others.
expect()
{
	local image=$MNT/instances/$1/disk

	seeded_bytes "$3" "$2" >"$W/want"
	if [[ ${4-} ]]; then
		seeded_bytes "$5" "$2" >"$W/other"
		echo "$4 512" | patch_from "$W/want" "$W/other"
	fi
	client cmp "$image" "$W/want"
}

# lost INSTANCE SEED OFF: all of a MiB but for that sector, which is lost.
lost()
{
	local dir=$MNT/instances/$1

	seeded_bytes "$2" "$M" >"$W/want"
	client dd if="$dir/disk" of="$W/is" bs=512 conv=noerror,sync \
		status=none 2>"$W/log" || true
	[[ $(claims "$dir/rescue/disk.json" lost) = "$3 512 -" ]]
	dd if=/dev/zero of="$W/want" bs=512 seek=$(($3 / 512)) count=1 \
		conv=notrunc status=none
	cmp "$W/is" "$W/want"
}

# touched HOST: how often its bad sectors were asked for, the most.
touched()
{
	faults_of "$1" | while read -r _ off len; do
		disk_touches "$W/$1" "$off" "$len"
	done | sort -n | tail -n 1
}

of_source()
{
	client jq ".sources[] | select(.source == \"$1\") | $2" \
		"$MNT/status.json"
}

@test "each block is of its own host, or proved to be the same on the other" {
	mount_it
	expect ci $((2 * M)) ci 4608 old-ci
	[[ $(claims "$MNT/instances/ci/rescue/disk.json" stale) = "4608 512 backup" ]]
	expect web $((2 * M)) web $((M + 512)) old-web
	[[ $(claims "$MNT/instances/web/rescue/disk.json" stale) = "$((M + 512)) 512 backup-2" ]]
	# What each base image lacks the other host's has: that is no older block.
	expect ci-over "$M" base
	expect web-over "$M" base
	[[ $(claims "$MNT/instances/ci-over/rescue/disk.json" fresh |
		grep "^65536 ") = "65536 512 bm0003" ]]
	[[ $(claims "$MNT/instances/web-over/rescue/disk.json" fresh |
		grep "^131072 ") = "131072 512 bm0002" ]]
	client jq -e '[.extents[].state] | unique == ["fresh"]' \
		"$MNT/instances/web-over/rescue/disk.json"
	# The files of the hosts are each host's own.
	[[ $(client cat "$MNT"/hosts/{bm0002,bm0003}.the.re/etc/hostname) = \
		bm0002$'\n'bm0003 ]]
	[ "$(touched bm0002)" -le 2 ]
	[ "$(touched bm0003)" -le 2 ]
}

@test "one uuid on two hosts is two instances: names, links, verbs, and no mixing" {
	local a=moved-bm0002.the.re b=moved-bm0003.the.re

	run -0 "$RESCUEFS" scan "${SITE[@]}"
	[[ $output == *"$MOVED is on two hosts, as a migration may leave it: $a on bm0002.the.re, last changed 2013-05-09"*" and $b on bm0003.the.re"* ]]
	mount_it
	[[ $(client ls "$MNT/instances" | grep moved | paste -sd' ') = "$a $b" ]]
	lost "$a" moved-bm0002 8192
	lost "$b" moved-bm0003 16384
	[[ $(client ls "$MNT/by-uuid" | grep "$MOVED" | paste -sd' ') = \
		"$MOVED-bm0002.the.re $MOVED-bm0003.the.re" ]]
	[[ $(readlink "$MNT/by-uuid/$MOVED-bm0003.the.re") = "../instances/$b" ]]
	[[ $(readlink "$MNT/by-id/instance-00000077-bm0002.the.re") = \
		"../instances/$a" ]]
	[[ $(readlink "$MNT/by-uuid/$CI") = ../instances/ci ]]
	# A name that both have is no name; in any order of the sources.
	for name in "$MOVED/disk" "$MOVED" instance-00000077/disk; do
		run -2 "$RESCUEFS" map "${SITE[@]}" "$name"
		[[ $output == *"both $a"*" and $b"*"are called so"* ]]
	done
	run "$RESCUEFS" map "${SITE[@]}" "$b/disk" --mapfile
	[[ $output == *"0x00004000  0x00000200  -"* ]]
	# What a plan does by uuid may hit the other one: that is to be decided.
	run "$RESCUEFS" plan "${SITE[@]}" ci/disk "$b/disk"
	[[ $output == *"UUID='$CI'"* && $output != *"UUID='$MOVED'"* ]]
	[[ $output == *"UUID='FILL-IN'  # another host has $MOVED too; fill it in if the one on bm0003.the.re is what nova ran last"* ]]
	# The states are kept apart.
	rescue_umount "$W"
	mount_it
	lost "$b" moved-bm0003 16384
	lost "$a" moved-bm0002 8192
}

@test "a live disk that is called by such a uuid is nobody's until it is said whose" {
	local live="nbd+unix:///?socket=$W/sock"

	mkdir "$W/exports"
	seeded_bytes live "$M" >"$W/exports/$MOVED"
	nbdkit -r -P "$W/nbdkit.pid" -U "$W/sock" file dir="$W/exports" \
		3>&- 4>&-
	run -0 "$RESCUEFS" scan "${SITE[@]}" --live "$live,name=live"
	[[ $output == *"export '$MOVED': several instances are called so; [export NAME] in a site file says which it is"* ]]
	"$RESCUEFS" scan "${SITE[@]}" --live "$live,name=live" \
		--write "$W/site.conf" >/dev/null
	printf '[export %s]\ndisk = moved-bm0003.the.re/disk\n' "$MOVED" \
		>>"$W/site.conf"
	"$RESCUEFS" scan "$W/site.conf" --json |
		jq -e '[.instances[] | select(.uuid == "'"$MOVED"'") |
			[.disks[0].copies[].source]] ==
			[["bm0002"], ["live", "bm0003"]]'
	sed -i "s/^disk = .*/disk = $MOVED/" "$W/site.conf"
	run -0 "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"the site file says that it is $MOVED, and several instances are called so"* ]]
}

@test "a host that hangs holds up nothing of the other" {
	mount_it --deadline 300ms
	disk_faults "$W/bm0003" <<<"hang 0 $((32 * M))"
	expect ci $((2 * M)) ci 4608 old-ci
	# Of the host that hangs the backup serves; what it alone has gives an error.
	expect web $((2 * M)) old-web
	run -1 client cat "$MNT/instances/web-over/disk"
	# Its base image, too, up to the sector that the other host alone has.
	client cmp -n 65536 "$MNT/instances/ci-over/disk" <(seeded_bytes base "$M")
	[[ $(client cat "$MNT/hosts/bm0002.the.re/etc/hostname") = bm0002 ]]
	[ "$(of_source bm0003 .reading.missed)" -ge 1 ]
	[ "$(of_source bm0002 .reading.missed)" -eq 0 ]
	run "$RESCUEFS" status "${SITE[@]}"
	[[ $status -ne 0 ]]
}

@test "fetch takes both hosts, each into its own store, and verify finds no fault" {
	local name

	run "$RESCUEFS" fetch "${SITE[@]}" --all
	[[ $status -le 1 ]]
	mount_it
	for name in bm0002 bm0003; do
		# A raw disk, an overlay, the moved one and the base image, but for
		# the bad sectors.
		[ "$(of_source "$name" .rescued.bad)" -eq $((3 * 512)) ]
		[ "$(of_source "$name" .rescued.kept)" -ge $((4 * M - 3 * 512)) ]
		[ "$(of_source "$name" .rescued.untried)" -eq 0 ]
	done
	expect ci $((2 * M)) ci 4608 old-ci
	expect web $((2 * M)) web $((M + 512)) old-web
	expect web-over "$M" base
	[ "$(touched bm0002)" -le 2 ]
	[ "$(touched bm0003)" -le 2 ]
	run "$RESCUEFS" verify "${SITE[@]}" --all
	[[ $status -le 1 && $output != *DIFFER* ]]
}

#!/usr/bin/env bats
# fstab: rescuefs SITE MOUNTPOINT -o OPTIONS, as mount(8) calls it; who may see
# the mount, how it ends, and what is refused before there is one.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova

UUID=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11

setup_file()
{
	need_mount
	# Not below bats' own directory, which only its owner may enter.
	T=$(mktemp -d "${TMPDIR:-/tmp}/rescuefs-fstab-XXXXXX")
	export T MNT=$T/rescue STATE=$T/state
	chmod 0755 "$T"
	mount --bind "$T" "$T"
	mount --make-shared "$T"
	mkdir "$MNT" "$T/bin"
	ln -s "$RESCUEFS" "$T/bin/rescuefs"
	make_host "$T/bm0002"
	mkdir "$T/backup"
	cp -a "$T/bm0002/." "$T/backup"
	cat >"$T/bm0002.conf" <<-CONF
	[site]
	state = $STATE
	[source bm0002]
	kind = damaged
	host = bm0002.the.re
	root = $T/bm0002
	[source backup]
	kind = backup
	host = bm0002.the.re
	root = $T/backup
	CONF
	digest_tree "$T/bm0002" >"$T/digest.bm0002"
	digest_tree "$T/backup" >"$T/digest.backup"
}

need_mount()
{
	local tool

	[[ $(id -u) -eq 0 ]] || skip "needs root"
	[[ -x $RESCUEFS ]] || skip "needs $RESCUEFS"
	[[ -c /dev/fuse ]] || skip "needs /dev/fuse"
	for tool in mount.fuse3 fusermount3 setpriv findmnt getfattr unshare; do
		[[ -n $(type -P "$tool") ]] || skip "needs $tool"
	done
}

make_host()
{
	local root=$1

	mkdir -p "$root/$NOVA/$UUID" "$root/$NOVA/_base"
	seeded_bytes fstab 300000 >"$root/$NOVA/$UUID/disk"
	truncate -s 1M "$root/$NOVA/$UUID/disk"
	nova_disk_info "$root" "$UUID" disk=raw
	nova_domain "$root" instance-00000007 "$UUID" april-ci m1.tiny 512 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
}

teardown()
{
	[[ ${T-} ]] || return 0
	let_go "$MNT" || true
	end_pid "$T/pid"
	[[ ! -e $STATE/lock ]] || wait_until 60 flock -n "$STATE/lock" true
}

teardown_file()
{
	[[ ${T-} ]] || return 0
	let_go "$MNT" && umount "$T" && rm -rf "$T"
}

# The daemon must not keep the runner's descriptors.
rescuefs()
{
	client "$T/bin/rescuefs" "$@" 3>&- 4>&-
}

# mount(8), for which rescuefs is installed: it passes no PATH on, so that the
# program has to lie where sh looks by itself.  There it lies in a mount
# namespace of its own; what is mounted below $T is seen in this one too.
mount_as_installed()
{
	# shellcheck disable=SC2016 # the inner shell's
	client unshare --mount --propagation unchanged sh -ec '
		bin=/usr/local/sbin
		mount --make-private "$(findmnt -n -o TARGET -T $bin)"
		mount --bind "$1/bin" $bin
		shift
		exec mount "$@"' sh "$T" "$@" 3>&- 4>&-
}

fstab()
{
	echo "$1" >"$T/fstab"
	mount_as_installed -T "$T/fstab" "$MNT"
}

shows_the_disk()
{
	client cmp "$MNT/instances/april-ci/disk" "$T/bm0002/$NOVA/$UUID/disk"
}

mount_field()
{
	findmnt -n -o "$1" "$MNT"
}

as_nobody()
{
	client setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

@test "rescuefs SITE MOUNTPOINT -o OPTIONS is the mount that the verb makes" {
	rescuefs "$T/bm0002.conf" "$MNT" -o rw,noauto,_netdev,x-initrd.mount
	shows_the_disk
	[ "$(mount_field FSTYPE)" = fuse.rescuefs ]
	[ "$(mount_field SOURCE)" = bm0002 ]
	[[ ,$(mount_field OPTIONS), = *,nosuid,* ]]
	[[ ,$(mount_field OPTIONS), = *,nodev,* ]]
	[[ ,$(mount_field OPTIONS), != *,allow_other,* ]]
}

@test "mount -t fuse.rescuefs SITE MOUNTPOINT" {
	mount_as_installed -t fuse.rescuefs "$T/bm0002.conf" "$MNT"
	shows_the_disk
	client umount "$MNT"
	run ! is_mounted "$MNT"
}

@test "a line of fstab mounts, and asking for dev and suid is no help" {
	fstab "$T/bm0002.conf $MNT fuse.rescuefs noauto,nofail,dev,suid 0 0"
	shows_the_disk
	[ "$(mount_field FSTYPE)" = fuse.rescuefs ]
	[[ ,$(mount_field OPTIONS), = *,nosuid,* ]]
	[[ ,$(mount_field OPTIONS), = *,nodev,* ]]
	[ -f "$STATE/known.db" ]
}

@test "a line of fstab without a site file says the sources itself" {
	local o=noauto,damaged=$T/bm0002,state=$T/other

	o+=,backup=$T/backup,taken=2013-05-10T03:00:00Z,name=yesterday
	o+=,host=bm0002,lost=zero,fill=none
	fstab "none $MNT fuse.rescuefs $o 0 0"
	shows_the_disk
	[ "$(getfattr --only-values -n user.rescuefs.as_of \
		"$MNT/sources/yesterday/instances/april-ci/disk")" = \
		2013-05-10T03:00:00Z ]
	[ -f "$T/other/known.db" ]
	client umount "$MNT"
	wait_until 60 flock -n "$T/other/lock" true
}

@test "without allow_other nobody gets in" {
	rescuefs "$T/bm0002.conf" "$MNT"
	run ! as_nobody ls "$MNT"
	[[ $output = *"Permission denied"* ]]
	run ! as_nobody cat "$MNT/README"
}

@test "with allow_other nobody may look, and images stay their owner's" {
	fstab "$T/bm0002.conf $MNT fuse.rescuefs allow_other 0 0"
	as_nobody cat "$MNT/README"
	[ "$(as_nobody ls "$MNT/instances")" = april-ci ]
	[ "$(as_nobody stat -c %a "$MNT/instances/april-ci/disk")" = 600 ]
	run ! as_nobody head -c 1 "$MNT/instances/april-ci/disk"
	[[ $output = *"Permission denied"* ]]
	run ! as_nobody head -c 1 "$MNT/sources/bm0002/instances/april-ci/disk"
	[[ $output = *"Permission denied"* ]]
	run ! as_nobody truncate -s 0 "$MNT/instances/april-ci/disk"
	run ! as_nobody setfattr -n user.rescuefs.control -v reset \
		"$MNT/instances/april-ci/disk"
	shows_the_disk
}

@test "ro: nothing can be written, and all can be read" {
	local f=$MNT/instances/april-ci/disk

	fstab "$T/bm0002.conf $MNT fuse.rescuefs ro 0 0"
	[[ ,$(mount_field OPTIONS), = *,ro,* ]]
	run ! client dd if=/dev/zero of="$f" bs=512 count=1 conv=notrunc \
		status=none
	[[ $output = *"Read-only file system"* ]]
	run ! client truncate -s 512 "$f"
	[[ $output = *"Read-only file system"* ]]
	shows_the_disk
}

@test "only the images can be written" {
	rescuefs "$T/bm0002.conf" "$MNT"
	for f in README instances/april-ci/instance.json \
		sources/bm0002/instances/april-ci/disk \
		hosts/bm0002.the.re/"$NOVA/$UUID"/disk; do
		run ! client dd if=/dev/zero of="$MNT/$f" bs=512 count=1 \
			conv=notrunc status=none
		[[ $output = *"Read-only file system"* ]]
	done
	run ! client touch "$MNT/instances/new"
	run ! client rm "$MNT/instances/april-ci/disk"
	run ! client mv "$MNT/README" "$MNT/README.old"
	run ! client mkdir "$MNT/hosts/bm0002.the.re/new"
}

@test "an unknown option is refused by name, whoever passes it on" {
	run -2 rescuefs "$T/bm0002.conf" "$MNT" -o ro,colour=green
	[[ $output = "rescuefs: "*'"colour=green"'* ]]
	run ! is_mounted "$MNT"
	run ! fstab "$T/bm0002.conf $MNT fuse.rescuefs ro,colour=green 0 0"
	[[ $output = *'"colour=green"'* ]]
	run ! is_mounted "$MNT"
	run -2 rescuefs "$T/bm0002.conf" "$MNT" -o fill=some
	[[ $output = *"fill: some is not one of"* ]]
	run -2 rescuefs "$T/bm0002.conf" "$MNT" --colour
	[[ $output = *"--colour is no option"* ]]
	run ! is_mounted "$MNT"
}

@test "-f stays, and ends with SIGINT: status 0, nothing mounted" {
	local pid ended=0

	# A shell ignores SIGINT in what it starts in the background.
	in_background env --default-signal=INT "$RESCUEFS" mount -f \
		"$T/bm0002.conf" "$MNT"
	pid=$!
	echo "$pid" >"$T/pid"
	wait_until 60 is_mounted "$MNT"
	shows_the_disk
	run ! is_gone "$pid"
	kill -INT "$pid"
	wait_until 60 is_gone "$pid"
	wait "$pid" || ended=$?
	[ "$ended" -eq 0 ]
	run ! is_mounted "$MNT"
	rm "$T/pid"
}

@test "fusermount3 -u ends the mount and its process" {
	local pid

	rescuefs "$T/bm0002.conf" "$MNT"
	pid=$(cut -d' ' -f1 "$STATE/lock")
	run ! is_gone "$pid"
	client fusermount3 -u "$MNT"
	run ! is_mounted "$MNT"
	wait_until 60 is_gone "$pid"
}

@test "a mount point must be a directory that is there, and empty" {
	: >"$T/file"
	run -2 rescuefs "$T/bm0002.conf" "$T/file"
	[[ $output = "rescuefs: "*"$T/file"*directory* ]]
	run -2 rescuefs "$T/bm0002.conf" "$T/nowhere"
	[[ $output = *"$T/nowhere: No such file or directory"* ]]
	mkdir -p "$T/full"
	: >"$T/full/kept"
	run -2 rescuefs "$T/bm0002.conf" "$T/full"
	[[ $output = *'"kept" is in it'*nonempty* ]]
	run ! is_mounted "$T/full"
	rescuefs "$T/bm0002.conf" "$T/full" -o nonempty
	[ -f "$T/full/README" ]
	client umount "$T/full"
	[ -f "$T/full/kept" ]
	run -2 rescuefs "$T/bm0002.conf"
	run -2 rescuefs mount
}

@test "a site file that is not there is status 2, sources that are not are 3" {
	run -2 rescuefs "$T/nowhere.conf" "$MNT"
	[[ $output = *"$T/nowhere.conf: No such file or directory"* ]]
	run -3 rescuefs none "$MNT" -o "damaged=$T/gone,state=$T/third"
	[[ $output = "rescuefs: "*"$T/gone"*"No such file or directory"* ]]
	run ! is_mounted "$MNT"
	run ! fstab "none $MNT fuse.rescuefs damaged=$T/gone,state=$T/third 0 0"
	[[ $output = *"$T/gone"* ]]
	run ! is_mounted "$MNT"
}

@test "one source that is not there leaves the mount to the others" {
	local o=state=$T/fourth,damaged=$T/gone,backup=$T/backup

	rescuefs none "$MNT" -o "$o"
	shows_the_disk
	client umount "$MNT"
	wait_until 60 flock -n "$T/fourth/lock" true
}

@test "state and mount point may not lie in a source" {
	mkdir -p "$T/backup/mnt"
	run -2 rescuefs "$T/bm0002.conf" "$T/backup/mnt"
	[[ $output = *"lies in the source backup"* ]]
	rmdir "$T/backup/mnt"
	run -2 rescuefs "$T/bm0002.conf" "$MNT" -o "state=$T/bm0002/state"
	[[ $output = *"lies in the source bm0002"*--state* ]]
	[ ! -e "$T/bm0002/state" ]
	touch -r "$T/bm0002" "$T/backup"
}

@test "P1: the sources are as they were" {
	# The mount point above was made in the backup, by this test alone.
	diff "$T/digest.bm0002" <(digest_tree "$T/bm0002")
	diff "$T/digest.backup" <(digest_tree "$T/backup")
}

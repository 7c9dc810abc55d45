# shellcheck shell=bash
# volume.bash - a volume with an ext4 on a device that fails where it is told, and
# its backup of the day before.  Offsets in the filesystem are the device's own.

VOL=volume-00000143

# volume_make DIR: DIR/host.img, as its host left it, mounted and with a journal
# that waits; DIR/backup/$VOL.img, of the day before.
#
# /kept is as it was, /changed was rewritten in place, /new is new; /frag has its
# extents in a block of its own, and so has /kept/1 its attributes.
volume_make()
{
	local d=$1 i

	mkdir -p "$d/tree/kept" "$d/tree/changed" "$d/tree/many" "$d/backup" \
		"$d/m"
	for i in {1..8}; do
		seeded_bytes "kept-$i" 200000 >"$d/tree/kept/$i"
		seeded_bytes "changed-$i" 100000 >"$d/tree/changed/$i"
	done
	for i in {1..300}; do echo "$i" >"$d/tree/many/a-file-of-number-$i"; done
	truncate -s 64M "$d/host.img"
	mkfs.ext4 -q -b 4096 -L data -J size=4 -d "$d/tree" \
		-E lazy_itable_init=0,lazy_journal_init=0 "$d/host.img"
	cp --sparse=always "$d/host.img" "$d/backup/$VOL.img"
	touch -d 2013-05-10T03:00:00Z "$d/backup/$VOL.img"
	client mount -o loop "$d/host.img" "$d/m" || return
	for i in {1..8}; do
		seeded_bytes "changed-again-$i" 100000 |
			dd of="$d/m/changed/$i" conv=notrunc bs=64k status=none
	done
	mkdir "$d/m/new"
	for i in {1..8}; do seeded_bytes "new-$i" 50000 >"$d/m/new/$i"; done
	for i in {0..39}; do
		dd if=/dev/zero of="$d/m/frag" bs=4096 count=1 seek=$((i * 2)) \
			conv=notrunc status=none
	done
	setfattr -n user.long -v "$(printf '%01000d' 7)" "$d/m/kept/1"
	# All tables in their places, and one change in the journal alone.
	fsfreeze -f "$d/m"
	fsfreeze -u "$d/m"
	touch "$d/m"
	sync "$d/m"
	cp --sparse=always "$d/host.img" "$d/dirty.img"
	client umount "$d/m"
	mv "$d/dirty.img" "$d/host.img"
	rm -r "$d/tree"
}

# volume_setup_file [TOOL]...: one for all tests of a file, $V.
volume_setup_file()
{
	need_disk jq setfattr "$@" || return
	export V=$BATS_FILE_TMPDIR/v
	mkdir -p "$V"
	volume_make "$V"
}

# volume_attach WORK DIR: the volume of DIR, failing as the faults on stdin say;
# writes WORK/site.conf.  volume_detach WORK lets it go.
volume_attach()
{
	local work=$1 dir=$2

	mkdir -p "$work/vg"
	cat >"$work/these"
	disk_start "$work/disk" "$dir/host.img" "$work/these" || return
	ln -s "$DISK" "$work/vg/$VOL"
	cat >"$work/site.conf" <<-EOT
	[site]
	state = $work/state
	[source bm0002]
	kind = damaged
	volumes = $work/vg
	[source backup]
	kind = backup
	host = bm0002
	volumes = $dir/backup
	[disk $VOL]
	prefer = bm0002 backup
	EOT
}

volume_detach()
{
	rescue_umount "$1"
	disk_stop "$1/disk"
}

# loop_of FILE: makes it the volume in $W/vg, as a device of its own;
# let_loops_go lets all of these go in the end.
loop_of()
{
	local device

	device=$(losetup -r -f --show "$1") || return
	echo "$device" >>"$W/loops"
	ln -sfn "$device" "$W/vg/$VOL"
}

let_loops_go()
{
	local device

	[[ -f $W/loops ]] || return 0
	while read -r device; do
		losetup -d "$device"
	done <"$W/loops"
	rm "$W/loops"
}

# volume_mount WORK [ARG...]: sets MNT and IMAGE.
volume_mount()
{
	local work=$1

	shift
	MNT=$work/rescue
	IMAGE=$MNT/volumes/$VOL
	mkdir -p "$MNT"
	export MNT IMAGE
	client "$RESCUEFS" mount "$work/site.conf" "$@" "$MNT" 3>&- 4>&-
}

# ask IMAGE REQUEST: what debugfs answers.
ask()
{
	debugfs -R "$2" "$1" 2>/dev/null
}

# Offsets of what belongs to a path: block N of its contents, its inode, the block
# of its extents, the block of its attributes.
at_block()
{
	echo $(($(ask "$1" "bmap $2 ${3-0}") * 4096))
}

at_inode()
{
	ask "$1" "imap $2" | sed -n 's/.*at block \([0-9]*\), offset \(.*\)/\1 \2/p' |
		{ read -r block off && echo $((block * 4096 + off)); }
}

at_extents()
{
	ask "$1" "dump_extents -n $2" | awk '$1 == "0/" { print $8 * 4096; exit }'
}

at_xattr()
{
	ask "$1" "stat $2" | sed -n 's/.*File ACL: \([0-9]*\).*/\1/p' |
		{ read -r block && echo $((block * 4096)); }
}

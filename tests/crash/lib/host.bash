# shellcheck shell=bash
# host.bash - a small damaged host with two instances and a backup of it with
# one more, for the crash tests:
#
#   work   a qcow2 disk over a raw base, to be written to
#   torn   a raw disk of 8 MiB, one sector in forty of which is bad; of the
#          first half of these a backup has older bytes, of the rest nobody has
#   kept   a raw disk that is in the backup alone: the page cache serves it
#
# It has a volume of 3 MB, too.  It is an ext4 file system on a failing block device.

# shellcheck disable=SC2153 # common.bash sets ROOT
export CRASH=$ROOT/tests/crash
export PYTHONDONTWRITEBYTECODE=1
WORK_UUID=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11
TORN_UUID=11111111-aaaa-4aaa-8aaa-000000000001
KEPT_UUID=22222222-bbbb-4bbb-8bbb-000000000002

# host_make DIR: builds it there, once for a file; sets HOST.
host_make()
{
	export HOST=$1/host
	local root=$HOST/root backup=$HOST/backup dir

	export RESCUEFS_SEED=${RESCUEFS_SEED:-$RANDOM}
	echo "seed $RESCUEFS_SEED" >&2
	dir=$root/$NOVA
	mkdir -p "$dir/$WORK_UUID" "$dir/$TORN_UUID" "$dir/_base"
	seeded_bytes "$RESCUEFS_SEED base" 2500096 >"$dir/_base/small"
	seeded_bytes "$RESCUEFS_SEED disk" 3000000 >"$HOST/some"
	nova_overlay "$root" "$WORK_UUID/disk" small 9437696
	qemu-io --image-opts "$(nova_chain "$root" "$NOVA/$WORK_UUID/disk")" \
		-c "write -q -s $HOST/some 1800000 3000000" || return
	nova_disk_info "$root" "$WORK_UUID" disk=qcow2
	nova_domain "$root" instance-00000007 "$WORK_UUID" work m1.tiny 512 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
	nova_convert "$root" "$NOVA/$WORK_UUID/disk" "$HOST/work.raw"
	seeded_bytes "$RESCUEFS_SEED torn" $((8 << 20)) >"$dir/$TORN_UUID/disk"
	nova_disk_info "$root" "$TORN_UUID" disk=raw
	nova_domain "$root" instance-00000008 "$TORN_UUID" torn m1.tiny 512 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
	cp -a "$root" "$backup"
	rm -r "${backup:?}/$NOVA/$WORK_UUID" "$backup/etc/libvirt/qemu/"*7.xml
	seeded_bytes "$RESCUEFS_SEED yesterday" $((4 << 20)) \
		>"$backup/$NOVA/$TORN_UUID/disk"
	touch -d '2 days ago' "$backup/$NOVA/$TORN_UUID/disk"
	mkdir -p "$backup/$NOVA/$KEPT_UUID"
	seeded_bytes "$RESCUEFS_SEED kept" 5000000 >"$HOST/kept.raw"
	truncate -s 6000128 "$HOST/kept.raw"
	cp "$HOST/kept.raw" "$backup/$NOVA/$KEPT_UUID/disk"
	nova_disk_info "$backup" "$KEPT_UUID" disk=raw
	nova_domain "$backup" instance-00000009 "$KEPT_UUID" kept m1.tiny 512 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
	mkdir "$HOST/volumes"
	seeded_bytes "$RESCUEFS_SEED volume" 3000320 >"$HOST/volume.raw"
	cp "$HOST/volume.raw" "$HOST/volumes/volume-00000143"
	mkfs.ext4 -q -b 4096 -d "$root" "$HOST/host.img" 64M || return
	host_faults >"$HOST/bad"
	export BACKUP=$backup BAD=$HOST/bad
}

# Where TORN lies on the device; it must lie there in one piece.
host_torn_at()
{
	local first last

	first=$(debugfs -R "bmap /$NOVA/$TORN_UUID/disk 0" "$HOST/host.img" \
		2>/dev/null)
	last=$(debugfs -R "bmap /$NOVA/$TORN_UUID/disk 2047" "$HOST/host.img" \
		2>/dev/null)
	((last - first == 2047)) || die "torn is in pieces" || return
	echo $((first * 4096))
}

host_faults()
{
	local at s

	at=$(host_torn_at) || return
	for ((s = 7; s < 16384; s += 40)); do
		echo "eio $((at + s * 512)) 512"
	done
}

# host_attach DIR: mounts it from a failing device that does not fail yet;
# sets what daemon.py and the tests want to know.
host_attach()
{
	local work=$1

	mkdir -p "$work/bm" "$work/mnt"
	disk_start "$work" "$HOST/host.img"
	client mount -t ext4 -o ro,norecovery "$DISK" "$work/bm"
	TORN_AT=$(host_torn_at)
	export BM=$work/bm MNT=$work/mnt STATE=$work/state TORN_AT
	export WORK=instances/work/disk TORN=instances/torn/disk
	export VOLUMES=$HOST/volumes VOLUME=volumes/volume-00000143
	export ALONE=sources/bm/instances/torn/disk
	export COUNTS=$work/counts FAULTS=$work/faults RESCUEFS
}

host_detach()
{
	[[ -d $1 ]] || return 0
	let_go "$1/mnt"
	let_go "$1/bm"
	disk_stop "$1"
}

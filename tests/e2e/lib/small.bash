# shellcheck shell=bash
# small.bash - a host without faults, for what the mount does whatever the
# disks are like: plain directories, raw disks of 8 MiB, made in no time.
#
#   torn     on the damaged host and in the backup
#   kept     in the backup alone, so that the page cache serves it
#   broken   a qcow2 disk that is none: no source can open it

SMALL_SIZE=$((8 << 20))
TORN=11111111-aaaa-4aaa-8aaa-000000000001
KEPT=22222222-bbbb-4bbb-8bbb-000000000002
BROKEN=33333333-cccc-4ccc-8ccc-000000000003

# As need_disk, for what is needed without a failing disk.
need_small()
{
	local tool

	[[ $(id -u) -eq 0 ]] || die "this test file needs root" || return
	[[ -c /dev/fuse ]] || die "this test file needs /dev/fuse" || return
	for tool in openssl qemu-img "$@"; do
		[[ $(type -P "$tool") ]] || die "this test file needs $tool" ||
			return
	done
}

# small_instance ROOT UUID NAME FORMAT: its directory and its domain.
small_instance()
{
	local dir=$1/$NOVA/$2

	mkdir -p "$dir"
	nova_disk_info "$1" "$2" disk="$4"
	nova_domain "$1" "instance-0000000${2:0:1}" "$2" "$3" m1.tiny 64 \
		9f2c61a4-0000-4000-8000-000000000000 disk
	[[ $4 = raw ]] || { echo no header >"$dir/disk" && return; }
	seeded_bytes "$2" $((4 << 20)) >"$dir/disk"
	truncate -s "$SMALL_SIZE" "$dir/disk"
}

# small_site WORK: makes $BM and $BACKUP.
small_site()
{
	BM=$1/bm0002
	BACKUP=$1/backup
	small_instance "$BM" "$TORN" torn raw
	small_instance "$BM" "$BROKEN" broken qcow2
	mkdir -p "$BM/etc" "$BM/dev"
	echo bm0002 >"$BM/etc/hostname"
	install -m 600 /dev/null "$BM/etc/shadow"
	ln -s ../run/mtab "$BM/etc/mtab"
	mkfifo "$BM/dev/initctl"
	mknod "$BM/dev/null" c 1 3
	cp -a "$BM" "$BACKUP"
	small_instance "$BACKUP" "$KEPT" kept raw
	export BM BACKUP
}

# The tests of a file share one site, and each has a mount of its own.
small_setup_file()
{
	need_small "$@" || return
	small_site "$BATS_FILE_TMPDIR"
}

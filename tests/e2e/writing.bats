#!/usr/bin/env bats
# Writing: whatever is written, punched and cut through the mount reads back as
# from a plain file, across remounts and a kill -9, and touches nothing else.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova

UUID=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11

setup_file()
{
	need_mount
	export T=$BATS_FILE_TMPDIR
	export BM=$T/bm0002 MNT=$T/rescue
	export RESCUEFS_SEED=${RESCUEFS_SEED:-$RANDOM}
	echo "seed $RESCUEFS_SEED" >&2
	mkdir -p "$MNT"
	make_host
	make_work
	digest_tree "$BM" >"$T/digest"
}

teardown_file()
{
	[[ -d $BATS_FILE_TMPDIR/rescue ]] || return 0
	let_go "$BATS_FILE_TMPDIR/rescue"
}

setup()
{
	STATE=$BATS_TEST_TMPDIR/state
	DISK=$MNT/instances/april-ci/disk
	OTHER=$MNT/instances/april-ci/disk.local
}

teardown()
{
	let_go "$BATS_TEST_TMPDIR/guest"
	[[ ! -s $BATS_TEST_TMPDIR/loop ]] ||
		losetup -d "$(<"$BATS_TEST_TMPDIR/loop")" || true
	unmount
	let_go "$BATS_TEST_TMPDIR/small"
}

need_mount()
{
	local tool

	[[ $(id -u) -eq 0 ]] || skip "needs root"
	[[ -x $RESCUEFS ]] || skip "needs $RESCUEFS"
	[[ -c /dev/fuse ]] || skip "needs /dev/fuse"
	[[ -c /dev/loop-control ]] || skip "needs loop devices"
	for tool in qemu-img qemu-io getfattr jq openssl python3 mkfs.ext4; do
		[[ -n $(type -P "$tool") ]] || skip "needs $tool"
	done
}

# disk: qcow2 over a raw base that is smaller; disk.local: raw, and never
# written to; disk.eph0: empty.
make_host()
{
	local dir=$BM/$NOVA/$UUID

	mkdir -p "$dir" "$BM/$NOVA/_base"
	seeded_bytes "$RESCUEFS_SEED base" 2500096 >"$BM/$NOVA/_base/small"
	seeded_bytes "$RESCUEFS_SEED disk" 1000000 >"$T/some"
	nova_overlay "$BM" "$UUID/disk" small 4194816
	qemu-io --image-opts "$(nova_chain "$BM" "$NOVA/$UUID/disk")" \
		-c "write -q -s $T/some 1800000 1000000"
	seeded_bytes "$RESCUEFS_SEED local" 300000 >"$dir/disk.local"
	truncate -s 1M "$dir/disk.local"
	qemu-img create -q -f qcow2 "$dir/disk.eph0" 64M
	nova_disk_info "$BM" "$UUID" disk=qcow2 disk.local=raw disk.eph0=qcow2
	nova_domain "$BM" instance-00000007 "$UUID" april-ci m1.tiny 512 \
		2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk disk.local disk.eph0
	nova_convert "$BM" "$NOVA/$UUID/disk" "$T/disk.raw"
}

# work SEED COUNT KINDS FILE SHADOW: the same random changes to both, of the
# kinds w(rite) p(unch) t(runcate) s(ync); what is read in between is compared.
make_work()
{
	cat >"$T/work" <<-'PY'
	import ctypes, os, random, sys
	seed, count, kinds = sys.argv[1], int(sys.argv[2]), sys.argv[3]
	names = sys.argv[4:6]
	libc = ctypes.CDLL(None, use_errno=True)
	libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int,
	                           ctypes.c_int64, ctypes.c_int64]
	rnd = random.Random(seed)
	fds = [os.open(name, os.O_RDWR) for name in names]
	KEEP_SIZE_PUNCH = 3

	def where():
	    size = os.fstat(fds[1]).st_size
	    off = rnd.randrange(size + 1)
	    if rnd.random() < 0.4:
	        off &= ~4095
	    if rnd.random() < 0.3:
	        return off, rnd.randrange(1, 600)
	    return off, rnd.randrange(1, 70000)

	def write():
	    off, n = where()
	    data = rnd.randbytes(n)
	    for fd in fds:
	        assert os.pwrite(fd, data, off) == n
	    return off, n

	def punch():
	    off, n = where()
	    for fd in fds:
	        if libc.fallocate(fd, KEEP_SIZE_PUNCH, off, n) != 0:
	            raise OSError(ctypes.get_errno(), "fallocate")
	    return off, n

	def truncate():
	    size = os.fstat(fds[1]).st_size
	    new = rnd.randrange(size // 2, max(size * 3 // 2, 1 << 20))
	    for fd in fds:
	        os.ftruncate(fd, new)
	    return min(size, new), abs(new - size)

	def sync():
	    os.fsync(fds[0])
	    return where()

	does = {"w": write, "p": punch, "t": truncate, "s": sync}
	for i in range(count):
	    kind = rnd.choice(kinds)
	    off, n = does[kind]()
	    off, n = max(off - 5000, 0), n + 10000
	    if os.pread(fds[0], n, off) != os.pread(fds[1], n, off):
	        sys.exit(f"change {i} ({kind}): {n} bytes at {off} differ")
	    if os.fstat(fds[0]).st_size != os.fstat(fds[1]).st_size:
	        sys.exit(f"change {i} ({kind}): the sizes differ")
	PY
}

work()
{
	client python3 "$T/work" "$@"
}

view()
{
	client "$RESCUEFS" mount --damaged "$BM" --state "$STATE" "$MNT" \
		3>&- 4>&-
}

unmount()
{
	let_go "$MNT"
	[[ ! -e $STATE/lock ]] || wait_until 60 flock -n "$STATE/lock" true
}

kill_daemon()
{
	kill -9 "$(cut -d' ' -f1 "$STATE/lock")"
	unmount
}

@test "300 changes read back as from a plain file, over three mounts" {
	local i shadow=$BATS_TEST_TMPDIR/shadow

	cp "$T/disk.raw" "$shadow"
	for i in 1 2 3; do
		view
		client cmp "$DISK" "$shadow"
		work "$RESCUEFS_SEED mount $i" 100 wwwwptts "$DISK" "$shadow"
		client cmp "$DISK" "$shadow"
		unmount
	done
	view
	client cmp "$DISK" "$shadow"
	[ "$(stat -c %s "$DISK")" -eq "$(stat -c %s "$shadow")" ]
	jq -e '.totals.local > 0 and ([.totals[]] | add) == .size' \
		"$MNT/instances/april-ci/rescue/disk.json"
	client cmp "$OTHER" "$BM/$NOVA/$UUID/disk.local"
}

@test "cut to nothing and grown again, nothing of before comes back" {
	view
	client truncate -s 0 "$DISK"
	client truncate -s 4194816 "$DISK"
	cmp -n 4194816 "$DISK" /dev/zero
	unmount
	view
	[ "$(stat -c %s "$DISK")" -eq 4194816 ]
	cmp -n 4194816 "$DISK" /dev/zero
}

@test "a hole that was punched is a hole, and zero" {
	view
	[ "$(dd if="$DISK" bs=64k count=1 status=none | tr -d '\0' | wc -c)" \
		-gt 0 ]
	client fallocate -p -o 0 -l 1048576 "$DISK"
	cmp -n 1048576 "$DISK" /dev/zero
	client qemu-img map --output=json -f raw "$DISK" |
		jq -e '.[0] | .start == 0 and .length >= 1048576 and .zero'
	unmount
	view
	cmp -n 1048576 "$DISK" /dev/zero
	client cmp -i 1048576 "$DISK" "$T/disk.raw"
}

@test "P7: what was fsynced survives kill -9, and the rest is old or new" {
	local i synced=$BATS_TEST_TMPDIR/synced later=$BATS_TEST_TMPDIR/later

	cp "$T/disk.raw" "$synced"
	for i in 1 2 3; do
		view
		work "$RESCUEFS_SEED kill $i" 40 wwwwptt "$DISK" "$synced"
		client sync "$DISK"
		cp "$synced" "$later"
		# Within its size, so that every byte has a before and an after.
		truncate -s -70000 "$later"
		client truncate -s -70000 "$DISK"
		client truncate -s +70000 "$DISK"
		truncate -s +70000 "$later"
		client sync "$DISK"
		cp "$later" "$synced"
		work "$RESCUEFS_SEED after $i" 20 p "$DISK" "$later"
		kill_daemon
		view
		[ "$(stat -c %s "$DISK")" -eq "$(stat -c %s "$synced")" ]
		client python3 - "$DISK" "$synced" "$later" <<-'PY'
		import sys
		is_, before, after = (open(n, "rb").read() for n in sys.argv[1:4])
		for i in range(0, len(is_), 512):
		    for at in range(i, i + 512):
		        if at < len(is_) and is_[at] not in (before[at], after[at]):
		            sys.exit(f"byte {at} is neither old nor new")
		PY
		cp --sparse=never "$DISK" "$synced"
		unmount
	done
}

@test "P7: fsynced and killed at once, every byte is there" {
	local i shadow=$BATS_TEST_TMPDIR/shadow

	cp "$T/disk.raw" "$shadow"
	for i in 1 2 3; do
		view
		work "$RESCUEFS_SEED at-once $i" 30 wwwpt "$DISK" "$shadow"
		client sync "$DISK"
		kill_daemon
		view
		client cmp "$DISK" "$shadow"
		[ "$(stat -c %s "$DISK")" -eq "$(stat -c %s "$shadow")" ]
		unmount
	done
}

@test "mkfs, mount and umount through a loop device, then a clean fsck" {
	local loop guest=$BATS_TEST_TMPDIR/guest
	local f=$MNT/instances/april-ci/disk.eph0

	view
	mkdir "$guest"
	loop=$(losetup -f --show "$f")
	echo "$loop" >"$BATS_TEST_TMPDIR/loop"
	client mkfs.ext4 -q -F "$loop"
	client mount "$loop" "$guest"
	seeded_bytes "$RESCUEFS_SEED file" 5000000 >"$guest/file"
	mkdir "$guest/dir"
	ln -s ../file "$guest/dir/link"
	client umount "$guest"
	losetup -d "$loop"
	rm "$BATS_TEST_TMPDIR/loop"
	client e2fsck -fn "$f"
	unmount
	view
	client e2fsck -fn "$f"
	seeded_bytes "$RESCUEFS_SEED file" 5000000 |
		cmp - <(debugfs -R 'cat /file' "$f" 2>/dev/null)
	client cmp "$DISK" "$T/disk.raw"
	client cmp "$OTHER" "$BM/$NOVA/$UUID/disk.local"
}

@test "a full state directory: writes get ENOSPC, reads go on" {
	local f=$MNT/instances/april-ci/disk.eph0

	mkdir "$BATS_TEST_TMPDIR/small"
	mount -t tmpfs -o size=4m none "$BATS_TEST_TMPDIR/small"
	STATE=$BATS_TEST_TMPDIR/small/state
	view
	client dd if="$T/some" of="$f" bs=64k conv=notrunc,fsync status=none
	client head -c 512 "$DISK" >/dev/null # it is known before it gets tight
	run ! client dd if=/dev/urandom of="$f" bs=64k seek=64 conv=notrunc \
		count=256 status=none
	[[ $output = *"No space left on device"* ]]
	# Reads: what was written, what was not, another disk, the report.
	client cmp -n 1000000 "$f" "$T/some"
	client cmp "$DISK" "$T/disk.raw"
	# Also one that nobody opened before.
	client cmp "$OTHER" "$BM/$NOVA/$UUID/disk.local"
	jq -e .totals "$MNT/instances/april-ci/rescue/disk.eph0.json"
	unmount
	# What was fsynced before it was full is there after a remount.
	view
	client cmp -n 1000000 "$f" "$T/some"
	client cmp "$DISK" "$T/disk.raw"
	client cmp "$OTHER" "$BM/$NOVA/$UUID/disk.local"
	# With room again, writing goes on.
	mount -o remount,size=64m "$BATS_TEST_TMPDIR/small"
	client dd if="$T/some" of="$f" bs=64k seek=64 conv=notrunc,fsync \
		status=none
	client cmp -n 1000000 -i 4194304:0 "$f" "$T/some"
	client cmp "$OTHER" "$BM/$NOVA/$UUID/disk.local"
}

@test "P1: the sources are as they were" {
	diff "$T/digest" <(digest_tree "$BM")
}

# shellcheck shell=bash
# disk.bash - a block device that fails as it is told.
#
# Image, nbdkit with our plugin, nbdfuse, loop device with direct I/O: what is
# read from $DISK with O_DIRECT fails in units of 512 bytes, as on real disks.
# What runs is written down in the work directory, so that another process,
# such as teardown_file, can end it.

# disk_start WORK IMAGE [FAULTS]: sets DISK, the block device, and DISK_FILE,
# the same as a file.  FAULTS is copied; change it with disk_faults.
disk_start()
{
	local work=$1 image=$2

	mkdir -p "$work/nbd" || return
	if [[ ${3-} ]]; then
		cp "$3" "$work/faults"
	else
		: >"$work/faults"
	fi
	setsid nbdkit -r -t 32 -P "$work/nbdkit.pid" -U "$work/socket" \
		"$RESCUEFS_BUILD/tests/faults/faults.so" "file=$image" \
		"faults=$work/faults" "counts=$work/counts" 3>&- 4>&- ||
		die "nbdkit does not start" || return
	in_background nbdfuse -r -P "$work/nbdfuse.pid" "$work/nbd/disk" \
		--unix "$work/socket" >"$work/nbdfuse.log" 2>&1
	wait_until 60 test -s "$work/nbdfuse.pid" ||
		die "nbdfuse does not start: $(<"$work/nbdfuse.log")" || return
	DISK_FILE=$work/nbd/disk
	DISK=
	# Others look for a free loop device at the same time.
	for _ in {1..20}; do
		DISK=$(losetup -r -f --show --direct-io=on "$DISK_FILE" \
			2>/dev/null) && break
		sleep 0.1
	done
	[[ $DISK ]] || die "no loop device for $DISK_FILE" || return
	echo "$DISK" >"$work/device"
	export DISK DISK_FILE
}

# disk_faults WORK: from now on the disk fails as the lines on stdin say.
# Replaced in one step: a half-written line would be a fault of its own.
disk_faults()
{
	cat >"$1/faults.new" && mv "$1/faults.new" "$1/faults"
}

# disk_touches WORK OFF [LEN]: how often each sector of the range was asked
# for, a number a line.
disk_touches()
{
	local first=$(($2 / 512)) end=$(((($2 + ${3-512}) + 511) / 512))

	od -An -v -w4 -tu4 -j $((first * 4)) -N $(((end - first) * 4)) \
		"$1/counts" | tr -d " "
}

# Faults go first: a read that hangs in the kernel ignores every signal.
disk_stop()
{
	local work=$1

	[[ -d $work ]] || return 0
	disk_faults "$work" </dev/null
	if [[ -s $work/device ]]; then
		timeout 20 losetup -d "$(<"$work/device")"
		rm -f "$work/device"
	fi
	let_go "$work/nbd"
	end_pid "$work/nbdfuse.pid"
	end_pid "$work/nbdkit.pid"
	let_go "$work/nbd" # a dead nbdfuse leaves its mount
}

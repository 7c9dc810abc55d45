# shellcheck shell=bash
# common.bash - what every end-to-end test needs.
#
# Environment, all with defaults:
#   RESCUEFS        the program under test ($RESCUEFS_BUILD/rescuefs)
#   RESCUEFS_BUILD  the build directory (build)
#   RESCUEFS_SEED   whatever is random follows from it; printed by tests/run

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
export ROOT
export RESCUEFS_BUILD=${RESCUEFS_BUILD:-$ROOT/build}
export RESCUEFS=${RESCUEFS:-$RESCUEFS_BUILD/rescuefs}
export LC_ALL=C

die()
{
	echo "$*" >&2
	return 1
}

# A folder of each test's own, $W.
work_setup()
{
	W=$BATS_TEST_TMPDIR/w
	mkdir -p "$W"
}

# Runs a command that touches a mount: nothing may hang for ever.
client()
{
	timeout -k 5 "${CLIENT_SECONDS:-120}" "$@"
}

# Waits until the command succeeds: wait_until SECONDS COMMAND...
wait_until()
{
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.05
	done
}

# `mountpoint` asks the file system itself and hangs with a dead one.
is_mounted()
{
	awk -v p="${1// /\\040}" '$2 == p { found = 1 }
		END { exit !found }' /proc/self/mounts
}

let_go()
{
	is_mounted "$1" || return 0
	timeout 10 umount "$1" 2>/dev/null || umount -l "$1" ||
		fusermount3 -uz "$1"
	! is_mounted "$1"
}

is_gone()
{
	! kill -0 "$1" 2>/dev/null ||
		grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

# Ends the process that a pid file names, and takes the file away.
end_pid()
{
	local pid

	[[ -s $1 ]] || return 0
	pid=$(<"$1")
	kill "$pid" 2>/dev/null || true # it may be gone already
	wait_until 20 is_gone "$pid" || kill -9 "$pid" 2>/dev/null || true
	rm -f "$1"
}

# A process that outlives its test must not keep the runner's descriptors, nor
# die of the signal that ends the runner: a disk that is gone is no disk to let
# go of.
in_background()
{
	setsid "$@" </dev/null 3>&- 4>&- &
}

# seeded_bytes SEED LEN: the same bytes for the same seed, on any machine.
seeded_bytes()
{
	head -c "$2" /dev/zero |
		openssl enc -aes-128-ctr -nosalt -pass "pass:$1" -md sha256 \
			2>/dev/null
}

# seeded_number SEED N: a number below N.
seeded_number()
{
	echo $((16#$(printf %s "$1" | sha256sum | head -c 8) % $2))
}

# One digest a file of a tree, its names, modes and times included.
digest_tree()
{
	(cd "$1" && find . -printf '%p %y %m %U:%G %s %T@ %l\n' | sort &&
		find . -type f -print0 | sort -z | xargs -0r md5sum)
}

# lacks_disk TOOL...: says why there can be no failing disk here, if so.
lacks_disk()
{
	local tool

	[[ $(id -u) -eq 0 ]] || echo "needs root"
	[[ -c /dev/fuse ]] || echo "needs /dev/fuse"
	[[ -c /dev/loop-control ]] || echo "needs loop devices"
	for tool in nbdkit nbdfuse losetup qemu-img debugfs "$@"; do
		[[ $(type -P "$tool") ]] || echo "needs $tool"
	done
	[[ -f $RESCUEFS_BUILD/tests/faults/faults.so ]] ||
		echo "needs nbdkit-plugin-dev when it is built"
}

# Skips the test unless this machine can do a mount on a failing disk.  bats
# has no skipping of a whole file: in setup_file this fails and says why, and
# tests/run, which asks beforehand, counts the file as skipped.
need_disk()
{
	local why

	why=$(lacks_disk "$@" | paste -sd, -)
	[[ $why ]] || return 0
	[[ ! ${BATS_TEST_NAME-} ]] || skip "$why"
	die "this test file $why"
}

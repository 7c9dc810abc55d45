#!/usr/bin/env bats
# P7: what a power cut leaves of the state directory, at a thousand moments of a
# traced run.  Without the syncs the same test finds that something is lost.
#
#   RESCUEFS_POWERCUTS=N for more
bats_require_minimum_version 1.5.0

load ../e2e/lib/common
load ../e2e/lib/nova
load ../e2e/lib/disk
load lib/host

setup_file()
{
	need_disk mkfs.ext4 strace python3
	host_make "$BATS_FILE_TMPDIR"
	export TORN_TRUTH=$HOST/root/$NOVA/$TORN_UUID/disk
	export DISK_OBJECT=$WORK_UUID/disk TORN_ID=$TORN_UUID/disk
	export OBJECT=bm:/$NOVA/$TORN_UUID/disk
	export LOOK=$RESCUEFS_BUILD/tests/crash/look
	trace_work "$BATS_FILE_TMPDIR/run"
}

# trace_work W [WORD...]: the workload on a state below W/root, traced; WORD
# goes before rescuefs.
trace_work()
{
	local w=$1
	shift

	host_attach "$w"
	mkdir -p "$w/root"
	cp "$BAD" "$w/faults.new" && mv "$w/faults.new" "$w/faults"
	export ROOT_DIR=$w/root STATE=$w/root/new/state
	# Leaks are not looked for under ptrace, and "$@" may have a preload.
	ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0:verify_asan_link_order=0 \
		client strace -f --seccomp-bpf -y -xx -s 3000000 -o "$w/trace" \
		-e trace="$(traced_calls)" "$@" python3 "$CRASH/powercut.py" \
		work "$RESCUEFS_SEED" "$HOST/work.raw" "$w/ops" || return
	host_detach "$w"
}

traced_calls()
{
	PYTHONPATH=$CRASH python3 -c "import statedisk; print(statedisk.TRACED)"
}

# check_states W STATES [DROPS]
check_states()
{
	local w=$1 scratch status=0
	shift

	scratch=$(mktemp -d /dev/shm/rescuefs.XXXXXX)
	ROOT_DIR=$w/root STATE=$w/root/new/state SCRATCH=$scratch/state \
		CLIENT_SECONDS=280 client python3 "$CRASH/powercut.py" check \
		"$RESCUEFS_SEED" "$HOST/work.raw" "$w/ops" "$w/trace" "$@" ||
		status=$?
	rm -rf "$scratch"
	return $status
}

@test "P7: a power cut at a thousand moments, and what was fsynced is there" {
	check_states "$BATS_FILE_TMPDIR/run" "${RESCUEFS_POWERCUTS:-1000}" >&3
}

@test "the same test finds what is lost where one kind of sync is not made" {
	local kind

	for kind in overlay store known names data-names; do
		check_states "$BATS_FILE_TMPDIR/run" 1000 "$kind" >&3
	done
}

@test "it finds that a program whose syncs do nothing loses what was fsynced" {
	local w=$BATS_TEST_TMPDIR/run

	trace_work "$w" env "LD_PRELOAD=$RESCUEFS_BUILD/tests/crash/dodge.so" \
		"DODGE_DIR=$w/root" "DODGE_SYNCS=data known names"
	check_states "$w" 1000 nothing >&3
}

@test "it finds that a fetch's bad sectors are forgotten where nothing settles" {
	local w=$BATS_TEST_TMPDIR/run

	trace_work "$w" env "LD_PRELOAD=$RESCUEFS_BUILD/tests/crash/dodge.so" \
		"DODGE_DIR=$w/root" DODGE_SYNCS=settle
	run -0 check_states "$w" 100 nothing
	echo "$output" >&3
	[[ $output == *"was found bad, and that is forgotten"* ]]
}

@test "flipped bits of a state: it is refused or served, and nothing wrong is" {
	local w=$BATS_FILE_TMPDIR/run scratch status=0

	scratch=$(mktemp -d /dev/shm/rescuefs.XXXXXX)
	client python3 "$CRASH/flip.py" "$RESCUEFS_SEED" 300 \
		"$w/root/new/state" "$scratch/state" "$LOOK" "$DISK_OBJECT" \
		"$HOST/work.raw" "$OBJECT" "$TORN_TRUTH" >&3 || status=$?
	rm -rf "$scratch"
	return "$status"
}

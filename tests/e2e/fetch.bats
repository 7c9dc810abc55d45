#!/usr/bin/env bats
# rescuefs fetch: what is readable of a failing disk is rescued, what is used
# first, by the disk's own counters; it goes on where it was; ddrescue's rescues
# are taken over and handed on; and a mount of the state does the work itself.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

MIB=16
VOL=volume-00000001
OWN=64 # sectors at its begin that are the filesystem's own, and are spared

setup_file()
{
	need_scene ddrescue ddrescuelog filefrag getfattr jq mkfs.ext4 dumpe2fs
	make_image "$BATS_FILE_TMPDIR/image"
}

setup()
{
	W=$BATS_TEST_TMPDIR/bm
	D=$W/disk
	mkdir -p "$W/vg"
}

teardown()
{
	rescue_umount "$W"
	scene_detach "$W"
	disk_stop "$D"
}

# A filesystem that is half full, on noise.
make_image()
{
	local files=$BATS_FILE_TMPDIR/files i

	mkdir "$files"
	for i in 1 2 3 4; do
		seeded_bytes "fetch $i" $((MIB * 131072)) >"$files/$i"
	done
	seeded_bytes fetch $((MIB << 20)) >"$1"
	mkfs.ext4 -q -F -b 4096 -E nodiscard -d "$files" "$1"
	# "FIRST LAST" of each run of free blocks.
	dumpe2fs "$1" 2>/dev/null | sed -n 's/^  Free blocks: //p' |
		tr -d ' ' | tr ',' '\n' | grep . | awk -F- '{
			print $1, $2 == "" ? $1 : $2 }' >"$1.free"
}

# bad_areas: faults of all kinds of places, from a seed.
bad_areas()
{
	local i at

	for i in {1..12}; do
		at=$((OWN + $(seeded_number "$RESCUEFS_SEED fetch $i" $((MIB * 2048 - OWN - 20)))))
		echo "eio $((at * 512)) $((512 * (1 + i % 9)))"
	done
	echo "eio $((5 << 20)) 300000" # longer than a request
}

# hundred_areas: as many as a disk has that is worth a rescue.
hundred_areas()
{
	local i at

	for i in {1..100}; do
		at=$((OWN + $(seeded_number "$RESCUEFS_SEED area $i" $((MIB * 2048 - OWN - 2)))))
		echo "eio $((at * 512)) $((512 * (1 + i % 2)))"
	done
}

# volume FAULTS: the image as a volume that fails so.
volume()
{
	disk_start "$D" "$BATS_FILE_TMPDIR/image" "$1"
	# shellcheck disable=SC2153 # disk_start sets it
	ln -sfn "$DISK" "$W/vg/$VOL"
	cat >"$W/site.conf" <<-END
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	volumes = $W/vg
	END
}

fetch()
{
	client "$RESCUEFS" fetch "$@"
}

# our_map: what is known of the volume, as a mapfile.
our_map()
{
	fetch "$W/site.conf" --export-map "$1" "$VOL"
}

# blocks MAP STATUS: "OFF LEN" of each.
blocks()
{
	local off len status

	grep -v '^#' "$1" | tail -n +2 | while read -r off len status; do
		[[ $status != "$2" ]] || echo $((off)) $((len))
	done
}

# bad_touches FAULTS: the most that a bad sector was touched.
bad_touches()
{
	awk '$1 == "eio" { print $2, $3 }' "$1" | while read -r off len; do
		disk_touches "$D" "$off" "$len"
	done | sort -n | tail -1
}

# sum_touches FAULTS: how often all of them were.
sum_touches()
{
	awk '$1 == "eio" { print $2, $3 }' "$1" | while read -r off len; do
		disk_touches "$D" "$off" "$len"
	done | awk '{ n += $1 } END { print n }'
}

@test "the set rescued is ddrescue's, with as many touches of what is bad" {
	local faults=$BATS_TEST_TMPDIR/faults theirs

	bad_areas >"$faults"
	volume "$faults"
	client ddrescue -q -d -r0 "$DISK" "$W/dd.image" "$W/dd.map"
	theirs=$(sum_touches "$faults")
	disk_stop "$D"
	rm -r "$D"
	volume "$faults"
	run -1 fetch "$W/site.conf" "$VOL"
	[[ $output = "$VOL: "*" rescued, "*" bad area"* ]]
	[ "$(bad_touches "$faults")" -le 2 ]
	[ "$(sum_touches "$faults")" -le "$theirs" ]
	our_map "$W/our.map"
	diff <(blocks "$W/dd.map" +) <(blocks "$W/our.map" +)
	diff <(blocks "$W/dd.map" -) <(blocks "$W/our.map" -)
	[ -z "$(blocks "$W/our.map" '?')$(blocks "$W/our.map" '*')" ]
	fetch "$W/site.conf" --export-image "$W/our.image" "$VOL"
	cmp "$W/dd.image" "$W/our.image"
	run -2 fetch "$W/site.conf" --export-image "$W/our.image" "$VOL"
	# And nothing is asked for again.
	theirs=$(sum_touches "$faults")
	run -1 fetch "$W/site.conf" "$VOL"
	[ "$(sum_touches "$faults")" -eq "$theirs" ]
}

# hang_unused: from now on whoever asks for an unused block waits.
hang_unused()
{
	cat "$1"
	awk '{ print "hang", $1 * 4096, ($2 - $1 + 1) * 4096 }' \
		"$BATS_FILE_TMPDIR/image.free"
}

# used_first FREE FAULTS THERE: how many sectors that are used and readable are
# not there, and how many unused ones are.
used_first()
{
	python3 - "$MIB" "$@" <<-'END'
	import sys
	sectors = int(sys.argv[1]) * 2048
	def numbers(path, skip=""):
	    for line in open(path):
	        yield [int(n) for n in line.removeprefix(skip).split()]
	free, bad, there = set(), set(), set()
	for first, last in numbers(sys.argv[2]):
	    free |= set(range(first * 8, last * 8 + 8))
	for path, to in ((sys.argv[3], bad), (sys.argv[4], there)):
	    for off, n in numbers(path, "eio"):
	        to |= set(range(off // 512, (off + n + 511) // 512))
	used = set(range(sectors)) - free
	print(len(used - bad - there), len(there & free))
	END
}

@test "all that is used is there before the first unused sector is asked for" {
	local faults=$BATS_TEST_TMPDIR/faults pid

	hundred_areas >"$faults"
	sed 'p; s/^eio/slow 20/' "$faults" >"$faults.slow"
	volume "$faults.slow"
	hang_unused "$faults.slow" | disk_faults "$D"
	"$RESCUEFS" fetch --json "$W/site.conf" "$VOL" >"$W/lines" 3>&- 4>&- &
	pid=$!
	wait_until 120 grep -q '"tier":"rest"' "$W/lines"
	kill -KILL "$pid"
	wait "$pid" || true
	disk_faults "$D" <"$faults"
	our_map "$W/our.map"
	blocks "$W/our.map" + >"$W/there"
	run -0 used_first "$BATS_FILE_TMPDIR/image.free" "$faults" "$W/there"
	[ "$output" = "0 0" ]
	run -1 fetch "$W/site.conf" "$VOL"
	our_map "$W/our.map"
	[ -z "$(blocks "$W/our.map" '?')" ]
}

@test "--used-only leaves the rest in peace" {
	local first last

	volume /dev/null
	fetch --used-only "$W/site.conf" "$VOL"
	while read -r first last; do
		disk_touches "$D" $((first * 4096)) $(((last - first + 1) * 4096))
	done <"$BATS_FILE_TMPDIR/image.free" | sort -nu >"$W/unused"
	[ "$(<"$W/unused")" = 0 ]
	our_map "$W/our.map"
	[ -n "$(blocks "$W/our.map" +)" ]
	[ -n "$(blocks "$W/our.map" '?')" ]
}

@test "killed at any time, it goes on and loses nothing" {
	local faults=$BATS_TEST_TMPDIR/faults i pid

	bad_areas | sed 'p; s/^eio/slow 10/' >"$faults"
	volume "$faults"
	for i in 1 2 3 4; do
		"$RESCUEFS" fetch "$W/site.conf" "$VOL" 3>&- 4>&- &
		pid=$!
		sleep 0.$((2 + i % 3))
		kill -KILL "$pid" || true
		wait "$pid" || true
		our_map "$W/map.$i"
		# What was there is there still.
		((i == 1)) || [ "$(covered "$W/map.$((i - 1))" "$W/map.$i")" -eq 0 ]
	done
	run -1 fetch "$W/site.conf" "$VOL"
	our_map "$W/our.map"
	[ -z "$(blocks "$W/our.map" '?')$(blocks "$W/our.map" '*')" ]
	fetch "$W/site.conf" --export-image "$W/our.image" "$VOL"
	blocks "$W/our.map" + | while read -r off len; do
		cmp -n "$len" -i "$off" "$W/our.image" "$BATS_FILE_TMPDIR/image" ||
			exit
	done
	# Of the message that was under way each time one request that failed may
	# be made again.
	[ "$(bad_touches "$faults")" -le 6 ]
	[ "$(awk '$1 == "eio" { print $2, $3 }' "$faults" |
		while read -r off len; do disk_touches "$D" "$off" "$len"; done |
		awk '$1 > 2' | wc -l)" -le $((4 * 128)) ]
}

# covered OLD NEW: bytes rescued in OLD that are not in NEW.
covered()
{
	ddrescuelog -n "$2" >"$W/inverse"
	ddrescuelog -y "$W/inverse" "$1" >"$W/lost"
	blocks "$W/lost" + | awk '{ n += $2 } END { print n + 0 }'
}

was_touched()
{
	[ "$(disk_touches "$D" 0 $((MIB << 20)) | sort -nu | tail -1)" -gt 0 ]
}

@test "it stops when it is told to, and when its time is over" {
	local pid status=0

	volume <(echo "slow 60 0 $((MIB << 20))")
	"$RESCUEFS" fetch "$W/site.conf" "$VOL" >"$W/out" 3>&- 4>&- &
	pid=$!
	wait_until 60 was_touched
	kill -INT "$pid"
	wait "$pid" || status=$?
	[ "$status" -eq 1 ]
	grep -q "not asked for yet.*stopped, and the same command goes on" "$W/out"
	run -1 fetch --max-time 1 "$W/site.conf" "$VOL"
	[[ $output = *"stopped, and the same command goes on" ]]
	disk_faults "$D" </dev/null
	run -0 fetch --json "$W/site.conf" "$VOL"
	jq -e 'select(.running == false) | .rescued == .total and .bad == 0 and
		.fetched < .total' <<<"$output"
	[ "$(disk_touches "$D" 0 $((MIB << 20)) | sort -nu | tail -1)" -eq 1 ]
}

@test "retries ask again for what is bad, and only those" {
	local i

	# At these two the third touch and the fifth are well.
	volume <(echo "eio 1048576 512 2"; echo "eio 2097152 1024 4"
		echo "eio 3145728 512")
	run -1 fetch "$W/site.conf" "$VOL"
	[[ $output = *"3 bad areas, 2.0 kB bad"* ]]
	run -1 fetch -r 1 "$W/site.conf" "$VOL"
	[[ $output = *"2 bad areas, 1.5 kB bad"* ]]
	run -1 fetch --retries 3 "$W/site.conf" "$VOL"
	[[ $output = *"1 bad area, 512 bytes bad"* ]]
	[ "$(disk_touches "$D" 3145728)" -eq 6 ]
	[ "$(disk_touches "$D" 1048576)" -eq 3 ]
}

@test "a rescue that ddrescue began is carried on here, and the other way round" {
	local faults=$BATS_TEST_TMPDIR/faults before

	bad_areas >"$faults"
	volume "$faults"
	# Theirs, half of it, without trimming.
	run client ddrescue -q -d -N -n -s $((MIB << 19)) "$DISK" "$W/dd.image" \
		"$W/dd.map"
	fetch "$W/site.conf" --import-map "$W/dd.map" --import-image \
		"$W/dd.image" "$VOL"
	our_map "$W/our.map"
	diff <(blocks "$W/dd.map" +) <(blocks "$W/our.map" +)
	diff <(blocks "$W/dd.map" '*') <(blocks "$W/our.map" '*')
	run -1 fetch "$W/site.conf" "$VOL"
	[ "$(disk_touches "$D" 0 $((MIB << 20)) | sort -nu | tail -1)" -le 2 ]
	# And back: ours, of which theirs finds nothing left to do but retries.
	fetch "$W/site.conf" --export-map "$W/our.map" --export-image \
		"$W/our.image" "$VOL"
	before=$(sum_touches "$faults")
	client ddrescue -q -d -r0 "$DISK" "$W/our.image" "$W/our.map"
	[ "$(sum_touches "$faults")" -eq "$before" ]
	disk_faults "$D" </dev/null
	client ddrescue -q -d -r1 "$DISK" "$W/our.image" "$W/our.map"
	ddrescuelog -D "$W/our.map"
	cmp "$W/our.image" "$BATS_FILE_TMPDIR/image"
	# Once more to us: then nothing is bad.
	fetch "$W/site.conf" --import-map "$W/our.map" --import-image \
		"$W/our.image" "$VOL"
	run -0 fetch "$W/site.conf" "$VOL"
}

@test "a map of something else is refused, and wrong use is said to be" {
	volume /dev/null
	printf '0 ? 1\n0 %s +\n' $((MIB << 21)) >"$W/map"
	run -2 fetch "$W/site.conf" --import-map "$W/map" --import-image \
		"$BATS_FILE_TMPDIR/image" "$VOL"
	[[ $output = *"it is of another file"* ]]
	printf '0 ? 1\n0 4096 +\n' >"$W/map"
	run -2 fetch "$W/site.conf" --import-map "$W/map" --import-image \
		/dev/null "$VOL"
	run -2 fetch "$W/site.conf" --import-map "$W/map" "$VOL"
	[[ $output = *"go together"* ]]
	run -2 fetch "$W/site.conf" --retries -1 "$VOL"
	run -2 fetch "$W/site.conf"
	run -2 fetch "$W/site.conf" volume-00000002
	our_map "$W/our.map"
	[ -z "$(blocks "$W/our.map" +)" ]
	[ "$(disk_touches "$D" 0)" -eq 0 ]
}

# counts: how often each sector of the host's disks was asked for.  The kernel's
# own reading of the file system is not among them.
counts()
{
	local file off len

	(cd "$BM" && find "$NOVA" -name 'disk*' -type f ! -name '*.info' -o \
		-path '*/_base/*' -type f) | while read -r file; do
		client filefrag -b512 -v "$BM/$file" | awk '$1 ~ /^[0-9]+:$/ {
			gsub(/\.\./, " "); gsub(/:/, " ")
			print $4 * 512, ($5 - $4 + 1) * 512 }'
	done | while read -r off len; do
		disk_touches "$W" "$off" "$len"
	done
}

@test "the mount fetches, a reader goes first, and then nothing is asked for" {
	local disk

	scene_attach "$W"
	rescue_mount "$W"
	disk=$MNT/instances/april-ci/disk
	client dd if="$disk" bs=4k count=8 skip=300 of=/dev/null status=none
	run -1 fetch --json --damaged "$BM" --backup "$BACKUP" --state "$STATE" \
		april-ci/disk
	jq -e 'select(.running == false) | .disk == "april-ci/disk" and
		.pass == "done" and .untried == 0 and .bad > 0' <<<"$output"
	# What its chain cannot give is bad, not untried.
	client cat "${disk%/*}/rescue/disk.damaged.map" >"$W/our.map"
	ddrescuelog -t "$W/our.map"
	[ -z "$(blocks "$W/our.map" '?')" ]
	counts >"$W/counts.before"
	client cat "$disk" >/dev/null 2>&1 || true
	client dd if="$disk" bs=64k conv=noerror of=/dev/null status=none || true
	counts | cmp - "$W/counts.before"
	run -4 fetch --damaged "$BM" --backup "$BACKUP" --state "$STATE" \
		--export-map "$W/map" april-ci/disk
}

@test "--all fetches every damaged disk, and then a mount touches nothing" {
	scene_attach "$W"
	STATE=$W/state
	run -1 fetch --damaged "$BM" --backup "$BACKUP" --state "$STATE" --all
	[[ $output = *"april-ci/disk: "*" rescued"* ]]
	[[ $output = *"$ESSEX/disk: "*" rescued"* ]]
	rescue_mount "$W"
	ls -lR "$MNT" >/dev/null || true
	counts >"$W/counts.before"
	for disk in "$MNT"/instances/*/disk; do
		client dd if="$disk" bs=64k conv=noerror of=/dev/null \
			status=none || true
	done
	counts | cmp - "$W/counts.before"
}

@test "a table that was late is asked for again, and the disk decoded then" {
	local disk faults=$BATS_TEST_TMPDIR/faults

	scene_attach "$W" /dev/null
	STATE=$W/state
	scene_eio "$NOVA/$APRIL_UUID/disk" 0 512 | sed 's/^eio/hang/' >"$faults"
	disk_faults "$W" <"$faults"
	run -3 fetch --patience 1 --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" april-ci/disk
	[[ $output = *"not delivered"* || $output = *"deadline"* ]]
	disk_faults "$W" </dev/null
	run -0 fetch --damaged "$BM" --backup "$BACKUP" --state "$STATE" \
		april-ci/disk
	rescue_mount "$W"
	disk=$MNT/instances/april-ci/disk
	client dd if="$disk" count=1 of=/dev/null status=none
	counts >"$W/counts.before"
	client cmp "$disk" "$TRUTH/april-ci/disk.raw"
	counts | cmp - "$W/counts.before"
}

@test "a fetch ends with the mount that does it" {
	local pid status=0 begun

	volume <(echo "slow 100 0 $((MIB << 20))")
	MNT=$W/rescue STATE=$W/state
	mkdir -p "$MNT"
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	"$RESCUEFS" fetch "$W/site.conf" "$VOL" 3>&- 4>&- >"$W/out" 2>&1 &
	pid=$!
	wait_until 60 fetching "$MNT/volumes/$VOL"
	# One at a time.
	run -4 fetch "$W/site.conf" "$VOL"
	begun=$SECONDS
	rescue_umount "$W"
	((SECONDS - begun <= 20))
	wait "$pid" || status=$?
	[ "$status" -eq 3 ]
	grep -q "what was fetched is kept" "$W/out"
	disk_faults "$D" </dev/null
	run -0 fetch "$W/site.conf" "$VOL"
	[ "$(disk_touches "$D" 0 $((MIB << 20)) | sort -nu | tail -1)" -le 2 ]
}

fetching()
{
	client getfattr --only-values -n user.rescuefs.fetch "$1" 2>/dev/null |
		jq -e '.running and .rescued > 0' >/dev/null
}

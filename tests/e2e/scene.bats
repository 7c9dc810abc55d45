#!/usr/bin/env bats
# The scene: that the host is as damaged as the other tests take it to be, and
# not more.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene

setup_file()
{
	scene_setup_file
}

teardown_file()
{
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	DIR=$BM/$NOVA/$APRIL_UUID
	W=$BATS_FILE_TMPDIR/bm
}

features()
{
	dumpe2fs -h "$1" 2>/dev/null | grep '^Filesystem features'
}

host_fault()
{
	sed -n "s/^eio \([0-9]*\) $1 # $2.*/\1/p" "$SCENE/faults"
}

@test "the host is mounted from a device that fails, read-only" {
	is_mounted "$BM"
	# shellcheck disable=SC2153 # scene_attach sets it
	grep -q "^$DISK $BM ext4 ro," /proc/self/mounts
	[ "$(stat -c %s "$SCENE/host.img")" -ge $((512 << 20)) ]
	[[ $(features "$SCENE/host.img") = *needs_recovery* ]]
}

@test "the guests' journals are dirty, today's and yesterday's" {
	for raw in "$TRUTH" "$YESTERDAY"; do
		[[ $(features "$raw/april-ci/disk.raw") = *needs_recovery* ]]
		[[ $(features "$raw/$ESSEX/disk.raw") = *needs_recovery* ]]
	done
}

@test "a replay of the truth gives a clean file system and the last file" {
	for d in april-ci "$ESSEX"; do
		cp --sparse=always "$TRUTH/$d/disk.raw" "$BATS_TEST_TMPDIR/raw"
		run debugfs -R 'cat /srv/late.txt' "$BATS_TEST_TMPDIR/raw"
		[[ $output != *"written last"* ]]
		run e2fsck -fy "$BATS_TEST_TMPDIR/raw"
		[ "$status" -le 1 ]
		e2fsck -fn "$BATS_TEST_TMPDIR/raw"
		run debugfs -R 'cat /srv/late.txt' "$BATS_TEST_TMPDIR/raw"
		[[ $output = *"written last"* ]]
	done
}

@test "one overlay is larger than its base, and paths are the host's" {
	info=$(qemu-img info -U --output=json "$DIR/disk")
	[ "$(jq -r '."backing-filename"' <<<"$info")" = \
		"/$NOVA/_base/$APRIL_BASE" ]
	[ "$(jq '."virtual-size"' <<<"$info")" -gt \
		"$(stat -c %s "$BM/$NOVA/_base/$APRIL_BASE")" ]
}

@test "Essex's images are version 2 and name no format for their base" {
	info=$(qemu-img info -U --output=json "$BM/$NOVA/$ESSEX/disk.local")
	[ "$(jq -r '."format-specific".data.compat' <<<"$info")" = 0.10 ]
	[ "$(jq -r '."backing-filename-format"' <<<"$info")" = null ]
	grep -q "<uuid>$ESSEX_UUID</uuid>" "$BM/$NOVA/$ESSEX/libvirt.xml"
}

@test "today's disk.info, domain and config drive are there" {
	[ "$(jq -r ".\"/$NOVA/$APRIL_UUID/disk.config\"" "$DIR/disk.info")" = \
		raw ]
	grep -q '<nova:name>april-ci</nova:name>' \
		"$BM/etc/libvirt/qemu/instance-00000007.xml"
	cmp "$DIR/disk.config" "$TRUTH/april-ci/disk.config.raw"
}

@test "each bad data sector fails alone, on the device and in the file" {
	local off n=0

	while read -r off; do
		n=$((n + 1))
		for s in -1 1; do
			client dd if="$DISK" of=/dev/null bs=512 count=1 \
				skip=$((off / 512 + s)) iflag=direct status=none
		done
		run ! client dd if="$DISK" of=/dev/null bs=512 count=1 \
			skip=$((off / 512)) iflag=direct status=none
		[[ $output = *"Input/output error"* ]]
	done < <(host_fault 512 april-ci)
	[ "$n" -ge 5 ]

	# ddrescue, an independent reader, loses these bytes and no others.
	client ddrescue -q -d -r0 "$DIR/disk" "$BATS_TEST_TMPDIR/copy" \
		"$BATS_TEST_TMPDIR/map"
	[ "$(ddrescuelog -l- -b512 "$BATS_TEST_TMPDIR/map" | wc -l)" -eq "$n" ]
}

@test "the damaged bytes are where expect says, by another way" {
	local guest len class path want n=0

	# With the fault turned to a distortion, qemu sees it at that offset.
	sed 's/^eio \(.* # april-ci\)/flip \1/; /^eio/d' "$SCENE/faults" |
		disk_faults "$W"
	echo 3 >/proc/sys/vm/drop_caches
	nova_convert "$BM" "$NOVA/$APRIL_UUID/disk" "$BATS_TEST_TMPDIR/flipped"
	disk_faults "$W" <"$SCENE/faults"
	echo 3 >/proc/sys/vm/drop_caches
	cmp -l "$BATS_TEST_TMPDIR/flipped" "$TRUTH/april-ci/disk.raw" |
		awk '{ print int(($1 - 1) / 512) * 512 }' | sort -un \
		>"$BATS_TEST_TMPDIR/got" || true
	scene_expect data | awk '{ print $2 }' | sort -n \
		>"$BATS_TEST_TMPDIR/want"
	diff "$BATS_TEST_TMPDIR/want" "$BATS_TEST_TMPDIR/got"

	while read -r _ guest len class path; do
		n=$((n + 1))
		run cmp -n "$len" -i "$guest" "$TRUTH/april-ci/disk.raw" \
			"$YESTERDAY/april-ci/disk.raw"
		[ "$class" = kept ] && want=0 || want=1
		[ "$status" -eq "$want" ]
		debugfs -R "testb $((guest / 4096))" \
			"$TRUTH/april-ci/disk.raw" 2>/dev/null |
			grep -q 'marked in use'
		[[ $path = /srv/$class/* ]]
	done < <(scene_expect data)
	[ "$n" -ge 5 ]
}

@test "the L2 table of the Essex instance cannot be read in one place" {
	local off

	off=$(host_fault 4096 "L2 table")
	run ! client dd if="$DISK" of=/dev/null bs=4096 count=1 \
		skip=$((off / 4096)) iflag=direct status=none
	run ! client qemu-img convert -U -O raw --image-opts \
		"$(nova_chain "$BM" "$NOVA/$ESSEX/disk")" /dev/null
	client qemu-io -r -f raw -c 'read -q 0 64k' \
		"$BM/$NOVA/$ESSEX/disk"
	read -r _ off len < <(scene_expect table)
	[ "$len" -eq $((512 * 65536)) ]
	[ $((off % len)) -eq 0 ]
}

@test "the base's bad sector is read through the overlay" {
	local base off len disk guest

	read -r base off len disk guest < <(scene_expect base)
	[ "$base" = "$APRIL_BASE" ]
	cmp -n "$len" -i "$guest:$off" "$TRUTH/$disk.raw" \
		"$BACKUP/$NOVA/_base/$base"
	run ! client dd if="$BM/$NOVA/_base/$base" of=/dev/null bs=512 \
		count=1 skip=$((off / 512)) iflag=direct status=none
}

@test "the victim cannot be read, nor its neighbours, and nothing else" {
	local f

	while read -r f; do
		run ! client cat "$BM/$f"
		[ -f "$BACKUP/$f" ]
	done < <(scene_expect inode)
	scene_expect inode | grep -qx "$VICTIM"
	client find "$BM/etc" -name "${VICTIM##*/}" | grep -q . # has a name
	# One more look at all of the tree: nothing else is gone.
	client find "$BM" -xdev -printf '%P\n' 2>/dev/null | sort \
		>"$BATS_TEST_TMPDIR/all" || true
	(cd "$BM" && sed '/^$/d' "$BATS_TEST_TMPDIR/all" |
		xargs -d '\n' stat -c %n 2>/dev/null || true) | sort |
		comm -3 - "$BATS_TEST_TMPDIR/all" | sed 's/^\t//; /^$/d' \
		>"$BATS_TEST_TMPDIR/gone"
	diff <(scene_expect inode) "$BATS_TEST_TMPDIR/gone"
	diff "$BATS_TEST_TMPDIR/all" \
		<(find "$BACKUP" -xdev -printf '%P\n' | sort)
}

@test "the backup is a day older; what did not change has the same times" {
	local f

	for f in "_base/$APRIL_BASE" "_base/$ESSEX_BASE" "$ESSEX/kernel"; do
		[ "$(stat -c '%s %.Y' "$BM/$NOVA/$f")" = \
			"$(stat -c '%s %.Y' "$BACKUP/$NOVA/$f")" ]
	done
	for f in "$APRIL_UUID/disk" "$ESSEX/disk"; do
		[ $(($(stat -c %Y "$BM/$NOVA/$f") - \
			$(stat -c %Y "$BACKUP/$NOVA/$f"))) -gt 3600 ]
	done
	[ "$(stat -c %s "$DIR/console.log")" -gt \
		"$(stat -c %s "$BACKUP/$NOVA/$APRIL_UUID/console.log")" ]
	run find "$BACKUP" -newermt '-1 hour' -type f
	[ -z "$output" ]
}

@test "yesterday's disks are another state, and a sound one" {
	local d

	for d in april-ci "$ESSEX"; do
		run cmp -s "$TRUTH/$d/disk.raw" "$YESTERDAY/$d/disk.raw"
		[ "$status" -eq 1 ]
		cp --sparse=always "$YESTERDAY/$d/disk.raw" \
			"$BATS_TEST_TMPDIR/raw"
		run e2fsck -fy "$BATS_TEST_TMPDIR/raw"
		[ "$status" -le 1 ]
	done
	run cmp -s "$TRUTH/april-ci/disk.eph0.raw" \
		"$YESTERDAY/april-ci/disk.eph0.raw"
	[ "$status" -eq 1 ]
}

@test "scene_eio finds a range of a host's file" {
	run scene_eio "$NOVA/_base/$APRIL_BASE" \
		$(($(scene_expect base | awk '{ print $2 }') / 4096 * 4096)) 4096
	[[ $output =~ ^eio\ ([0-9]+)\ 4096 ]]
	[ $(($(host_fault 512 base) / 4096 * 4096)) -eq "${BASH_REMATCH[1]}" ]
}

@test "the tests' small nova host is made" {
	make_nova_fixture "$BATS_TEST_TMPDIR/nova"
	nova_convert "$BATS_TEST_TMPDIR/nova" "$NOVA/$FIXTURE_UUID/disk" \
		"$BATS_TEST_TMPDIR/raw"
	[ "$(stat -c %s "$BATS_TEST_TMPDIR/raw")" -eq $((1 << 30)) ]
	cmp -n 14025728 "$BATS_TEST_TMPDIR/raw" \
		"$BATS_TEST_TMPDIR/nova/$NOVA/_base/$FIXTURE_BASE"
}

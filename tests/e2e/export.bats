#!/usr/bin/env bats
# rescuefs export: files, pipes and devices, against the truth and other
# programs' digests.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount

setup_file()
{
	scene_setup_file python3
	# The truth, with yesterday's bytes where only those can be read.
	export D=april-ci/disk WANT=$BATS_FILE_TMPDIR/want
	cp --sparse=always "$TRUTH/$D.raw" "$WANT"
	scene_expect data | while read -r disk off len _; do
		[[ $disk != "$D" ]] || echo "$off $len"
	done | patch_from "$WANT" "$YESTERDAY/$D.raw"
	md5sum <"$WANT" >"$WANT.md5"
	sha512sum <"$WANT" >"$WANT.sha512"
}

teardown_file()
{
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	STATE=$BATS_FILE_TMPDIR/state
	LOOP=
	# A busy machine is slow, and its disk is none that hangs.
	SOURCE=$BM,deadline=60s
}

teardown()
{
	rescue_umount "$W"
	[[ ! $LOOP ]] || losetup -d "$LOOP"
}

export_disk()
{
	client "$RESCUEFS" export --damaged "$SOURCE" --backup "$BACKUP" \
		--state "$STATE" --quiet "$@"
}

# The damaged host alone: what it cannot read is lost.
export_alone()
{
	client "$RESCUEFS" export --damaged "$SOURCE" --state "$W/alone" \
		--quiet "$@"
}

# mount_it [ARG]...: what export_disk exports, with a state of its own.
mount_it()
{
	MNT=$W/rescue STATE=$W/state
	mkdir "$MNT"
	client "$RESCUEFS" mount --damaged "$SOURCE" --backup "$BACKUP" \
		--state "$STATE" "$MNT" 3>&- 4>&-
}

# digests_are MANIFEST: those of what is wanted.
digests_are()
{
	[ "$(jq -r .md5 "$1")" = "$(cut -d' ' -f1 "$WANT.md5")" ]
	[ "$(jq -r .sha512 "$1")" = "$(cut -d' ' -f1 "$WANT.sha512")" ]
}

nothing_but()
{
	[ "$(cd "$W/out" && find . -mindepth 1 | sort | paste -sd' ')" = "$*" ]
}

@test "a file: byte for byte, sparse, with its digests and its manifest" {
	mkdir "$W/out"
	run -0 --separate-stderr export_disk -o "$W/out/a" "$D"
	[ -z "$output" ]
	cmp "$W/out/a" "$WANT"
	(($(stat -c %b "$W/out/a") * 512 < 100000000))
	digests_are "$W/out/a.manifest.json"
	# shellcheck disable=SC2154 # by bats
	[[ $stderr = *"$(cut -d' ' -f1 "$WANT.md5")"* ]]
	jq -e --argjson stale "$(scene_expect data | awk -v d="$D" \
		'$1 == d { s += $3 } END { print s }')" '
		.disk == "april-ci/disk" and .size == 268435456 and
		.zeroed == 0 and .guessed == 0 and .file.format == "raw" and
		.totals.stale == $stale and .totals.unread == 0 and
		([.totals[]] | add) == .size and
		(.losses.losses | length) > 0 and
		[.sources[].name] == ["bm0002", "backup"]' \
		"$W/out/a.manifest.json"
	[ "$(stat -c %a "$W/out/a")" = 600 ]
	nothing_but ./a ./a.manifest.json
}

@test "what is there is not written over, unless it is told to" {
	local small=april-ci/disk.config

	mkdir "$W/out"
	echo mine >"$W/out/a"
	run -2 export_disk -o "$W/out/a" "$small"
	[[ $output = *"is not written over without --force"* ]]
	[ "$(<"$W/out/a")" = mine ]
	nothing_but ./a
	# A manifest is somebody's, too.
	mv "$W/out/a" "$W/out/b.manifest.json"
	run -2 export_disk -o "$W/out/b" "$small"
	nothing_but ./b.manifest.json
	run -0 export_disk --force -o "$W/out/b" "$small"
	cmp "$W/out/b" "$TRUTH/$small.raw"
	jq -e .sha512 "$W/out/b.manifest.json"
	nothing_but ./b ./b.manifest.json
	# In place of what was there, under its name.
	echo old >"$W/out/b"
	run -0 export_disk --force -o "$W/out/b" "$small"
	cmp "$W/out/b" "$TRUTH/$small.raw"
	ln -s b "$W/out/c"
	run -2 export_disk --force -o "$W/out/c" "$small"
}

@test "a pipe: the same bytes; who stops reading stops it" {
	export_disk -o - --manifest "$W/m" "$D" | cmp - "$WANT"
	digests_are "$W/m"
	# A pipe by its name.
	mkfifo "$W/fifo"
	cmp "$W/fifo" "$WANT" &
	export_disk -o "$W/fifo" "$D"
	wait $!
	# shellcheck disable=SC2016 # its own
	run -2 --separate-stderr bash -c '"$@" | head -c 1000 >/dev/null
		exit "${PIPESTATUS[0]}"' - "$RESCUEFS" export \
		--damaged "$SOURCE" --backup "$BACKUP" --state "$STATE" -o - "$D"
	[[ $stderr = *"who read it has gone, after "*" bytes"* ]]
}

@test "a block device: zeros where it held others, refused if it is too small" {
	seeded_bytes device 268500000 >"$W/image"
	LOOP=$(losetup -f --show "$W/image")
	export_disk -o "$LOOP" "$D"
	cmp -n 268435456 "$LOOP" "$WANT"
	# Behind the disk nothing is written.
	cmp -i 268435456 "$W/image" <(seeded_bytes device 268500000)
	losetup -d "$LOOP"
	LOOP=
	truncate -s 1M "$W/image"
	LOOP=$(losetup -f --show "$W/image")
	md5sum "$W/image" >"$W/before"
	run -2 export_disk -o "$LOOP" "$D"
	[[ $output = *"$LOOP has 1048576 bytes, and the disk 268435456"* ]]
	md5sum -c "$W/before"
}

@test "a full disk: said with its name, and nothing is left there" {
	mkdir "$W/small"
	mount -t tmpfs -o size=10M rescuefs "$W/small"
	run export_disk -o "$W/small/a" "$D"
	ls -A "$W/small" >"$W/left"
	umount "$W/small"
	[ "$status" -eq 2 ]
	[[ $output = *"$W/small/a: No space left on device"* ]]
	[ ! -s "$W/left" ]
}

@test "no name before it is whole: neither while it runs nor after a kill" {
	local pid bm=$BATS_FILE_TMPDIR/bm

	mkdir "$W/out"
	scene_eio "$NOVA/$APRIL_UUID/disk" 20000000 1000000 |
		sed 's/^eio/hang/' | disk_faults "$bm"
	in_background "$RESCUEFS" export --damaged "$BM,deadline=600s" \
		--state "$W/killed" -o "$W/out/a" "$D"
	pid=$!
	wait_until 30 holds_new_file "$pid" "$W/out"
	nothing_but
	kill -9 "$pid"
	disk_faults "$bm" <"$SCENE/faults"
	wait_until 30 is_gone "$pid"
	nothing_but
}

# It has begun a file there, which has no name yet.
holds_new_file()
{
	[[ $(readlink "/proc/$1/fd/"* 2>/dev/null) = *"$2/#"* ]]
}

@test "P1: no device that is mounted, no source, and not into the mount" {
	truncate -s 300M "$W/image"
	mkfs.ext4 -q "$W/image"
	LOOP=$(losetup -f --show "$W/image")
	mkdir "$W/there"
	mount "$LOOP" "$W/there"
	run export_disk -o "$LOOP" "$D"
	umount "$W/there"
	[ "$status" -eq 2 ]
	[[ $output = *"it is mounted or held by something else"* ]]
	# A volume of a source, which is in its folder by a link only.
	mkdir "$W/lv"
	ln -s "$LOOP" "$W/lv/volume-00000001"
	run -2 export_disk --volumes "$W/lv/volume-*" -o "$LOOP" "$D"
	[[ $output = *"is volume-00000001 of the source backup, which is never written"* ]]
	find "$BACKUP" -printf '%p %T@ %s\n' | sort >"$W/before"
	run -2 export_disk -o "$BACKUP/a" "$D"
	[[ $output = *"which is never written"* ]]
	run -2 export_disk -o "$W/a" --manifest "$BACKUP/m" "$D"
	run -2 env TMPDIR="$BACKUP" "$RESCUEFS" export --damaged "$SOURCE" \
		--backup "$BACKUP" --state "$STATE" --minimum -o "$W/a" "$D"
	[[ $output = *"which is never written"* ]]
	run -2 export_disk -o "$BM/a" "$D"
	find "$BACKUP" -printf '%p %T@ %s\n' | sort | diff "$W/before" -
	mount_it
	run -2 export_disk -o "$MNT/a" "$D"
	[[ $output = *"lies in the mount $MNT"* ]]
	run -2 export_disk -o "$W/a" --manifest "$MNT/m" "$D"
	[[ $output = *"lies in the mount $MNT"* ]]
}

@test "a lost block ends it, and nothing is left; zeros are told" {
	mkdir "$W/out"
	run -3 export_alone -o "$W/out/a" "$D"
	[[ $output = *"april-ci/disk cannot be read in bytes "*"--lost zero"* ]]
	nothing_but
	run -1 export_alone --lost zero -o "$W/out/a" "$D"
	cp --sparse=always "$TRUTH/$D.raw" "$W/want"
	truncate -s 256M "$W/zeros"
	{
		scene_expect data
		scene_expect table
		scene_expect base | while read -r _ _ len disk off; do
			echo "$disk $off $len"
		done
	} | awk -v d="$D" '$1 == d { print $2, $3 }' |
		patch_from "$W/want" "$W/zeros"
	cmp "$W/out/a" "$W/want"
	jq -e '.zeroed > 0 and .zeroed == .totals.lost' \
		"$W/out/a.manifest.json"
	# Where the site makes them zeros, it is no read that fails.
	printf '[site]\nlost = zero\n[source bm]\nkind = damaged\nroot = %s\ndeadline = 60s\n' \
		"$BM" >"$W/site"
	rm "$W/out/"*
	run -3 client "$RESCUEFS" export "$W/site" --state "$W/zero" \
		-o "$W/out/a" "$D"
	[[ $output = *"bytes of april-ci/disk are lost, and zeros by the site"* ]]
	nothing_but
}

@test "P2: what was only late is not lost, and makes no zeros" {
	local bm=$BATS_FILE_TMPDIR/bm

	mkdir "$W/out"
	{
		cat "$SCENE/faults"
		scene_eio "$NOVA/$APRIL_UUID/disk.config" 1024 512 |
			sed 's/^eio/hang/'
	} | disk_faults "$bm"
	run client "$RESCUEFS" export --damaged "$BM" --state "$W/late" \
		--lost zero -o "$W/out/a" april-ci/disk.config
	disk_faults "$bm" <"$SCENE/faults"
	[ "$status" -eq 3 ]
	[[ $output = *"were not delivered in time, which does not make them lost"* ]]
	nothing_but
}

@test "qcow2: the same disk, and the digests of both" {
	mkdir "$W/out"
	run -0 export_disk --format qcow2 -o "$W/out/a" "$D"
	qemu-img compare -f qcow2 -F raw "$W/out/a" "$WANT"
	digests_are "$W/out/a.manifest.json"
	jq .file "$W/out/a.manifest.json" >"$W/file"
	[ "$(jq -r .sha512 "$W/file")" = "$(sha512sum <"$W/out/a" | cut -d' ' -f1)" ]
	[ "$(jq -r .md5 "$W/file")" = "$(md5sum <"$W/out/a" | cut -d' ' -f1)" ]
	[ "$(jq -r .size "$W/file")" = "$(stat -c %s "$W/out/a")" ]
	nothing_but ./a ./a.manifest.json
	run -2 export_disk --format qcow2 -o - "$D"
	run -2 export_disk --format vmdk -o "$W/out/b" "$D"
}

@test "the smallest: mended and shrunken, and the disk itself is as it was" {
	run -0 export_disk --minimum -o "$W/a" "$D"
	e2fsck -fn "$W/a"
	[ "$(stat -c %s "$W/a")" -lt 150000000 ]
	[ "$(jq -r .sha512 "$W/a.manifest.json")" = \
		"$(sha512sum <"$W/a" | cut -d' ' -f1)" ]
	for f in 1 2 3; do
		cmp <(debugfs -R "cat /srv/kept/$f.bin" "$W/a" 2>/dev/null) \
			<(debugfs -R "cat /srv/kept/$f.bin" "$TRUTH/$D.raw" \
				2>/dev/null)
	done
	[ "$(debugfs -R 'cat /srv/kept/1.bin' "$W/a" 2>/dev/null | wc -c)" -gt 0 ]
	run -0 --separate-stderr export_disk -o - --manifest "$W/m" "$D" \
		>/dev/null
	digests_are "$W/m"
	# What is no filesystem is not its matter; that is wrong use.
	mkdir "$W/lv"
	seeded_bytes noise 1048576 >"$W/lv/volume-00000143"
	run -2 export_disk --volumes "$W/lv" --minimum -o "$W/c" volume-00000143
	[[ $output = *"--minimum is for an ext filesystem"* ]]
	[ ! -e "$W/c" ]
}

@test "beside a mount: what was written goes with it, a shrunken disk too" {
	mount_it
	printf 'written by the user' |
		dd of="$MNT/instances/$D" bs=1 seek=5000000 conv=notrunc status=none
	truncate -s 100M "$MNT/instances/$D"
	run -0 export_disk -o "$W/a" "$D"
	head -c 104857600 "$WANT" >"$W/want"
	printf 'written by the user' |
		dd of="$W/want" bs=1 seek=5000000 conv=notrunc status=none
	cmp "$W/a" "$W/want"
	[ "$(jq .totals.local "$W/a.manifest.json")" -gt 0 ]
}

@test "wrong use: one sentence, and nothing is made" {
	mkdir "$W/out"
	run -2 export_disk "$D"
	run -2 export_disk -o "$W/out/a" --glance x "$D"
	run -2 export_disk --lost maybe -o "$W/out/a" "$D"
	run -2 export_disk -o "$W/out/no/a" "$D"
	run -2 export_disk -o "$W/out/a" nobody/disk
	run -2 export_disk --json -o - "$D"
	nothing_but
	run -0 export_disk --help
	[[ $output = usage:* ]]
}

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
	need_scene python3
	scene_attach "$BATS_FILE_TMPDIR/bm"
}

teardown_file()
{
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	D=april-ci/disk
	STATE=$BATS_FILE_TMPDIR/state
	LOOP=
}

teardown()
{
	rescue_umount "$W"
	[[ ! $LOOP ]] || losetup -d "$LOOP"
}

export_disk()
{
	client "$RESCUEFS" export --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" "$@"
}

# The damaged host alone: what it cannot read is lost.
export_alone()
{
	client "$RESCUEFS" export --damaged "$BM" --state "$W/alone" "$@"
}

# The truth, with yesterday's bytes where only those can be read.
merged_truth()
{
	cp --sparse=always "$TRUTH/$D.raw" "$1"
	scene_expect data | while read -r disk off len _; do
		[[ $disk != "$D" ]] || echo "$off $len"
	done | patch_from "$1" "$YESTERDAY/$D.raw"
}

digest_is()
{
	[ "$(jq -r ".$1" "$2")" = "$("${1}sum" <"$3" | cut -d' ' -f1)" ]
}

nothing_but()
{
	[ "$(cd "$W/out" && find . -mindepth 1 | sort | paste -sd' ')" = "$*" ]
}

@test "a file: byte for byte, sparse, with its digests and its manifest" {
	mkdir "$W/out"
	run -0 --separate-stderr export_disk -o "$W/out/a" "$D"
	[ -z "$output" ]
	merged_truth "$W/want"
	cmp "$W/out/a" "$W/want"
	(($(stat -c %b "$W/out/a") * 512 < 100000000))
	digest_is md5 "$W/out/a.manifest.json" "$W/want"
	digest_is sha512 "$W/out/a.manifest.json" "$W/want"
	# shellcheck disable=SC2154 # by bats
	[[ $stderr = *"$(md5sum <"$W/want" | cut -d' ' -f1)"* ]]
	jq -e --argjson stale "$(scene_expect data | awk -v d="$D" \
		'$1 == d { s += $3 } END { print s }')" '
		.disk == "april-ci/disk" and .size == 268435456 and
		.zeroed == 0 and .file.format == "raw" and
		.totals.stale == $stale and .totals.unread == 0 and
		([.totals[]] | add) == .size and
		(.losses.losses | length) > 0 and
		[.sources[].name] == ["bm0002", "backup"]' \
		"$W/out/a.manifest.json"
	[ "$(stat -c %a "$W/out/a")" = 600 ]
	nothing_but ./a ./a.manifest.json
}

@test "what is there is not written over, unless it is told to" {
	mkdir "$W/out"
	echo mine >"$W/out/a"
	run -2 export_disk -o "$W/out/a" "$D"
	[[ $output = *"is not written over without --force"* ]]
	[ "$(<"$W/out/a")" = mine ]
	nothing_but ./a
	# A manifest is somebody's, too.
	mv "$W/out/a" "$W/out/b.manifest.json"
	run -2 export_disk -o "$W/out/b" "$D"
	nothing_but ./b.manifest.json
	run -0 export_disk --force -o "$W/out/b" "$D"
	[ "$(stat -c %s "$W/out/b")" = 268435456 ]
	jq -e .sha512 "$W/out/b.manifest.json"
	nothing_but ./b ./b.manifest.json
	ln -s b "$W/out/c"
	run -2 export_disk --force -o "$W/out/c" "$D"
}

@test "a pipe: the same bytes; who stops reading stops it" {
	merged_truth "$W/want"
	export_disk -o - --manifest "$W/m" "$D" | cmp - "$W/want"
	digest_is sha512 "$W/m" "$W/want"
	# A pipe by its name.
	mkfifo "$W/fifo"
	cmp "$W/fifo" "$W/want" &
	export_disk -o "$W/fifo" "$D"
	wait $!
	# shellcheck disable=SC2016 # its own
	run -2 --separate-stderr bash -c '"$@" | head -c 1000 >/dev/null
		exit "${PIPESTATUS[0]}"' - "$RESCUEFS" export --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" -o - "$D"
	[[ $stderr = *"who read it has gone, after "*" bytes"* ]]
}

@test "a block device: zeros where it held others, refused if it is too small" {
	seeded_bytes device 268500000 >"$W/image"
	LOOP=$(losetup -f --show "$W/image")
	export_disk -o "$LOOP" "$D"
	merged_truth "$W/want"
	cmp -n 268435456 "$LOOP" "$W/want"
	# Behind the disk nothing is written.
	cmp -i 268435456 "$W/image" <(seeded_bytes device 268500000)
	losetup -d "$LOOP"
	LOOP=
	truncate -s 100M "$W/image"
	LOOP=$(losetup -f --show "$W/image")
	md5sum "$W/image" >"$W/before"
	run -2 export_disk -o "$LOOP" "$D"
	[[ $output = *"$LOOP has 104857600 bytes, and the disk 268435456"* ]]
	md5sum -c "$W/before"
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
	digest_tree "$BACKUP" >"$W/before"
	run -2 export_disk -o "$BACKUP/a" "$D"
	[[ $output = *"which is never written"* ]]
	run -2 export_disk -o "$BM/a" "$D"
	digest_tree "$BACKUP" | diff "$W/before" -
	rescue_mount "$W"
	run -2 export_disk -o "$MNT/a" "$D"
	[[ $output = *"lies in the mount $MNT"* ]]
}

@test "a lost block ends it, and nothing is left; zeros are told" {
	mkdir "$W/out"
	run -3 export_alone -o "$W/out/a" "$D"
	[[ $output = *"april-ci/disk is lost in bytes "*"--lost zero"* ]]
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
	printf '[site]\nlost = zero\n[source bm]\nkind = damaged\nroot = %s\n' \
		"$BM" >"$W/site"
	rm "$W/out/"*
	run -3 client "$RESCUEFS" export "$W/site" --state "$W/zero" \
		-o "$W/out/a" "$D"
	[[ $output = *"bytes of april-ci/disk are lost, and zeros by the site"* ]]
	nothing_but
}

@test "qcow2: the same disk, and the digests of both" {
	mkdir "$W/out"
	run -0 export_disk --format qcow2 -o "$W/out/a" "$D"
	merged_truth "$W/want"
	qemu-img compare -f qcow2 -F raw "$W/out/a" "$W/want"
	digest_is md5 "$W/out/a.manifest.json" "$W/want"
	jq .file "$W/out/a.manifest.json" >"$W/file"
	digest_is sha512 "$W/file" "$W/out/a"
	[ "$(jq -r .size "$W/file")" = "$(stat -c %s "$W/out/a")" ]
	nothing_but ./a ./a.manifest.json
	run -2 export_disk --format qcow2 -o - "$D"
	run -2 export_disk --format vmdk -o "$W/out/b" "$D"
}

@test "the smallest: mended and shrunken, and the disk itself is as it was" {
	local d=$D

	run -0 export_disk --minimum -o "$W/a" "$d"
	e2fsck -fn "$W/a"
	[ "$(stat -c %s "$W/a")" -lt 150000000 ]
	digest_is sha512 "$W/a.manifest.json" "$W/a"
	for f in 1 2 3; do
		cmp <(debugfs -R "cat /srv/kept/$f.bin" "$W/a" 2>/dev/null) \
			<(debugfs -R "cat /srv/kept/$f.bin" "$TRUTH/$d.raw" \
				2>/dev/null)
	done
	[ "$(debugfs -R 'cat /srv/kept/1.bin' "$W/a" 2>/dev/null | wc -c)" -gt 0 ]
	run -0 --separate-stderr export_disk --manifest "$W/m" -o "$W/b" "$d"
	merged_truth "$W/want"
	cmp "$W/b" "$W/want"
}

@test "beside a mount: what was written to the disk goes with it" {
	rescue_mount "$W"
	printf 'written by the user' |
		dd of="$MNT/instances/$D" bs=1 seek=5000000 conv=notrunc status=none
	run -0 export_disk -o "$W/a" "$D"
	merged_truth "$W/want"
	printf 'written by the user' |
		dd of="$W/want" bs=1 seek=5000000 conv=notrunc status=none
	cmp "$W/a" "$W/want"
	[ "$(jq .totals.local "$W/a.manifest.json")" -gt 0 ]
	(($(stat -c %b "$W/a") * 512 < 100000000))
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

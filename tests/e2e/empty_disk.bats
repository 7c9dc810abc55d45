#!/usr/bin/env bats
# A disk of 0 bytes, as a host that loses its power leaves one, and a disk that is
# shorter than what is on it: both say so, and neither is taken for whole.
bats_require_minimum_version 1.5.0

load lib/common

setup_file()
{
	cd "$BATS_FILE_TMPDIR" && mkdir vg bk tree || return
	seeded_bytes tree 300000 >tree/file
	truncate -s 8M bk/volume-00000001
	mkfs.ext4 -q -b 1024 -d tree bk/volume-00000001
	cp bk/volume-00000001 bk/volume-00000002
	touch -d 2013-05-10T03:00:00Z bk/*
	: >vg/volume-00000001
	head -c 4M bk/volume-00000002 >vg/volume-00000002
	cat >site.conf <<-EOT
	[site]
	state = state
	[source h]
	kind = damaged
	volumes = vg
	[source b]
	kind = backup
	host = h
	volumes = bk
	EOT
}

verb()
{
	client "$RESCUEFS" "$1" "$BATS_FILE_TMPDIR/site.conf" "${@:2}"
}

@test "an empty disk is said to be empty" {
	run -0 verb losses volume-00000001
	[[ $output = *"It is empty; rescuefs scan"* ]]
	[[ $output != *"partition table"* ]]
	run -0 verb map volume-00000001
	[[ $output = *"0 bytes: there is nothing to draw" ]]
	run -0 verb scan
	[[ $output = *"volume-00000001    0B"*" 8.0M"* ]]
	run verb plan volume-00000001
	[[ $output = *"the disk is empty, or could not be opened"* ]]
}

@test "what is printed onto a full disk is not passed off as whole" {
	for v in scan status; do
		run ! bash -c "$RESCUEFS $v site.conf >/dev/full"
		[[ $output = *"could not be written"* ]]
	done
}

@test "a disk that was cut short is not whole" {
	run -1 verb losses volume-00000002
	[[ $output = *"its last 4.2 MB would lie behind the end of the disk"* ]]
	run -1 verb losses --json volume-00000002
	jq -e '.matters and .volumes[0].missing == 4194304' <<<"$output"
	run -1 verb report --no-advice -o "$BATS_FILE_TMPDIR/page.html"
	grep -q "cut short" "$BATS_FILE_TMPDIR/page.html"
}

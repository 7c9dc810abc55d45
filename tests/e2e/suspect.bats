#!/usr/bin/env bats
# A dying disk that answers, and answers wrongly: zeros, flipped bits, errors that
# heal, and one that is gone.  What it says is held against its equals once, and
# never silently preferred.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
BASE=9f2c61a4a1b2c3d4e5f60718293a4b5c6d7e8f90

# A host with a disk on a base image, and a raw disk that has changed since its
# backup, in an ext4 on a device that fails.
setup_file()
{
	need_disk jq getfattr mkfs.ext4
	export T=$BATS_FILE_TMPDIR
	local root=$T/root old=$T/backup/bm0002.the.re

	small_instance "$root" "$KEPT" kept raw
	small_instance "$root" "$TORN" torn raw
	rm "$root/$NOVA/$TORN/disk"
	nova_disk_info "$root" "$TORN" disk=qcow2
	mkdir -p "$root/$NOVA/_base" "$T/backup"
	seeded_bytes "$RESCUEFS_SEED base" $((4 * M)) >"$root/$NOVA/_base/$BASE"
	nova_overlay "$root" "$TORN/disk" "$BASE" $((4 * M))
	nova_convert "$root" "$NOVA/$TORN/disk" "$T/want.raw"
	mkdir -p "$root/srv"
	seeded_bytes "$RESCUEFS_SEED same" $((256 << 10)) >"$root/srv/same"
	seeded_bytes "$RESCUEFS_SEED new" $((64 << 10)) >"$root/srv/changed"
	find "$root" -exec touch -h -d 2013-05-11T03:00:00Z {} +
	cp -a "$root" "$old"
	seeded_bytes "$RESCUEFS_SEED old" $((64 << 10)) >"$old/srv/changed"
	touch -d 2013-05-10T03:00:00Z "$old/srv/changed"
	cp -a "$root" "$T/older"
	seeded_bytes old $((8 * M)) >"$old/$NOVA/$KEPT/disk"
	touch -d 2013-05-10T03:00:00Z "$old/$NOVA/$KEPT/disk"
	rm -r "$T/older/$NOVA/$KEPT"
	cp "$root/$NOVA/$KEPT/disk" "$T/kept.raw"
	truncate -s 64M "$T/host.img"
	mkfs.ext4 -q -b 4096 -d "$root" "$T/host.img"
	rm -r "$root"
}

setup()
{
	W=$BATS_TEST_TMPDIR/w
	BM=$W/bm0002.the.re
	MNT=$W/rescue
	mkdir -p "$BM" "$MNT"
}

teardown()
{
	rescue_umount "$W"
	let_go "$BM"
	disk_stop "$W/disk"
	[[ ! -s $W/loop ]] || losetup -d "$(<"$W/loop")"
}

# at PATH OFF: where the byte of the host's file lies on its device.
at()
{
	local block

	block=$(debugfs -R "bmap /$1 $(($2 / 4096))" "$T/host.img" 2>/dev/null)
	((block)) || die "no block at $2 of $1" || return
	echo $((block * 4096 + $2 % 4096))
}

# attach: the host's device fails as the lines on stdin say.
attach()
{
	mkdir -p "$W/disk"
	cat >"$W/these"
	disk_start "$W/disk" "$T/host.img" "$W/these"
	client mount -t ext4 -o ro,norecovery "$DISK" "$BM"
}

# site [LINE...]: the site file; the lines are in [site].
site()
{
	{
		printf '%s\n' "[site]" "state = $W/state" "$@"
		printf '%s\n' "[source bm0002]" "kind = damaged" "root = $BM"
		printf '%s\n' "[source backup]" "kind = backup" "host = bm0002" \
			"root = ${BACKUP-$T/backup/bm0002.the.re}" \
			"taken = 2013-05-10T12:00:00Z"
		[[ ! ${OLDER-} ]] || printf '%s\n' "[source older]" \
			"kind = backup" "host = bm0002" "root = $OLDER" \
			"taken = 2013-05-09T12:00:00Z"
	} >"$W/site.conf"
}

view()
{
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
}

# is IMAGE WANT [MIB]: its first bytes, in large reads, or all of them.
is()
{
	client dd if="$1" bs=1M ${3:+count="$3"} status=none |
		cmp - <(head -c "${3:-1024}M" "$2")
}

# suspects: "OFF LEN SOURCE SUSPECT" of each range, by the JSON.
suspects()
{
	jq -r '.extents[] | select(.suspect) |
		"\(.offset) \(.length) \(.source) \(.suspect)"' \
		"$MNT/instances/torn/rescue/disk.json"
}

# most PATH: how often a sector of the host's file was touched at the most.
most()
{
	{
		debugfs -R "blocks /$1" "$T/host.img" 2>/dev/null |
			tr ' ' '\n' | sed '/^$/d'
		# A line for each block: the counts of its eight sectors.
		od -An -v -w32 -tu4 "$W/disk/counts"
	} | awk 'NF == 1 { mine[$1] = 1 }
		NF == 8 && (n++ in mine) { for (i = 1; i <= 8; i++)
			if ($i > most) most = $i }
		END { print most + 0 }'
}

@test "zeros in place of an error: the backup's equal is believed, and it is said" {
	local a b json status=0

	a=$(at "$NOVA/_base/$BASE" "$M")
	b=$(at "$NOVA/_base/$BASE" $((3 * M + 8192)))
	attach <<-EOT
	zero $a 4096
	zero $((b + 512)) 512
	EOT
	site
	view
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	[ "$(suspects)" = "$M 4096 backup bm0002
$((3 * M + 8704)) 512 backup bm0002" ]
	[ "$(jq .suspect "$MNT/instances/torn/rescue/disk.json")" -eq 4608 ]
	[ "$(jq .totals.fresh "$MNT/instances/torn/rescue/disk.json")" -eq \
		$((4 * M)) ]
	client getfattr --only-values -n user.rescuefs.suspect \
		"$MNT/instances/torn/disk" | grep -qx 4608
	client grep -q "0x00100000  0x00001000  from backup, and not as bm0002" \
		"$MNT/instances/torn/rescue/disk.map"
	client grep -q "suspect, from backup, and not as it is on bm0002" \
		"$MNT/instances/torn/rescue/disk.svg"
	client "$RESCUEFS" report --quiet "$W/site.conf" -o - |
		grep -q "suspect, from backup, and not as it is on bm0002"
	client "$RESCUEFS" map --plain "$W/site.conf" torn/disk |
		grep -q '!  .*4.6 kB .*suspect, from backup'
	json=$(client "$RESCUEFS" status --json "$W/site.conf") || status=$?
	[ "$status" -eq 1 ]
	jq -e '.sources[0].rescued.suspect == 4608' <<<"$json"
	jq -e '.notes | any(test("bm0002:.*should hold the same"))' <<<"$json"
	client "$RESCUEFS" status "$W/site.conf" | grep "SUSPECT: 4.6 kB"
	# As the source alone has it, which nobody has tampered with.
	run ! client cmp -s "$MNT/sources/bm0002/instances/torn/disk" "$T/want.raw"
	[ "$(most "$NOVA/_base/$BASE")" -eq 1 ]
	# For ever after, without another touch.
	rescue_umount "$W"
	view
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	[ "$(suspects | wc -l)" -eq 2 ]
	[ "$(most "$NOVA/_base/$BASE")" -eq 1 ]
}

@test "flipped bits, after a fetch too; what has no equal is not doubted" {
	local a b

	a=$(at "$NOVA/_base/$BASE" $((2 * M)))
	b=$(at "$NOVA/$KEPT/disk" 4096)
	attach <<-EOT
	flip $((a + 100)) 1
	flip $b 512
	EOT
	site
	client "$RESCUEFS" fetch "$W/site.conf" torn/disk
	view
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	[ "$(suspects)" = "$((2 * M)) 512 backup bm0002" ]
	[ "$(most "$NOVA/_base/$BASE")" -eq 1 ]
	# Its backup is of another day: nothing to be held against it.
	run -1 client cmp "$MNT/instances/kept/disk" "$T/kept.raw"
	[[ $output == *"char 4097,"* ]]
	[ "$(jq .suspect "$MNT/instances/kept/rescue/disk.json")" -eq 0 ]
}

@test "of three copies the majority is believed, whoever is the odd one" {
	local base=$NOVA/_base/$BASE

	attach <<<"flip $(at "$base" "$M") 4096"
	cp -a "$T/backup/bm0002.the.re" "$W/backup"
	seeded_bytes odd 4096 | dd of="$W/backup/$base" bs=4096 \
		seek=$((2 * M / 4096)) conv=notrunc status=none
	BACKUP=$W/backup OLDER=$T/older site
	view
	client cmp "$MNT/instances/torn/disk" "$T/want.raw"
	[ "$(suspects)" = "$M 4096 backup bm0002
$((2 * M)) 4096 bm0002 backup" ]
}

@test "a host's file: its equal is believed, and its elder is not asked" {
	local want=$T/backup/bm0002.the.re/srv/same json

	attach <<-EOT
	zero $(at srv/same 8192) 4096
	flip $(at srv/same 131072) 512
	flip $(at srv/changed 4096) 512
	EOT
	site
	view
	client cmp "$MNT/hosts/bm0002/srv/same" "$want"
	# Of another day: nothing to be held against it.
	client cat "$MNT/hosts/bm0002/srv/changed" >"$W/changed"
	cmp "$W/changed" "$BM/srv/changed"
	run ! cmp -s "$W/changed" "$T/backup/bm0002.the.re/srv/changed"
	json=$(client "$RESCUEFS" status --json "$W/site.conf") || true
	jq -e '.sources[0].rescued.suspect == 4608' <<<"$json"
	jq -e '.notes | any(test("bm0002:/srv/same.*should hold the same"))' \
		<<<"$json"
	[ "$(most srv/same)" -eq 1 ]
	# For ever after, without another touch, and without the backup.
	rescue_umount "$W"
	view
	client cmp "$MNT/hosts/bm0002/srv/same" "$want"
	[ "$(most srv/same)" -eq 1 ]
	rescue_umount "$W"
	BACKUP=$W/none site
	view
	run client cmp "$MNT/hosts/bm0002/srv/same" "$want"
	[ "$status" -ne 0 ]
	[[ $output != *differ* ]]
}

@test "a host's file in three copies: the majority is believed" {
	local want=$T/backup/bm0002.the.re/srv/same

	attach <<<"flip $(at srv/same 8192) 4096"
	cp -a "$T/backup/bm0002.the.re" "$W/backup"
	seeded_bytes odd 4096 | dd of="$W/backup/srv/same" bs=4096 seek=8 \
		conv=notrunc status=none
	touch -d 2013-05-11T03:00:00Z "$W/backup/srv/same"
	BACKUP=$W/backup OLDER=$T/older site
	view
	client cmp "$MNT/hosts/bm0002/srv/same" "$want"
	rescue_umount "$W"
	view
	client cmp "$MNT/hosts/bm0002/srv/same" "$want"
}

@test "suspect = off believes the disk, and that stays; wrong words are named" {
	attach <<<"zero $(at "$NOVA/_base/$BASE" "$M") 4096"
	cp "$T/want.raw" "$W/zeros"
	dd if=/dev/zero of="$W/zeros" bs=4096 seek=$((M / 4096)) count=1 \
		conv=notrunc status=none
	site "suspect = off"
	view
	client cmp "$MNT/instances/torn/disk" "$W/zeros"
	rescue_umount "$W"
	site "suspect = compare"
	view
	client cmp "$MNT/instances/torn/disk" "$W/zeros"
	[ -z "$(suspects)" ]
	"$RESCUEFS" scan "$W/site.conf" --write "$W/again.conf"
	grep -qx "suspect = compare" "$W/again.conf"
	site "suspect = maybe"
	run ! "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"suspect = maybe: must be one of: compare off"* ]]
}

@test "an error that heals: what was served stays, until a refresh" {
	local off=$((2 * M)) a

	a=$(at "$NOVA/$KEPT/disk" "$off")
	attach <<<"eio $a 512 2"
	site
	view
	cp "$T/kept.raw" "$W/mixed"
	dd if="$T/backup/bm0002.the.re/$NOVA/$KEPT/disk" of="$W/mixed" bs=512 \
		skip=$((off / 512)) seek=$((off / 512)) count=1 conv=notrunc \
		status=none
	client cmp "$MNT/instances/kept/disk" "$W/mixed"
	[ "$(disk_touches "$W/disk" "$a")" -le 2 ]
	# It would be read by now, and nobody asks.
	client cmp "$MNT/instances/kept/disk" "$W/mixed"
	rescue_umount "$W"
	view
	client cmp "$MNT/instances/kept/disk" "$W/mixed"
	[ "$(disk_touches "$W/disk" "$a")" -le 2 ]
	rescue_umount "$W"
	client "$RESCUEFS" refresh "$W/site.conf" kept/disk
	view
	client cmp "$MNT/instances/kept/disk" "$T/kept.raw"
}

@test "an error that heals: a fetch that tries again delivers" {
	local a

	a=$(at "$NOVA/$KEPT/disk" $((2 * M)))
	attach <<<"eio $a 512 3"
	site
	client "$RESCUEFS" fetch --retries 2 "$W/site.conf" kept/disk
	[ "$(disk_touches "$W/disk" "$a")" -le 4 ]
	view
	client cmp "$MNT/instances/kept/disk" "$T/kept.raw"
}

# A loop device over a file that is cut to nothing: no size, and no answers, as
# when a disk is pulled out.
vanish()
{
	truncate -s 0 "$W/pulled.img"
	losetup -c "$LOOP"
}

# pull FILE: LOOP becomes that file, as a device to be pulled out.
pull()
{
	cp "$1" "$W/pulled.img"
	# Others look for a free loop device at the same time.
	looped()
	{
		LOOP=$(losetup -r -f --show --direct-io=on "$W/pulled.img")
	}
	wait_until 30 looped
	echo "$LOOP" >"$W/loop"
}

come_back()
{
	let_go "$BM"
	cp "$T/host.img" "$W/pulled.img"
	losetup -c "$LOOP"
	client mount -t ext4 -o ro,norecovery "$LOOP" "$BM"
}

@test "a source that vanishes: the next serves, and nothing of it is taken for bad" {
	local old=$T/backup/bm0002.the.re/$NOVA/$KEPT/disk json got=0

	pull "$T/host.img"
	client mount -t ext4 -o ro,norecovery "$LOOP" "$BM"
	site
	view
	is "$MNT/instances/kept/disk" "$T/kept.raw" 1
	vanish
	# What was delivered is kept; the rest is yesterday's.
	head -c 4M "$T/kept.raw" >"$W/mixed"
	dd if="$old" of="$W/mixed" bs=1M skip=1 seek=1 count=3 conv=notrunc \
		status=none
	is "$MNT/instances/kept/disk" "$W/mixed" 4
	json=$(client "$RESCUEFS" status --json "$W/site.conf") || got=$?
	[ "$got" -eq 3 ]
	jq -e '.sources[0].gone and .sources[0].rescued.bad == 0 and
		(.sources[1].gone | not)' <<<"$json"
	jq -e '.notes | any(test("bm0002: its device .* is gone"))' <<<"$json"
	client "$RESCUEFS" status "$W/site.conf" | grep "GONE: its device"
	rescue_umount "$W"
	come_back
	# P4: what was served stays.
	view
	is "$MNT/instances/kept/disk" "$W/mixed" 4
	rescue_umount "$W"
	client "$RESCUEFS" refresh "$W/site.conf" kept/disk
	view
	is "$MNT/instances/kept/disk" "$T/kept.raw"
	json=$(client "$RESCUEFS" status --json "$W/site.conf") || true
	jq -e '.sources[0].gone | not' <<<"$json"
}

@test "a volume whose device vanishes is not bad to its end" {
	local json got=0

	mkdir -p "$W/vg" "$W/lv"
	pull "$T/kept.raw"
	ln -s "$LOOP" "$W/vg/volume-00000001"
	seeded_bytes old $((8 * M)) >"$W/lv/volume-00000001"
	touch -d 2013-05-10T03:00:00Z "$W/lv/volume-00000001"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	volumes = $W/vg
	[source backup]
	kind = backup
	host = bm0002
	volumes = $W/lv
	[disk volume-00000001]
	prefer = bm0002 backup
	EOT
	view
	is "$MNT/volumes/volume-00000001" "$T/kept.raw" 1
	vanish
	cp "$W/lv/volume-00000001" "$W/mixed"
	dd if="$T/kept.raw" of="$W/mixed" bs=1M count=1 conv=notrunc status=none
	is "$MNT/volumes/volume-00000001" "$W/mixed"
	json=$(client "$RESCUEFS" status --json "$W/site.conf") || got=$?
	[ "$got" -eq 3 ]
	jq -e '.sources[0].gone and .sources[0].rescued.bad == 0' <<<"$json"
}

#!/usr/bin/env bats
# Several entries of an L1 table are lost, and no other copy tells them: what was
# found is told, and placed by hand.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

# What an L2 table of clusters of 4 KiB maps, and the entries in use of each.
SPAN=$((2 << 20))
USED=20

setup_file()
{
	local dir t

	small_setup_file getfattr jq qemu-img qemu-io sfdisk
	dir=$BM/$NOVA/$BROKEN
	qemu-img create -q -f qcow2 -o cluster_size=4k "$dir/disk" \
		$((3 * SPAN)) || return
	for t in 2 0 1; do
		((t != 1)) || cp "$dir/disk" "$BATS_FILE_TMPDIR/yesterday"
		qemu-io -f qcow2 -c "write -q -P $((t + 1)) $((t * SPAN)) 80k" \
			"$dir/disk" >&2 || return
	done
	qemu-img convert -f qcow2 -O raw "$dir/disk" "$BATS_FILE_TMPDIR/truth"
}

setup()
{
	work_setup
	DIR=$W/bm0002
	MNT=$W/mnt
	mkdir -p "$MNT"
	cp -a "$BM" "$DIR"
	IMG=$DIR/$NOVA/$BROKEN/disk
	JSON=$MNT/instances/broken/rescue/disk.json
	lose_l1
}

teardown()
{
	unmount
	rm -rf "$W"
}

unmount()
{
	let_go "$MNT"
	[[ ! -e $W/state/lock ]] ||
		wait_until 60 flock -n "$W/state/lock" true
}

# be64 FILE OFF: a big-endian number as a qcow2 image has it.
be64()
{
	echo $((16#$(od -An -v -tx1 -j "$2" -N 8 "$1" | tr -d ' \n')))
}

# As GNU ddrescue leaves it: a mapfile that says so.
lose_l1()
{
	local l1 size t

	l1=$(be64 "$IMG" 40) size=$(stat -c %s "$IMG")
	for t in 0 1 2; do
		L2[t]=$(($(be64 "$IMG" $((l1 + 8 * t))) & 0x00fffffffffffe00))
	done
	printf '0x%x %s %s\n' 0 + 1 >"$IMG.map"
	printf '0x%x 0x%x %s\n' 0 "$l1" + "$l1" 4096 - \
		$((l1 + 4096)) $((size - l1 - 4096)) + >>"$IMG.map"
}

# The header too, which a backup of before the last table was made has.
lose_header()
{
	sed -i '2s/.*/0x0 0x200 -\n0x200 '"$(printf '0x%x' \
		$(($(be64 "$IMG" 40) - 512)))"' +/' "$IMG.map"
	cp -a "${BACKUP?}" "$W/backup"
	cp "$BATS_FILE_TMPDIR/yesterday" "$W/backup/$NOVA/$BROKEN/disk"
	touch -d yesterday "$W/backup/$NOVA/$BROKEN/disk"
}

# mount_with LINE...: a site file with these lines for the disk.
mount_with()
{
	printf '%s\n' "[site]" "state = $W/state" "[source bm0002]" \
		"kind = damaged" "root = $DIR" "[disk broken/disk]" "$@" \
		>"$W/site.conf"
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
}

said_by()
{
	client "$RESCUEFS" "$1" "$W/site.conf" "${@:2}" broken/disk \
		>"$W/said" || [ $? -eq 1 ]
}

# Beside the mount and after it, by each verb; FILE holds what the mount said.
strays_are_told()
{
	said_by status --json
	jq -S '.disks[0].strays' "$W/said" | diff "$1" -
	said_by losses --quiet --json
	jq -S .strays "$W/said" | diff "$1" -
	for verb in status losses; do
		said_by "$verb"
		grep -q 'Lost: 3 entries of the L1 table (0 to 2); found: 3 L2' \
			"$W/said"
		grep -q " at ${L2[1]}: $USED clusters, entries 0 to 19$" \
			"$W/said"
		grep -q "'table = ENTRY OFFSET'" "$W/said"
	done
}

@test "what was found is told by every verb, and none is used" {
	mount_with "heal = guessed"
	client cat "$MNT/instances/broken/disk" >/dev/null 2>&1 || true
	jq -e '.guessed == 0 and (.strays | .entries == 3 and .tables == 3 and
		.lost == [{first: 0, last: 2}])' "$JSON"
	jq -S .strays "$JSON" >"$W/want"
	jq -c '[.listed[].offset] | sort' "$W/want" |
		diff <(printf '%s\n' "${L2[@]}" | jq -sc sort) -
	strays_are_told "$W/want"
	unmount
	strays_are_told "$W/want"
}

@test "placed by hand: the disk is whole, and all of it is told as guessed" {
	mount_with "table = 0 ${L2[0]}" "table = 2 ${L2[2]}" \
		"table = 1 ${L2[1]}"
	client cmp "$BATS_FILE_TMPDIR/truth" "$MNT/instances/broken/disk"
	jq -e ".guessed == .healed and .guessed >= 3 * $USED * 4096 and
		.totals.lost == 0 and .totals.unproved == .guessed" "$JSON"
	[ "$(getfattr --only-values -n user.rescuefs.guessed \
		"$MNT/instances/broken/disk")" = "$(jq .guessed "$JSON")" ]
	jq .guessed "$JSON" >"$W/want"
	counts_are_told "$(<"$W/want")"
	unmount
	counts_are_told "$(<"$W/want")"
}

# counts_are_told BYTES: beside the mount and after it.
counts_are_told()
{
	said_by status --json
	jq -e --argjson n "$1" '.disks[0] | .guessed == $n and .healed == $n' \
		"$W/said"
	said_by status
	grep -q ' of these guessed$' "$W/said"
	said_by map --plain
	grep -q 'guessed, from bm0002, by tables that nothing leads to' \
		"$W/said"
}

@test "what cannot be is not used, and what makes no sense is refused" {
	mount_with "table = 0 65536" "table = 5 ${L2[1]}"
	run ! client dd if="$MNT/instances/broken/disk" bs=4k count=1 \
		status=none of=/dev/null
	said_by status
	grep -q 'table = 0 65536 is not used: ' "$W/said"
	grep -q "table = 5 ${L2[1]} is not used: the disk needs fewer" "$W/said"
	unmount
	run -2 mount_with "table = 0"
	[[ $output = *"site.conf:7: table = 0: must be the index"* ]]
	run -2 mount_with "table = 1 4096" "table = 1 65536"
	[[ $output = *"site.conf:8: table = 1 65536: that entry or that"* ]]
}

@test "two placed: the third goes with what is left, where guesses are allowed" {
	mount_with "heal = guessed" "table = 0 ${L2[0]}" "table = 2 ${L2[2]}"
	client cmp "$BATS_FILE_TMPDIR/truth" "$MNT/instances/broken/disk"
	jq -e '.strays == {entries: 0, lost: [], tables: 0, listed: []}' "$JSON"
}

@test "a wrong place stays until a refresh; then the right one is taken" {
	mount_with "table = 0 ${L2[1]}"
	client dd if="$MNT/instances/broken/disk" bs=64k count=1 status=none |
		tr -d '\002' | cmp - /dev/null
	unmount
	mount_with "table = 0 ${L2[0]}"
	client dd if="$MNT/instances/broken/disk" bs=64k count=1 status=none |
		tr -d '\002' | cmp - /dev/null
	said_by status
	grep -q "table = 0 ${L2[0]} waits: " "$W/said"
	unmount
	client "$RESCUEFS" refresh "$W/site.conf" broken/disk
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	client dd if="$MNT/instances/broken/disk" bs=64k count=1 status=none |
		tr -d '\001' | cmp - /dev/null
}

@test "a partitioned disk: its GPT tells the first table and the last" {
	local t

	cp "$BATS_FILE_TMPDIR/truth" "$W/truth"
	echo start=2048 | sfdisk --quiet --label gpt "$W/truth"
	qemu-img convert -f raw -O qcow2 -o cluster_size=4k "$W/truth" "$IMG"
	lose_l1
	mount_with "heal = guessed"
	client cmp "$W/truth" "$MNT/instances/broken/disk"
	jq -e ".guessed == .healed and .guessed >= 3 * $USED * 4096 and
		.strays.entries == 0 and .strays.tables == 0" "$JSON"
	said_by status
	for t in 0 2; do
		grep -q "at ${L2[t]} is guessed to belong to entry $t of" \
			"$W/said"
	done
	grep -q '1 L2 tables were found .* guessed to belong together' "$W/said"
}

@test "the header lost too: a table is placed, or guessed, by a backup's header" {
	local how backup=("[source backup]" "kind = backup" \
		"host = bm0002" "root = $W/backup")

	lose_header
	for how in "table = 1 ${L2[1]}" "heal = guessed"; do
		rm -rf "$W/state"
		mount_with "$how" "${backup[@]}"
		client cmp "$BATS_FILE_TMPDIR/truth" \
			"$MNT/instances/broken/disk"
		jq -e ".guessed >= $USED * 4096 and .healed > .guessed and
			.totals.lost == 0" "$JSON"
		unmount
	done
}

@test "the header lost, and no backup: it is said that nothing is placed" {
	lose_header
	mount_with "table = 1 ${L2[1]}"
	run ! client dd if="$MNT/instances/broken/disk" bs=4k count=1 \
		status=none of=/dev/null
	run -3 client "$RESCUEFS" status "$W/site.conf" broken/disk
	grep -q 'no other copy to take one from: no L2 table is placed' \
		<<<"$output"
}

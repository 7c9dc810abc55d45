#!/usr/bin/env bats
# Several backups of several ages, named one by one or by a pattern, of several
# damaged hosts in one site: which block comes from which age.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
CI=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11
WEB=4dc574c5-4254-4b1c-8d7e-0a1b2c3d4e5f
DAYS="2013-05-08 2013-05-09 2013-05-10"

# copy ROOT UUID NAME WHO BAD_FROM WHEN: a disk of 4 MiB of WHO's own bytes, of
# which what lies from BAD_FROM (in MiB) to its end was never copied.
copy()
{
	local dir=$1/$NOVA/$2 good=$(($5 * M))

	mkdir -p "$dir"
	nova_disk_info "$1" "$2" disk=raw
	nova_domain "$1" "instance-0000000${2:0:1}" "$2" "$3" m1.tiny 64 "$2" \
		disk
	seeded_bytes "$4-$3" $((4 * M)) >"$dir/disk"
	printf '0x0 +\n0x0 %d +\n%d %d -\n' $((good)) $((good)) \
		$((4 * M - good)) >"$dir/disk.map"
	((good < 4 * M)) || rm "$dir/disk.map"
	find "$1" -exec touch -hd "$6" {} +
}

# host NAME UUID INSTANCE: the damaged one and its backups of three days.
host()
{
	local bad=4 day

	for day in $DAYS; do
		copy "$T/backup/$day/$1.the.re" "$2" "$3" "$day" "$bad" "$day"
		bad=$((bad - 1))
	done
	copy "$T/mnt/$1" "$2" "$3" damaged 1 2013-05-11
}

setup_file()
{
	need_small jq ddrescuelog
	export T=$BATS_FILE_TMPDIR
	host bm0002 "$CI" ci
	host bm0003 "$WEB" web
	# Not a backup of that name, and no directory of that name.
	mkdir -p "$T/backup/2013-05-11/other"
	echo >"$T/backup/README"
}

setup()
{
	work_setup
	MNT=$W/rescue
}

teardown()
{
	rescue_umount "$W"
}

# check INSTANCE: each MiB is of the freshest that has it.
check()
{
	local i=0 who

	for who in damaged 2013-05-10 2013-05-09 2013-05-08; do
		client cmp -i $((i * M)) -n "$M" "$MNT/instances/$1/disk" \
			<(seeded_bytes "$who-$1" $((4 * M)))
		i=$((i + 1))
	done
}

# stale INSTANCE NAME...: of which source each block is that is not damaged's.
stale()
{
	local i=1 name

	client ddrescuelog --show-status "$MNT/instances/$1/rescue/disk.map"
	claims "$MNT/instances/$1/rescue/disk.json" stale >"$W/stale"
	shift
	for name; do
		echo "$((i * M)) $M $name"
		i=$((i + 1))
	done | diff - "$W/stale"
}

@test "patterns on the command line: three ages of two hosts" {
	mkdir "$MNT"
	client "$RESCUEFS" mount --damaged "$T/mnt/bm0002" \
		--damaged "$T/mnt/bm0003" \
		--backup "$T/backup/*/bm0002.the.re" \
		--backup "$T/backup/*/bm0003.the.re" \
		--state "$W/state" "$MNT" 3>&- 4>&-
	check ci
	check web
	stale ci bm0002.the.re-2013-05-{10,09,08}
	stale web bm0003.the.re-2013-05-{10,09,08}
	client cmp -n "$M" \
		"$MNT/sources/bm0003.the.re-2013-05-08/instances/web/disk" \
		"$T/backup/2013-05-08/bm0003.the.re/$NOVA/$WEB/disk"
}

@test "a pattern in a site file, and the same sources one by one" {
	mkdir "$MNT"
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	root = $T/mnt/bm0002
	[source bm0003]
	kind = damaged
	root = $T/mnt/bm0003
	[source backup]
	kind = backup
	host = bm0002
	root = $T/backup/*/bm0002.the.re
	[disk web/disk]
	lost = eio
	EOT
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	check ci
	stale ci backup-2013-05-{10,09,08}
	# No backup of this host was named.
	run ! client dd if="$MNT/instances/web/disk" of=/dev/null bs=1M skip=1
	rescue_umount "$W"
	rm -rf "$W/state"
	client "$RESCUEFS" mount --damaged "$T/mnt/bm0002" \
		--backup "$T/backup/2013-05-09/bm0002.the.re" \
		--backup "$T/backup/2013-05-08/bm0002.the.re" \
		--backup "$T/backup/2013-05-10/bm0002.the.re" \
		--state "$W/state" "$MNT" 3>&- 4>&-
	check ci
	stale ci backup-3 backup backup-2
}

@test "scan shows each age; the file that it writes has each source" {
	"$RESCUEFS" scan --damaged "$T/mnt/bm0002" --backup \
		"$T/backup/*/bm0002.the.re" --write "$W/site.conf" >"$W/scan"
	grep "backup .*re-2013-05-09 .*taken 2013-05-09T00:00:00Z" "$W/scan"
	grep -E "disk +4.0M .*bm0002 2013-05-11.* .*10T00:00:00Z" "$W/scan"
	"$RESCUEFS" scan "$W/site.conf" --json >"$W/json"
	jq -e '[.instances[0].disks[0].copies[].as_of[0:10]] ==
		["2013-05-11", "2013-05-10", "2013-05-09", "2013-05-08"]' "$W/json"
	jq -e '[.instances[0].disks[0].copies[].size] | unique == [4194304]' \
		"$W/json"
	# taken stands above the date in the path.
	"$RESCUEFS" scan --damaged "$T/mnt/bm0002" --backup \
		"$T/backup/*/bm0002.the.re,taken=2012-01-01" --json |
		jq -e '[.instances[0].disks[0].copies[1:][].as_of[0:4]] | unique ==
			["2012"]'
}

# site_with LINE...: a site file of the damaged host with these lines.
site_with()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm0002]
	kind = damaged
	root = $T/mnt/bm0002
	EOT
	printf '%s\n' "$@" >>"$W/site.conf"
}

# copies [SITE]: the sources of ci's disk, the first to be asked first.
copies()
{
	"$RESCUEFS" scan "${1-$W/site.conf}" --json |
		jq -r '[.instances[0].disks[0].copies[].source] | join(" ")'
}

@test "prefer names a pattern: its sources in order of age" {
	local pattern day=(b-2013-05-{08,09,10})

	pattern=("[source b]" "kind = backup" "host = bm0002"
		"root = $T/backup/*/bm0002.the.re" "[disk ci/disk]")
	site_with "${pattern[@]}"
	[[ $(copies) = "bm0002 ${day[2]} ${day[1]} ${day[0]}" ]]
	site_with "${pattern[@]}" "prefer = b"
	[[ $(copies) = "${day[2]} ${day[1]} ${day[0]} bm0002" ]]
	# A source by its own name stands where it is named first.
	site_with "${pattern[@]}" "prefer = ${day[0]} b bm0002"
	[[ $(copies) = "${day[0]} ${day[2]} ${day[1]} bm0002" ]]
	# In what scan writes each source has a section of its own.
	"$RESCUEFS" scan "$W/site.conf" --write "$W/again.conf" >/dev/null
	grep "^prefer = ${day[0]} ${day[2]} ${day[1]} bm0002\$" "$W/again.conf"
	[[ $(copies "$W/again.conf") = "$(copies)" ]]
	# So is the disk read.
	mkdir "$MNT"
	client "$RESCUEFS" mount "$W/site.conf" "$MNT" 3>&- 4>&-
	client cmp -n $((2 * M)) "$MNT/instances/ci/disk" \
		<(seeded_bytes 2013-05-08-ci $((4 * M)))
}

@test "two patterns that make one name, and names that mean two things" {
	local b=("[source b]" "kind = backup" "root = $T/backup/*/bm0002.the.re")

	mkdir -p "$W/2013/05-09/h" "$W/2013/05-08/h"
	# Line 6 has [source b], line 9 the other.
	while IFS='|' read -r name root want; do
		site_with "${b[@]}" "[source $name]" "kind = backup" \
			"root = $root"
		run -2 "$RESCUEFS" scan "$W/site.conf"
		echo "$output"
		[[ $output == *"$want"* && $output == *"site.conf:9: "* ]]
	done <<-EOT
	b-2013|$W/2013/*/h|called b-2013-05-08: $W/2013/05-08/h, and $T/backup/2013-05-08/bm0002.the.re (line 6)
	b-2013-05-10|$T/mnt/bm0003|called b-2013-05-10: $T/mnt/bm0003, and $T/backup/2013-05-10/bm0002.the.re (line 6)
	b|$W/2013/*/h|[source b] is said twice
	EOT
	# The pattern [source b-2013] itself, and a source of [source b].
	mkdir -p "$W/odd/2013/h" "$W/more/x/h"
	site_with "${b[@]/$T*/$W/odd/*/h}" "[source b-2013]" "kind = backup" \
		"root = $W/more/*/h"
	run -2 "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"site.conf:9: two sources are called b-2013: "*"(line 6)"* ]]
	site_with "${b[@]}" "[disk ci/disk]" "mapfile = b none"
	run -2 "$RESCUEFS" scan "$W/site.conf"
	[[ $output == *"'b' is a pattern of several sources; name one, such as 'b-2013-05-08'"* ]]
}

@test "a pattern that matches nothing, or stands where none can" {
	run "$RESCUEFS" scan --damaged "$T/mnt/bm0002" --backup "$T/none/*"
	[[ $status -eq 3 ]]
	[[ $output == *"$T/none/*: No such file or directory; no directory matches"* ]]
	[[ $output == *"NOT OPENED"* && $output == *ci* ]]
	run "$RESCUEFS" scan --damaged "$T/mnt/bm0002" --backup \
		"$T/backup/*/bm0002.the.re,volumes=$T/lv"
	[[ $status -eq 2 && $output == *"sources of their own"* ]]
	run "$RESCUEFS" scan --damaged "$T/mnt/bm0002" --backup \
		"$T/backup/*/bm0002.the.re" --volumes "$T/lv"
	[[ $status -eq 2 && $output == *"a source of their own"* ]]
	# A directory that is called so is itself.
	mkdir "$W/[a]"
	cp -a "$T/backup/2013-05-08/bm0002.the.re/." "$W/[a]"
	"$RESCUEFS" scan --backup "$W/[a]" --json | jq -e '.instances[0].uuid'
}

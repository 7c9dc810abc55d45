#!/usr/bin/env bats
# Map: the picture on the terminal, as SVG, as a mapfile and as JSON, beside a
# mount and without one; a single bad sector is never invisible.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/mount
load lib/volume

setup_file()
{
	volume_setup_file python3 script ddrescuelog
	# One sector each: of one the backup has an older one.
	STALE=$(at_block "$V/host.img" /kept/1 2)
	LOST=$((60 << 20))
	export STALE LOST
	truncate -s "$LOST" "$V/backup/$VOL.img"
	touch -d 2013-05-10T03:00:00Z "$V/backup/$VOL.img"
}

setup()
{
	work_setup
	volume_attach "$W" "$V" <<-EOT
	eio $STALE 512
	eio $LOST 512
	EOT
	volume_mount "$W"
	client head -c 512 "$IMAGE" >/dev/null
	client dd if="$IMAGE" bs=512 skip=$((STALE / 512)) count=1 status=none \
		>/dev/null
	client dd if="$IMAGE" bs=512 skip=$((LOST / 512)) count=1 status=none \
		>/dev/null 2>&1 || true
}

teardown()
{
	volume_detach "$W"
}

# cells TEXT: the picture's own signs, without what is around them.
cells()
{
	sed -n 's/^ *[0-9][0-9.]*\( [kMGT]*B\)\{0,1\}  \([^ ]*\)$/\2/p' <<<"$1" |
		tr -d '\n'
}

@test "--plain: one sign a cell, in ASCII, and the bad sectors are in it" {
	local text n

	text=$("$RESCUEFS" map "$W/site.conf" --plain --width 60 "$VOL")
	[[ $text != *[$'\x80'-$'\xff'$'\033']* ]]
	n=$(cells "$text" | wc -c)
	[ "$n" -gt 1000 ]
	[ "$n" -le $((24 * 50)) ]
	[ "$(cells "$text" | tr -cd B | wc -c)" -eq 1 ]
	[ "$(cells "$text" | tr -cd X | wc -c)" -eq 1 ]
	[ "$(cells "$text" | tr -cd '?' | wc -c)" -ge $((n - 4)) ]
	# They are where they should be, by the cell's own size.
	[ "$(cells "$text" | grep -bo X | cut -d: -f1)" -eq \
		$((LOST * n / (64 << 20))) ]
	[ "$(awk '{ if (length($0) > m) m = length($0) } END { print m }' \
		<<<"$(sed '1,2d;/^$/,$d' <<<"$text")")" -le 60 ]
	[[ $text = *"B   512 bytes  under 0.1 %  stale, from backup of 2013-05-10T03:00:00Z"* ]]
	[[ $text = *"X   512 bytes  under 0.1 %  lost: no source that may be used can read it"* ]]
	[[ $text = *"?"*"not read yet"* ]]
}

@test "colours on a terminal and nowhere else, Unicode where the locale has it" {
	local command="$RESCUEFS map $W/site.conf $VOL"

	run -0 "$RESCUEFS" map "$W/site.conf" "$VOL"
	[[ $output != *$'\033'* ]]
	run -0 env LC_ALL=C.UTF-8 "$RESCUEFS" map "$W/site.conf" "$VOL"
	[[ $output != *$'\033'* && $output = *×* && $output = *░* ]]
	run -0 env LC_ALL=C.UTF-8 TERM=xterm script -qec "stty cols 50; $command" /dev/null
	[[ $output = *$'\033[48;5;160;38;5;231m×\033[0m'* ]]
	[[ $output = *$'\033[48;5;208;38;5;16mB\033[0m'* ]]
	# The width of the terminal, and no more.
	[ "$(sed -n '/^ *0  /p' <<<"${output//$'\r'/}" |
		sed 's/\x1b\[[0-9;]*m//g' | LC_ALL=C.UTF-8 wc -m)" -eq 51 ]
	run -0 env NO_COLOR=1 TERM=xterm script -qec "$command" /dev/null
	[[ $output != *$'\033'* ]]
	run -0 "$RESCUEFS" map "$W/site.conf" --color "$VOL"
	[[ $output = *$'\033'* ]]
	run -2 "$RESCUEFS" map "$W/site.conf" --color=blue "$VOL"
	run -2 "$RESCUEFS" map "$W/site.conf" --width 3 "$VOL"
	run -2 "$RESCUEFS" map "$W/site.conf" --svg "$VOL" "$VOL"
}

@test "--json, --mapfile and --svg are the files in rescue/, with and without a mount" {
	local rescue=$MNT/volumes/rescue/$VOL form

	mkdir "$W/kept"
	for form in json map svg; do cp "$rescue.$form" "$W/kept"; done
	for form in json:json mapfile:map svg:svg; do
		"$RESCUEFS" map "$W/site.conf" "--${form%:*}" "$VOL" |
			cmp - "$W/kept/$VOL.${form#*:}"
	done
	ddrescuelog --show-status "$W/kept/$VOL.map"
	rescue_umount "$W"
	for form in json:json mapfile:map svg:svg; do
		"$RESCUEFS" map "$W/site.conf" "--${form%:*}" "$VOL" |
			cmp - "$W/kept/$VOL.${form#*:}"
	done
}

@test "the SVG is whole by itself, tells kinds by colour and hatch, and sectors by place" {
	"$RESCUEFS" map "$W/site.conf" --svg "$VOL" >"$W/svg"
	"$RESCUEFS" map "$W/site.conf" --json "$VOL" >"$W/json"
	python3 - "$W/svg" "$W/json" "$STALE" "$LOST" <<-'EOF'
	import json, re, sys
	import xml.etree.ElementTree as ET
	svg = ET.parse(sys.argv[1]).getroot()
	totals = json.load(open(sys.argv[2]))["totals"]
	ns = "{http://www.w3.org/2000/svg}"
	text = open(sys.argv[1]).read()
	assert svg.get("viewBox") and not svg.get("width")
	assert "href" not in text and "<script" not in text
	assert len(re.findall("http", text)) == 1
	looks = {}
	for p in svg.iter(ns + "pattern"):
	    looks["url(#%s)" % p.get("id")] = (p.find(ns + "rect").get("class"),
	                                      p.find(ns + "path").get("d"))
	assert len({l[0] for l in looks.values()}) == len(looks)
	cells = [(r, r.find(ns + "title").text) for r in svg.iter(ns + "rect")
	         if r.find(ns + "title") is not None]
	def at(off):
	    for r, title in cells:
	        a, b = map(int, re.match(r"(\d+) to (\d+): ", title).groups())
	        if a <= off < b:
	            return looks[r.get("fill")], title
	ends = [tuple(map(int, re.match(r"(\d+) to (\d+)", t).groups()))
	        for _, t in cells]
	assert ends[0][0] == 0 and ends[-1][1] == 64 << 20
	assert all(a[1] == b[0] for a, b in zip(ends, ends[1:]))
	stale, lost = at(int(sys.argv[3])), at(int(sys.argv[4]))
	assert stale[0][0].startswith("rfs-stale") and stale[0][1], stale
	assert lost[0][0] == "rfs-lost" and lost[0][1] != stale[0][1], lost
	assert "2013-05-10" in stale[1]
	assert "512 bytes" in text
	EOF
}

@test "what was written over stays told: % over stale, # over lost" {
	local at text

	for at in "$STALE" "$LOST"; do
		client dd if=/dev/zero of="$IMAGE" bs=512 seek=$((at / 512)) \
			count=1 conv=notrunc,fsync status=none
	done
	text=$("$RESCUEFS" map "$W/site.conf" --plain "$VOL")
	[ "$(cells "$text" | tr -cd '%#')" = "%#" ]
	[[ $text = *"%   512 bytes  under 0.1 %  written by you, over what was stale"* ]]
	[[ $text = *"#   512 bytes  under 0.1 %  written by you, over what was lost"* ]]
	[[ $(cells "$text") != *[BX]* ]]
}

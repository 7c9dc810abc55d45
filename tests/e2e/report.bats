#!/usr/bin/env bats
# Report: one page about a site, whose figures are those of map and losses; read
# without network and scripts; what a disk calls its files is text in it.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/mount
load lib/volume

EVIL='<script>document.title="taken"</script><img src=x onerror=document.title="taken">'$'\e[31m'

setup_file()
{
	volume_setup_file python3
	# A name that a browser could take for more than a name: of a file that is
	# hit, and of the filesystem.
	client mount -o loop "$V/host.img" "$V/m"
	seeded_bytes evil 4096 >"$V/m/${EVIL//\//:}"
	client umount "$V/m"
	e2label "$V/host.img" '<b>"&</b>'
	# Its number, as debugfs has words of its own.
	INODE=$(ask "$V/host.img" "ls -l /" | sed -n 's/^ *\([0-9]*\) .*<script>.*/\1/p')
	[ "$INODE" -gt 0 ]
	{
		echo "eio $(at_block "$V/host.img" "<$INODE>") 512"
		echo "eio $(at_block "$V/host.img" /changed/5 2) 1536"
		echo "eio $((60 << 20)) 1024"
	} >"$V/faults"
	truncate -s 60M "$V/backup/$VOL.img"
	touch -d 2013-05-10T03:00:00Z "$V/backup/$VOL.img"
}

setup()
{
	work_setup
	volume_attach "$W" "$V" <"$V/faults"
}

teardown()
{
	volume_detach "$W"
}

# browser ARG...: headless, with nothing of the user's and nothing to talk to.
browser()
{
	mkdir -p "$BATS_TEST_TMPDIR/home"
	HOME=$BATS_TEST_TMPDIR/home timeout -k 5 90 chromium --headless \
		--no-sandbox --disable-gpu --disable-quic --no-first-run \
		--disable-background-networking --disable-component-update \
		--disable-sync --disable-dev-shm-usage --hide-scrollbars \
		--user-data-dir="$BATS_TEST_TMPDIR/home/data" "$@" \
		2>"$W/browser.log"
}

need_browser()
{
	[[ $(type -P chromium) ]] || skip "needs chromium"
}

read_all()
{
	client dd if="$IMAGE" of=/dev/null bs=64k conv=noerror status=none \
		2>/dev/null || true
}

# figures FILE: "DISK KEY VALUE" of every figure that the page gives to programs.
figures()
{
	python3 - "$1" <<-'EOP'
	import html.parser, sys
	class P(html.parser.HTMLParser):
	    def handle_starttag(self, tag, attrs):
	        a = dict(attrs)
	        if tag == "tr" and a.get("class") == "disk":
	            for k in sorted(a):
	                if k.startswith("data-") and k != "data-disk":
	                    print(a["data-disk"], k[5:], a[k])
	P().feed(open(sys.argv[1]).read())
	EOP
}

# The same by the other verbs.
wanted()
{
	{
		"$RESCUEFS" map --json "$W/site.conf" "$VOL" |
			jq -r '(["size", .size], (.totals | to_entries[] |
				[.key, .value])) | "\(.[0]) \(.[1])"'
		"$RESCUEFS" losses --json "$W/site.conf" "$VOL" |
			jq -r '.sums | to_entries[] | .key as $s |
				(.value | to_entries[] |
				select(.key | IN("inodes", "data", "tables")) |
				"\($s)-\(.key) \(.value)")'
	} | sed "s/^/$VOL /" | sort
}

# What the page advises, as it stands there; and what rescuefs advise says.
advice_of_page()
{
	python3 - "$1" <<-'EOP'
	import html.parser, sys
	class P(html.parser.HTMLParser):
	    into, reason, commands = None, "", ""
	    def handle_starttag(self, tag, attrs):
	        a = dict(attrs)
	        c = a.get("class")
	        if c == "advice":
	            print("recommend", a["data-recommend"])
	        if c == "candidate":
	            print("candidate", a["data-name"], *(
	                f"{k[5:]}={a[k]}" for k in sorted(a)
	                if k.startswith("data-") and k != "data-name"))
	        if c in ("reason", "commands"):
	            self.into = c
	    def handle_endtag(self, tag):
	        self.into = None
	    def handle_data(self, data):
	        if self.into:
	            setattr(self, self.into, getattr(self, self.into) + data)
	p = P()
	p.feed(open(sys.argv[1]).read())
	print("reason", p.reason)
	print(p.commands.strip())
	EOP
}

advice_of_verb()
{
	client "$RESCUEFS" advise --json "$W/site.conf" "$VOL" >"$W/advice" ||
		[ $? -eq 1 ]
	python3 - "$W/advice" <<-'EOP'
	import json, sys
	a = json.load(open(sys.argv[1]))
	print("recommend", a["recommend"] or "none")
	for c in a["candidates"]:
	    f = {k: c[k] for k in ("lost", "stale", "lost_tables",
	         "stale_tables", "checksum", "unreadable", "files_hit")}
	    if c["given_up"] is not None:
	        f["given_up"] = c["given_up"]
	    f.update(c["e2fsck"] or {})
	    print("candidate", c["name"], *(f"{k}={f[k]}" for k in sorted(f)))
	print("reason", a["reason"])
	print("\n".join(a["commands"]))
	EOP
}

@test "its figures are those of map and losses, beside a mount and without one" {
	volume_mount "$W"
	read_all
	run -1 client "$RESCUEFS" report --no-advice "$W/site.conf" -o "$W/page.html"
	[ -z "$output" ]
	wanted >"$W/want" || true
	[ "$(wc -l <"$W/want")" -eq 17 ]
	figures "$W/page.html" | sort | diff "$W/want" -
	grep -q "^$VOL stale 2048$" "$W/want"
	grep -q "^$VOL lost 1024$" "$W/want"
	grep -q "^$VOL stale-inodes 2$" "$W/want"
	# What people read in it.
	grep -q '<td class="path" dir="ltr">/changed/5</td>' "$W/page.html"
	grep -q '2013-05-10T03:00:00Z' "$W/page.html"
	grep -q '512 bytes\|2.0 kB' "$W/page.html"
	rescue_umount "$W"
	run -1 client "$RESCUEFS" report --no-advice "$W/site.conf" --output "$W/page.html"
	figures "$W/page.html" | sort | diff "$W/want" -
	[ "$(find "$W" -maxdepth 1 -name 'page.html*' | wc -l)" -eq 1 ]
}

@test "it needs nothing but itself, and names in a disk are but text" {
	volume_mount "$W"
	read_all
	run -1 client "$RESCUEFS" report --no-advice "$W/site.conf" -o "$W/page.html"
	python3 - "$W/page.html" <<-'EOP'
	import html.parser, sys
	text = open(sys.argv[1]).read()
	class P(html.parser.HTMLParser):
	    tags, words = [], ""
	    def handle_starttag(self, tag, attrs):
	        self.tags.append(tag)
	        for k, v in attrs:
	            assert not k.startswith("on"), k
	            if k in ("src", "href", "xlink:href"):
	                assert v.startswith("#"), v
	    def handle_data(self, data):
	        self.words += data
	p = P()
	p.feed(text)
	assert not {"script", "img", "link", "iframe", "object", "b"} & set(p.tags)
	assert '<script>document.title="taken"<:script>' in p.words
	assert "\\x1b[31m" in p.words and "\x1b" not in text
	assert 'ext4 "<b>"&</b>"' in p.words
	assert text.replace("http://www.w3.org/2000/svg", "").count("http:") == 0
	assert "https:" not in text and "@import" not in text and "url(//" not in text
	EOP
	# Nor do they steer a terminal.
	run client "$RESCUEFS" losses "$W/site.conf" "$VOL"
	[[ $output = *'<script>'*'\x1b[31m'* && $output != *$'\e'* ]]
}

@test "in a browser: shown, with its figures, in light, in dark and on paper" {
	need_browser
	volume_mount "$W"
	read_all
	run -1 client "$RESCUEFS" report "$W/site.conf" -o "$W/page.html"
	wanted >"$W/want" || true
	browser --dump-dom "file://$W/page.html" >"$W/dom.html"
	figures "$W/dom.html" | sort | diff "$W/want" -
	advice_of_page "$W/dom.html" >"$W/got"
	advice_of_verb | diff - "$W/got"
	[ "$(grep -c '^candidate' "$W/got")" -eq 3 ]
	grep -q '^recommend' "$W/got"
	grep -q "<title>site</title>" "$W/dom.html"
	run ! grep -q "<script\|<img" "$W/dom.html"
	browser --window-size=1160,1400 --screenshot="$W/light.png" \
		--blink-settings=preferredColorScheme=1 "file://$W/page.html"
	browser --window-size=1160,1400 --screenshot="$W/dark.png" \
		--blink-settings=preferredColorScheme=0 "file://$W/page.html"
	browser --print-to-pdf="$W/paper.pdf" "file://$W/page.html"
	head -c 5 "$W/paper.pdf" | grep -q '%PDF-'
	# What is behind the text is light, dark; and there is a picture of many
	# colours in each.
	python3 - "$W/light.png" "$W/dark.png" <<-'EOP'
	import struct, sys, zlib
	def pixels(path):
	    data = open(path, "rb").read()
	    assert data[:8] == b"\x89PNG\r\n\x1a\n"
	    at, idat = 8, b""
	    while at < len(data):
	        n, kind = struct.unpack(">I4s", data[at:at + 8])
	        body = data[at + 8:at + 8 + n]
	        if kind == b"IHDR":
	            w, h, depth, colour = struct.unpack(">IIBB", body[:10])
	        if kind == b"IDAT":
	            idat += body
	        at += 12 + n
	    assert depth == 8 and colour in (2, 6)
	    bpp = 3 if colour == 2 else 4
	    raw, rows, prev = zlib.decompress(idat), [], bytearray(w * bpp)
	    for y in range(h):
	        f = raw[y * (w * bpp + 1)]
	        line = bytearray(raw[y * (w * bpp + 1) + 1:(y + 1) * (w * bpp + 1)])
	        for i in range(len(line)):
	            a = line[i - bpp] if i >= bpp else 0
	            b, c = prev[i], prev[i - bpp] if i >= bpp else 0
	            if f == 1: line[i] = line[i] + a & 255
	            elif f == 2: line[i] = line[i] + b & 255
	            elif f == 3: line[i] = line[i] + (a + b) // 2 & 255
	            elif f == 4:
	                p = a + b - c
	                pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
	                line[i] = line[i] + (a if pa <= pb and pa <= pc else
	                                     b if pb <= pc else c) & 255
	        rows.append(line)
	        prev = line
	    return w, h, {bytes(r[x * bpp:x * bpp + 3]) for r in rows[::2]
	                  for x in range(0, w, 2)}, bytes(rows[2][:3])
	for path, corner, fresh in ((sys.argv[1], "ffffff", "2f9e6e"),
	                            (sys.argv[2], "14171c", "2c8f64")):
	    w, h, colours, first = pixels(path)
	    assert (w, h) == (1160, 1400), (w, h)
	    assert first.hex() == corner, first.hex()
	    # Fresh blocks, and what is stale of them.
	    assert bytes.fromhex(fresh) in colours
	    assert bytes.fromhex("e8862e") in colours
	    assert len(colours) > 20
	EOP
}

@test "--quiet reads nothing; a disk that cannot be opened is on the page" {
	local before

	volume_mount "$W"
	client head -c 4096 "$IMAGE" >/dev/null
	before=$(disk_touches "$W/disk" 0 $((64 << 20)) | awk "{ n += \$1 } END { print n }")
	run -0 client "$RESCUEFS" report --quiet "$W/site.conf" -o "$W/page.html"
	[ "$(disk_touches "$W/disk" 0 $((64 << 20)) | awk "{ n += \$1 } END { print n }")" -eq "$before" ]
	grep -q "not read yet" "$W/page.html"
	rescue_umount "$W"

	mkdir "$W/more"
	echo no header >"$W/more/volume-00000999"
	cat >>"$W/site.conf" <<-EOT
	[source more]
	kind = backup
	host = bm0002
	volumes = $W/more
	[disk volume-00000999]
	format = qcow2
	EOT
	run -3 client "$RESCUEFS" report --no-advice "$W/site.conf" -o "$W/page.html"
	[[ $output = *volume-00000999* ]]
	grep -q 'class="verdict bad">cannot be opened' "$W/page.html"
	grep -q '<p class="error">volume-00000999' "$W/page.html"
}

@test "wrong words" {
	run -2 client "$RESCUEFS" report "$W/site.conf"
	[[ $output = *"say where the page goes"* ]]
	run -2 client "$RESCUEFS" report "$W/site.conf" -o "$W/nowhere/page.html"
	[[ $output = *"nowhere/page.html"* ]]
	# P1: on a source nothing is written.
	run -2 client "$RESCUEFS" report "$W/site.conf" -o "$V/backup/page.html"
	[[ $output = *"lies in the source backup"*"never written"* ]]
	[ ! -e "$V/backup/page.html" ]
	(cd "$W" && client "$RESCUEFS" report site.conf --quiet -o here.html)
	[ -s "$W/here.html" ]
	run -0 client "$RESCUEFS" report --help
	[[ $output = "usage: rescuefs report"* ]]
	client "$RESCUEFS" report "$W/site.conf" --quiet -o - >"$W/out"
	grep -q '^<!doctype html>' "$W/out"
}

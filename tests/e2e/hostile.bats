#!/usr/bin/env bats
# Hostile input: what a guest or a broken host wrote into names, headers and
# descriptions reaches nothing outside its source (P8), is not guessed at (P9),
# and costs its own disk only.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova

# What must never be served, 1 MiB of it, and where it lies.
MARK=this-is-outside-of-every-source
CLUSTER=65536

setup_file()
{
	need_mount
	export T=$BATS_FILE_TMPDIR
	export BM=$T/bm0002 BACKUP=$T/backup MNT=$T/rescue STATE=$T/state
	export SECRET=$T/secret

	mkdir -p "$MNT" "$BM/$NOVA/_base" "$BM/etc" "$BACKUP/$NOVA/_base"
	one_mib "$MARK" >"$SECRET"
	one_mib "inside of bm0002" >"$BM/etc/inside"
	seeded_bytes base 1048576 >"$BM/$NOVA/_base/good"
	seeded_bytes data $CLUSTER >"$T/data"
	make_escapes
	make_protocols
	make_specials
	make_loops
	make_headers
	make_names
	digest_tree "$BM" >"$T/digest.bm0002"
	digest_tree "$BACKUP" >"$T/digest.backup"
	client "$RESCUEFS" mount --damaged "$BM" --state "$STATE" \
		--backup "$BACKUP,host=bm0002" "$MNT" 3>&- 4>&-
}

teardown_file()
{
	[[ -d $BATS_FILE_TMPDIR/rescue ]] || return 0
	let_go "$BATS_FILE_TMPDIR/rescue"
}

need_mount()
{
	local tool

	[[ $(id -u) -eq 0 ]] || skip "needs root"
	[[ -x $RESCUEFS ]] || skip "needs $RESCUEFS"
	[[ -c /dev/fuse ]] || skip "needs /dev/fuse"
	for tool in qemu-img qemu-io getfattr jq openssl python3; do
		[[ -n $(type -P "$tool") ]] || skip "needs $tool"
	done
}

one_mib()
{
	yes "$1" | head -c 1048576 || true # yes is told that nobody reads on
}

uuid_of()
{
	printf '00000000-0000-4000-8000-%012d' "$1"
}

# instance ROOT N NAME [FORMAT]: its directory and its descriptions; sets DIR.
instance()
{
	local uuid

	uuid=$(uuid_of "$2")
	DIR=$1/$NOVA/$uuid
	mkdir -p "$DIR"
	nova_disk_info "$1" "$uuid" "disk=${4-qcow2}"
	nova_domain "$1" "$(printf 'instance-%08x' "$2")" "$uuid" "$3" \
		m1.tiny 512 2f6a1c34-90be-4d0f-a1b7-7c5d3e2f1a08 disk
}

# overlay FILE BACKING [FORMAT]: one cluster of data at 64 KiB, else BACKING's.
overlay()
{
	qemu-img create -q -f qcow2 -u "$1" 1M
	qemu-io -f qcow2 -c "write -q -s $T/data $CLUSTER $CLUSTER" "$1"
	qemu-img rebase -q -u -f qcow2 -F "${3-raw}" -b "$2" "$1"
}

make_escapes()
{
	local up=../../../../../../../../../../../..

	instance "$BM" 1 good
	overlay "$DIR/disk" "/$NOVA/_base/good"
	instance "$BM" 2 dots-out
	overlay "$DIR/disk" "$up$SECRET"
	instance "$BM" 3 dots-in
	overlay "$DIR/disk" "$up/etc/inside"
	instance "$BM" 4 link-out
	ln -s "$SECRET" "$DIR/link"
	overlay "$DIR/disk" link
	instance "$BM" 5 link-in
	ln -s /etc/inside "$DIR/link"
	overlay "$DIR/disk" link
	instance "$BM" 6 link-up
	ln -s "$up$T" "$DIR/up"
	overlay "$DIR/disk" up/secret
	instance "$BM" 7 disk-is-link raw
	ln -s "$SECRET" "$DIR/disk"
	instance "$BM" 8 data-file
	# Under the name outside there is something to be found.
	qemu-img create -q -f qcow2 -o "data_file=$T/secret.data" \
		"$DIR/disk" 1M
	qemu-io -f qcow2 -c "write -q -s $SECRET 0 1M" "$DIR/disk"
	grep -q "$MARK" "$T/secret.data"
}

make_protocols()
{
	local n=10 name

	for name in nbd://127.0.0.1:1/x nbd:unix:/tmp/x "json:{\"driver\":\
\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"$SECRET\"}}" \
		"file:$SECRET"; do
		instance "$BM" $n protocol-$n
		overlay "$DIR/disk" "$name"
		n=$((n + 1))
	done
	instance "$BM" 19 has-backup
	overlay "$DIR/disk" nbd://127.0.0.1:1/x
	instance "$BACKUP" 19 has-backup
	overlay "$DIR/disk" "/$NOVA/_base/good"
	cp "$BM/$NOVA/_base/good" "$BACKUP/$NOVA/_base/good"
}

make_specials()
{
	instance "$BM" 20 fifo-below
	mkfifo "$DIR/pipe"
	overlay "$DIR/disk" pipe
	instance "$BM" 21 device-below
	mknod "$DIR/zero" c 1 5
	overlay "$DIR/disk" zero
	instance "$BM" 22 fifo raw
	mkfifo "$DIR/disk"
	instance "$BM" 23 device raw
	mknod "$DIR/disk" c 1 5
	instance "$BM" 24 directory-below
	mkdir "$DIR/dir"
	overlay "$DIR/disk" dir
	instance "$BM" 25 missing-below
	overlay "$DIR/disk" "/$NOVA/_base/gone"
	instance "$BM" 26 fifo-describes
	cp "$T/data" "$DIR/disk"
	rm "$DIR/disk.info"
	mkfifo "$DIR/disk.info" "$BM/etc/libvirt/qemu/instance-0000fffe.xml"
	sed -i s/qcow2/raw/ "$BM/etc/libvirt/qemu/instance-0000001a.xml"
}

make_loops()
{
	instance "$BM" 30 loop-of-one
	overlay "$DIR/disk" disk qcow2
	instance "$BM" 31 loop-of-two
	overlay "$DIR/other" disk qcow2
	overlay "$DIR/disk" other qcow2
	instance "$BM" 32 loop-in-disguise
	ln -s . "$DIR/same"
	overlay "$DIR/disk" same/./disk qcow2
	instance "$BM" 33 link-loop
	ln -s link "$DIR/link"
	overlay "$DIR/disk" link
}

make_headers()
{
	local plain

	instance "$BM" 40 raw-in-disguise raw
	overlay "$DIR/disk" "$SECRET"
	instance "$BM" 41 undescribed
	overlay "$DIR/disk" "$SECRET"
	rm "$DIR/disk.info" "$BM/etc/libvirt/qemu/instance-00000029.xml"
	instance "$BM" 42 encrypted
	encrypted "$DIR/disk"
	instance "$BM" 43 encrypted-saved
	encrypted "$DIR/disk"
	instance "$BACKUP" 43 encrypted-saved
	plain=$DIR/disk
	qemu-img create -q -f qcow2 "$plain" 1M
	qemu-io -f qcow2 -c "write -q -s $T/data 0 $CLUSTER" "$plain"
	instance "$BM" 46 encrypted-luks
	encrypted "$DIR/disk"
	printf '\x02' | dd of="$DIR/disk" bs=1 seek=35 conv=notrunc status=none
	instance "$BM" 44 from-the-future
	overlay "$DIR/disk" "/$NOVA/_base/good"
	# Bit 40 of the incompatible features.
	printf '\x01' | dd of="$DIR/disk" bs=1 seek=74 conv=notrunc status=none
	instance "$BM" 45 liar
	seeded_bytes liar 100000 >"$DIR/disk"
}

# The old method: LUKS takes qemu-img seconds, and fails on a busy machine.
encrypted()
{
	qemu-img create -q -f qcow2 --object secret,id=s,data=pass \
		-o encrypt.format=aes,encrypt.key-secret=s "$1" 1M
}

# named N XML-TEXT: an instance with this display name, as the XML has it.
named()
{
	instance "$BM" "$1" PLACE raw
	seeded_bytes "named $1" 4096 >"$DIR/disk"
	python3 - "$BM/etc/libvirt/qemu/$(printf 'instance-%08x' "$1").xml" \
		"$2" <<-'PY'
	import os, sys
	path, name = sys.argv[1], os.fsencode(sys.argv[2])
	text = open(path, "rb").read().replace(b">PLACE<", b">" + name + b"<")
	open(path, "wb").write(text)
	PY
}

make_names()
{
	named 50 'a/b'
	named 51 'two&#10;lines'
	named 52 $'bad\xff\xfeutf8'
	named 53 '../../../etc'
	named 54 '..'
	named 55 twin
	named 56 twin
	named 57 '&#x9b;31mred&#x202e;'
	named 58 "$(printf 'x%.0s' {1..400})"
	named 59 'rescue'
	named 60 'dtd'
	sed -i '1i<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]>' \
		"$BM/etc/libvirt/qemu/instance-0000003c.xml"
}

# The tree's directory of an instance, whatever it is called.
place()
{
	readlink -f "$MNT/by-uuid/$(uuid_of "$1")"
}

# Everything that can be read, with zeros for what cannot.
all_of()
{
	client dd if="$1" bs=4096 conv=noerror,sync status=none
}

never_the_secret()
{
	all_of "$1" >"$BATS_TEST_TMPDIR/all" || true
	[ "$(grep -c "$MARK" "$BATS_TEST_TMPDIR/all")" -eq 0 ]
}

# only_its_own DISK: its one data cluster, and errors beside it.
only_its_own()
{
	client dd if="$1" bs=$CLUSTER skip=1 count=1 status=none |
		cmp - "$T/data"
	run ! client dd if="$1" bs=4096 count=1 of=/dev/null status=none
	[[ $output = *"Input/output error"* ]]
	run ! client dd if="$1" bs=4096 skip=$((2 * CLUSTER / 4096)) count=1 \
		of=/dev/null status=none
	[[ $output = *"Input/output error"* ]]
}

# over FILE DISK: the disk is its data cluster over FILE.
over()
{
	cp "$1" "$BATS_TEST_TMPDIR/want"
	dd if="$T/data" of="$BATS_TEST_TMPDIR/want" bs=$CLUSTER seek=1 \
		conv=notrunc status=none
	client cmp "$2" "$BATS_TEST_TMPDIR/want"
}

# refused DISK TEXT: it cannot be opened, and says why.
refused()
{
	run ! client dd if="$1" bs=512 count=1 of=/dev/null status=none
	[[ $output = *"Input/output error"* ]]
	run getfattr --only-values -n user.rescuefs.error "$1"
	echo "$output"
	[[ $output = *"$2"* ]]
}

@test "a good disk among them is whole" {
	over "$BM/$NOVA/_base/good" "$MNT/instances/good/disk"
}

@test "P8: a backing file with .. stays inside the source's root" {
	never_the_secret "$MNT/instances/dots-out/disk"
	only_its_own "$MNT/instances/dots-out/disk"
	over "$BM/etc/inside" "$MNT/instances/dots-in/disk"
}

@test "P8: a symlink's target is the host's and not ours" {
	never_the_secret "$MNT/instances/link-out/disk"
	only_its_own "$MNT/instances/link-out/disk"
	over "$BM/etc/inside" "$MNT/instances/link-in/disk"
	never_the_secret "$MNT/instances/link-up/disk"
	only_its_own "$MNT/instances/link-up/disk"
}

@test "P8: a disk that is a symlink leads nowhere outside" {
	local f

	for f in "$(place 7)"/disk \
		"$MNT/sources/bm0002/instances/disk-is-link/disk" \
		"$MNT/hosts/bm0002/$NOVA/$(uuid_of 2)/disk"; do
		never_the_secret "$f"
	done
}

@test "P8: an external data file is looked for inside the source" {
	never_the_secret "$MNT/instances/data-file/disk"
	run ! client dd if="$MNT/instances/data-file/disk" bs=4096 count=1 \
		of=/dev/null status=none
	[[ $output = *"Input/output error"* ]]
}

@test "P8: URLs, json: and the like are refused by name" {
	for n in 10 11 12 13; do
		never_the_secret "$MNT/instances/protocol-$n/disk"
	done
	refused "$MNT/instances/protocol-10/disk" nbd://127.0.0.1:1/x
	refused "$MNT/instances/protocol-11/disk" nbd:unix:/tmp/x
	refused "$MNT/instances/protocol-12/disk" json:
	refused "$MNT/instances/protocol-13/disk" "file:$SECRET"
}

@test "a refused copy is only that copy: the backup's stands in" {
	over "$BM/$NOVA/_base/good" "$MNT/instances/has-backup/disk"
	run jq -r '.extents | map(.source) | unique | join(" ")' \
		"$MNT/instances/has-backup/rescue/disk.json"
	[[ $output != *bm0002* ]]
	[[ $output = *backup* ]]
}

@test "P8: a FIFO, a device or a directory below a disk is not opened" {
	for name in fifo-below device-below directory-below; do
		CLIENT_SECONDS=10 only_its_own "$MNT/instances/$name/disk"
	done
}

@test "P8: a FIFO or a device in a disk's place is not opened" {
	for n in 22 23; do
		[ -d "$(place $n)" ] || continue
		run ! client head -c 512 "$(place $n)/disk"
		[[ $output != *imeout* ]]
	done
	run client "$RESCUEFS" scan --damaged "$BM"
	[ "$status" -eq 0 ]
	# The host's own tree shows them.  A FIFO there is the kernel's own, and
	# not the source's; a device is none.
	[ -p "$MNT/hosts/bm0002/$NOVA/$(uuid_of 22)/disk" ]
	[ -c "$MNT/hosts/bm0002/$NOVA/$(uuid_of 23)/disk" ]
	run -1 client head -c 1 "$MNT/hosts/bm0002/$NOVA/$(uuid_of 23)/disk"
	[[ $output = *"Permission denied"* ]]
}

@test "a FIFO in a description's place holds nothing up" {
	client cmp "$MNT/instances/fifo-describes/disk" "$T/data"
}

@test "a missing backing file costs what it held" {
	only_its_own "$MNT/instances/missing-below/disk"
	run client "$RESCUEFS" scan --damaged "$BM" missing-below
	[ "$status" -eq 0 ]
}

@test "a chain that comes back to itself is refused" {
	refused "$MNT/instances/loop-of-one/disk" "comes back to itself"
	refused "$MNT/instances/loop-of-two/disk" "comes back to itself"
	refused "$MNT/instances/loop-in-disguise/disk" "backing chain"
	refused "$MNT/instances/link-loop/disk" "symbolic links"
}

@test "P9: a raw disk with a qcow2 header in it is raw, byte for byte" {
	client cmp "$MNT/instances/raw-in-disguise/disk" \
		"$BM/$NOVA/$(uuid_of 40)/disk"
	never_the_secret "$MNT/instances/raw-in-disguise/disk"
	[ "$(getfattr --only-values -n user.rescuefs.format \
		"$MNT/instances/raw-in-disguise/disk")" = raw ]
}

@test "P9: what nothing describes is raw, and scan says so" {
	client cmp "$(place 41)/disk" "$BM/$NOVA/$(uuid_of 41)/disk"
	never_the_secret "$(place 41)/disk"
	run client "$RESCUEFS" scan --damaged "$BM" "$(uuid_of 41)"
	[ "$status" -eq 0 ]
	[[ $output = *"raw by nothing"* ]]
	run client "$RESCUEFS" scan --damaged "$BM"
	[[ $output = *"$(uuid_of 41)/disk: nothing describes its format"* ]]
}

@test "P9: what is told to be qcow2 and is not is refused" {
	refused "$MNT/instances/liar/disk" qcow2
}

@test "an encrypted image is refused by name, and its backup stands in" {
	refused "$MNT/instances/encrypted/disk" "encrypted with AES"
	refused "$MNT/instances/encrypted-luks/disk" "encrypted with LUKS"
	client dd if="$MNT/instances/encrypted-saved/disk" bs=$CLUSTER count=1 \
		status=none | cmp - "$T/data"
	jq -e '.totals.lost == 0 and .totals.unread < .size' \
		"$MNT/instances/encrypted-saved/rescue/disk.json"
}

@test "an unknown incompatible feature is refused by its number" {
	refused "$MNT/instances/from-the-future/disk" "incompatible feature 40"
}

@test "a name cannot be a path, a line or a colour" {
	local n p

	for n in 50 51 52 53 54 57 58 59 60; do
		p=$(place "$n")
		[ "$(dirname "$p")" = "$MNT/instances" ]
		client cmp "$p/disk" "$BM/$NOVA/$(uuid_of "$n")/disk"
	done
	[ -d "$MNT/instances/a\\x2fb" ]
	[ -d "$MNT/instances/two\\x0alines" ]
	[ -d "$MNT/instances/\\xc2\\x9b31mred\\xe2\\x80\\xae" ]
	# Whatever a source wrote, a listing is one printable line an entry.
	find "$MNT/instances" -mindepth 1 -maxdepth 1 -printf '%f\n' \
		>"$BATS_TEST_TMPDIR/names"
	[ "$(grep -c '[^ -~]' "$BATS_TEST_TMPDIR/names")" -eq 0 ]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/names")" -eq \
		"$(find "$MNT/by-uuid" -type l | wc -l)" ]
	run client "$RESCUEFS" scan --damaged "$BM"
	[ "$(grep -c $'[\x01-\x09\x0b-\x1f\x7f-\xff]' <<<"$output")" -eq 0 ]
	# The JSON is JSON.
	client "$RESCUEFS" scan --json --damaged "$BM" | jq -e .instances
	for n in 50 51 52 57; do
		jq -e .uuid "$(place "$n")/instance.json"
	done
}

@test "a domain with a DTD is not read, and its disk still is" {
	run client "$RESCUEFS" scan --damaged "$BM"
	[[ $output = *"DTD"* ]]
	[ -f "$(place 60)/disk" ]
	[ ! -e "$MNT/instances/dtd" ]
}

@test "two instances of one name are told apart by their uuids" {
	[[ $(place 55) = "$MNT/instances/twin-00000000"* ]]
	[[ $(place 56) = "$MNT/instances/twin-00000000"* ]]
	[ "$(place 55)" != "$(place 56)" ]
	[ ! -e "$MNT/instances/twin" ]
	for n in 55 56; do
		client cmp "$(place $n)/disk" "$BM/$NOVA/$(uuid_of $n)/disk"
	done
	# What is written to the one is not in the other.
	client dd if="$T/data" of="$(place 55)/disk" bs=512 count=1 \
		conv=notrunc status=none
	client cmp "$(place 56)/disk" "$BM/$NOVA/$(uuid_of 56)/disk"
}

@test "P1: the sources are as they were" {
	diff "$T/digest.bm0002" <(digest_tree "$BM")
	diff "$T/digest.backup" <(digest_tree "$BACKUP")
	[ "$(md5sum <"$SECRET")" = "$(one_mib "$MARK" | md5sum)" ]
}

#!/usr/bin/env bats
# Formats other than raw and qcow2.  Those that QEMU reads for us: a qemu-nbd of the
# mount's own, which starts only where the site file says the format, and ends with
# the mount.  qcow of version 1, and what is encrypted and needs a password.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
VOL=volume-00000143

setup_file()
{
	need_small jq qemu-nbd python3 nbdkit nbdfuse losetup
	export T=$BATS_FILE_TMPDIR
	{
		seeded_bytes foreign $((3 * M)) && head -c $((2 * M)) /dev/zero
		seeded_bytes more $((3 * M))
	} >"$T/truth.raw"
	for format in vmdk vdi vhdx; do
		qemu-img convert -O "$format" "$T/truth.raw" "$T/$format"
	done
	printf 'open sesame' >"$T/password"
	qemu-img convert -O qcow "$T/truth.raw" "$T/qcow"
	sealed qcow qcow-aes format=aes
	sealed qcow2 qcow2-aes format=aes
	sealed qcow2 qcow2-luks format=luks iter-time=10
	encrypted luks luks -o key-secret=s,iter-time=10
}

# encrypted DRIVER NAME OPTION...: the truth, with the password.  For LUKS qemu-img
# measures how fast it is, and gives up when the kernel's clock of it stood still.
encrypted()
{
	for _ in {1..50}; do
		qemu-img convert -O "$1" --object "secret,id=s,file=$T/password" \
			"${@:3}" "$T/truth.raw" "$T/$2" && return
	done
	return 1
}

# sealed DRIVER NAME OPTION...: encrypted as qcow has it.
sealed()
{
	encrypted "$1" "$2" \
		-o "encrypt.key-secret=s$(printf ',encrypt.%s' "${@:3}")"
}

setup()
{
	work_setup
	mkdir "$W/lv" "$W/bm"
	MNT=$W/rescue
}

teardown()
{
	[[ ! -d $W/disk ]] || disk_faults "$W/disk" </dev/null
	rescue_umount "$W"
	let_go "$W/mnt"
	disk_stop "$W/disk"
}

# site FORMAT [KIND [LINE]]: a volume in that format.
site()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	deadline = ${DEADLINE-60s}
	[source bm]
	kind = damaged
	root = $W/bm
	[source lv]
	kind = ${2-backup}
	host = bm
	volumes = $W/lv
	[disk $VOL]
	format = $1
	${3-}
	EOT
}

mount_site()
{
	mkdir -p "$MNT"
	rm -rf "$W/state"
	front_mount
}

# refused SENTENCE: the volume is not read, and the mount is there.
refused()
{
	mount_site
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
	told "cannot be used: .*$1"
	[[ -z $(servers) ]]
	rescue_umount "$W"
}

@test "vmdk, vdi and vhdx: byte for byte, and the program ends with the mount" {
	local format pid before

	for format in vmdk vdi vhdx; do
		cp "$T/$format" "$W/lv/$VOL"
		before=$(sha256sum <"$W/lv/$VOL")
		site "$format"
		mount_site
		client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
		client cmp "$MNT/sources/lv/volumes/$VOL" "$T/truth.raw"
		pid=$(servers)
		[[ $pid =~ ^[0-9]+$ ]]
		rescue_umount "$W"
		wait_until 60 test ! -e "/proc/$pid"
		[[ $(sha256sum <"$W/lv/$VOL") = "$before" ]]
		"$RESCUEFS" scan "$W/site.conf" |
			grep "$VOL .*$format by site file  lv "
	done
}

@test "a program that dies is started anew" {
	cp "$T/vdi" "$W/lv/$VOL"
	site vdi
	mount_site
	client cmp -n $((1 * M)) "$MNT/volumes/$VOL" "$T/truth.raw"
	kill -9 "$(servers)"
	wait_until 60 client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
}

@test "what a source says of its format starts no program" {
	small_instance "$W/bm" "$TORN" torn raw
	cp "$T/vdi" "$W/bm/$NOVA/$TORN/disk"
	nova_disk_info "$W/bm" "$TORN" disk=vdi
	cp "$T/vdi" "$W/lv/$VOL"
	site raw
	mount_site
	run ! client dd if="$MNT/instances/torn/disk" of=/dev/null count=1
	client cmp "$MNT/volumes/$VOL" "$T/vdi"
	[[ -z $(servers) ]]
}

@test "an image that names other files is refused, and no file is opened" {
	echo secret >"$W/secret"
	truncate -s 1M "$W/secret"
	printf '%s\n' '# Disk DescriptorFile' version=1 CID=fffffffe \
		parentCID=ffffffff 'createType="monolithicFlat"' \
		"RW 2048 FLAT \"$W/secret\" 0" >"$W/lv/$VOL"
	# It is what QEMU alone would read.
	qemu-img convert -f vmdk -O raw "$W/lv/$VOL" "$W/read"
	grep -q secret "$W/read"
	site vmdk
	refused "$VOL as vmdk is no VMDK image of one file"
	# The same behind a header without a capacity.
	{
		printf 'KDMV\1\0\0\0\3\0\0\0'
		head -c 500 /dev/zero
		cat "$W/lv/$VOL"
	} >"$W/x"
	mv "$W/x" "$W/lv/$VOL"
	refused "is no VMDK image of one file"
	# A parent is not opened, and its data is not taken for zeros.
	rm "$W/lv/$VOL"
	cp "$T/vmdk" "$W/parent.vmdk"
	qemu-img create -q -f vmdk -F vmdk -b "$W/parent.vmdk" "$W/lv/$VOL"
	refused "does not say that it has no parent"
}

@test "refused with a sentence, and the mount comes up without it" {
	head -c 1048576 /dev/zero >"$W/lv/$VOL"
	site vdi
	refused "$VOL as vdi: qemu-nbd does not open it as vdi"
	# The same by one whose file QEMU does not read itself.
	site vdi damaged
	refused "$VOL as vdi: qemu-nbd does not open it as vdi"
	cp "$T/vdi" "$W/lv/$VOL"
	site vdi
	mkdir "$W/bin"
	ln -s "$(type -P fusermount3)" "$W/bin"
	PATH=$W/bin mount_without
	wait_until 60 grep -q "there is no qemu-nbd to read it" "$W/log"
}

# place_in FILE OFF: where the sector of the truth at OFF lies in the image.
place_in()
{
	python3 - "$1" "$T/truth.raw" "$2" <<-'EOT'
	import sys
	image, truth = (open(p, "rb").read() for p in sys.argv[1:3])
	off = int(sys.argv[3])
	at = image.find(truth[off:off + 512])
	assert at > 0 and at % 512 == 0
	print(at)
	EOT
}

totals()
{
	client jq -c "[.totals.$1, .totals.stale]" \
		"$MNT/volumes/rescue/$VOL.json"
}

# none_twice: no sector of the disk was asked for more than twice, and those that
# were are around the bad one.
none_twice()
{
	local size

	size=$(stat -Lc %s "$DISK_FILE")
	disk_touches "$W/disk" 0 "$size" | awk '$1 > 2 { bad = 1 }
		$1 == 2 { two++ } END { exit bad || two > 128 }'
}

# spared FORMAT: on a failing disk.
spared()
{
	local at size

	disk_start "$W/disk" "$T/$1"
	ln -s "$DISK" "$W/lv/$VOL"
	at=$(place_in "$T/$1" "$M")
	size=$(stat -c %s "$T/$1")
	disk_faults "$W/disk" <<<"eio $at 512"
	site "$1" damaged
	mount_site
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 skip=2048 \
		count=1
	client cmp -n "$M" "$MNT/volumes/$VOL" "$T/truth.raw"
	client cmp -i $((M + 512)) "$MNT/volumes/$VOL" "$T/truth.raw"
	client cmp -n "$M" "$MNT/sources/lv/volumes/$VOL" "$T/truth.raw"
	[[ $(totals lost) = "[512,0]" ]]
	none_twice
	servers | xargs kill -9
	wait_until 60 client cmp -i $((6 * M)) "$MNT/volumes/$VOL" "$T/truth.raw"
	rescue_umount "$W"
	# Nor by another mount, whose program reads all from the start.
	disk_touches "$W/disk" 0 "$size" >"$W/before"
	front_mount
	client cmp -n "$M" "$MNT/volumes/$VOL" "$T/truth.raw"
	disk_touches "$W/disk" 0 "$size" | cmp - "$W/before"
}

@test "vmdk on a failing disk: we read the file, a bad sector costs a sector, and none is asked for again" {
	spared vmdk
}

@test "vdi on a failing disk: the same" {
	spared vdi
}

@test "vhdx on a failing disk: the same" {
	spared vhdx
}

@test "a bad sector of a table costs what QEMU reads by it, and a backup stands in" {
	local at

	disk_start "$W/disk" "$T/vmdk"
	ln -s "$DISK" "$W/lv/$VOL"
	# The first grain table: its directory's place is in the header, in sectors.
	at=$(python3 - "$T/vmdk" <<-'EOT'
	import struct, sys
	image = open(sys.argv[1], "rb").read()
	directory = struct.unpack_from("<Q", image, 56)[0] * 512
	print(struct.unpack_from("<I", image, directory)[0] * 512)
	EOT
	)
	disk_faults "$W/disk" <<<"eio $at 512"
	site vmdk damaged
	mount_site
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 count=1
	none_twice
	rescue_umount "$W"
	mkdir "$W/old"
	cp "$T/vmdk" "$W/old/$VOL"
	cat >>"$W/site.conf" <<-EOT
	[source old]
	kind = backup
	host = bm
	volumes = $W/old
	taken = 2013-05-10
	EOT
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	[[ $(totals lost) != "[0,0]" ]]
}

@test "a failing disk that hangs: what was late is not lost" {
	local at

	disk_start "$W/disk" "$T/vdi"
	ln -s "$DISK" "$W/lv/$VOL"
	DEADLINE=2s site vdi damaged
	at=$(place_in "$T/vdi" "$M")
	mount_site
	wait_until 60 client cmp -n 65536 "$MNT/volumes/$VOL" "$T/truth.raw"
	disk_faults "$W/disk" <<<"hang $at 512"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 \
		skip=2048 count=1
	[[ $(totals lost) = "[0,0]" ]]
	disk_faults "$W/disk" </dev/null
	wait_until 60 client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	[[ $(totals lost) = "[0,0]" ]]
}

@test "the end of a mount does not wait for a disk that hangs" {
	local at pid

	disk_start "$W/disk" "$T/vdi"
	ln -s "$DISK" "$W/lv/$VOL"
	DEADLINE=2s site vdi damaged
	at=$(place_in "$T/vdi" "$M")
	mount_site
	wait_until 60 client cmp -n 65536 "$MNT/volumes/$VOL" "$T/truth.raw"
	pid=$(servers)
	disk_faults "$W/disk" <<<"hang $at 512"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 \
		skip=2048 count=1
	client umount "$MNT"
	wait_until 60 is_gone "$MOUNT"
	wait_until 60 is_gone "$pid"
}

@test "an equal file on another source heals the image itself" {
	local at host=$W/host

	mkdir -p "$host" "$W/mnt"
	cp "$T/vmdk" "$host/$VOL"
	touch -d 2013-05-10T03:00:00Z "$host/$VOL"
	mkfs.ext4 -q -b 4096 -d "$host" "$W/host.img" 64M
	disk_start "$W/disk" "$W/host.img"
	at=$(place_in "$W/host.img" "$M")
	disk_faults "$W/disk" <<<"eio $at 512"
	mount -t ext4 -o ro,norecovery "$DISK" "$W/mnt"
	site vmdk damaged
	sed -i "s|^volumes = .*|volumes = $W/mnt|" "$W/site.conf"
	cat >>"$W/site.conf" <<-EOT
	[source old]
	kind = backup
	host = bm
	volumes = $host
	EOT
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	[[ $(totals fresh) = "[6291456,0]" ]]
	run ! client cmp "$MNT/sources/lv/volumes/$VOL" "$T/truth.raw"
	rescue_umount "$W"
	umount "$W/mnt"
}

@test "what is compressed, or was copied in part, is lent as well" {
	local at

	cp "$T/vhdx" "$W/lv/$VOL"
	gzip "$W/lv/$VOL"
	site vhdx
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	rescue_umount "$W"
	rm "$W/lv/$VOL.gz"
	cp "$T/vdi" "$W/lv/$VOL"
	at=$(place_in "$T/vdi" "$M")
	printf '0x0 +\n0x0 0x%x +\n0x%x 0x200 -\n0x%x 0x%x +\n' "$at" "$at" \
		$((at + 512)) $(($(stat -c %s "$T/vdi") - at - 512)) \
		>"$W/lv/$VOL.map"
	site vdi
	mount_site
	client cmp -n "$M" "$MNT/volumes/$VOL" "$T/truth.raw"
	# The page cache reads a page.
	client cmp -i $((M + 4096)) "$MNT/volumes/$VOL" "$T/truth.raw"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 skip=2048 \
		count=1
	[[ $(totals lost) = "[512,0]" ]]
}

@test "LUKS on a failing disk, by the same way" {
	disk_start "$W/disk" "$T/luks"
	ln -s "$DISK" "$W/lv/$VOL"
	site luks damaged "password_file = $T/password"
	mount_site
	client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	none_twice
}

mount_without()
{
	/bin/rm -rf "$W/state"
	"$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" 3>&- 4>&- &
	PATH=/usr/bin:/bin
	wait_until 60 mountpoint -q "$MNT"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
}

# scan_line FORMAT: the volume in the scan, with its format, size and age.
scan_line()
{
	local size time

	size=$(stat -c %s "$W/lv/$VOL")
	time=$(stat -c %Y "$W/lv/$VOL")
	"$RESCUEFS" scan --json "$W/site.conf" | jq -e --arg format "$1" \
		--argjson size "$size" --arg time "$(date -u -d "@$time" +%FT%T)" '
		[.. | objects | select(.format? == $format)] |
		length == 1 and (.[0] | .size == $size and
			(.as_of | startswith($time)))' >/dev/null
}

@test "qcow 1 and AES: byte for byte, with the password of a file, and without a program" {
	local image format before

	for image in qcow qcow-aes qcow2-aes; do
		format=${image%-aes}
		cp "$T/$image" "$W/lv/$VOL"
		before=$(sha256sum <"$W/lv/$VOL")
		site "$format" backup "password_file = $T/password"
		mount_site
		client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
		client cmp "$MNT/sources/lv/volumes/$VOL" "$T/truth.raw"
		[[ -z $(servers) ]]
		rescue_umount "$W"
		[[ $(sha256sum <"$W/lv/$VOL") = "$before" ]]
		scan_line "$format"
	done
}

@test "a bad sector of an encrypted image on a failing disk costs a sector, and no more" {
	local at l2

	disk_start "$W/disk" "$T/qcow2-aes"
	ln -s "$DISK" "$W/lv/$VOL"
	# The first cluster, by the tables: L1, then L2.
	at=$(number_at "$T/qcow2-aes" 40)
	l2=$(number_at "$T/qcow2-aes" "$at")
	at=$(number_at "$T/qcow2-aes" "$l2")
	disk_faults "$W/disk" <<<"eio $((at + 3 * 512)) 512"
	site qcow2 damaged "password_file = $T/password"
	mount_site
	client cmp -n 1536 "$MNT/volumes/$VOL" "$T/truth.raw"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=512 skip=3 count=1
	client cmp -i 2048 -n "$M" "$MNT/volumes/$VOL" "$T/truth.raw"
	rescue_umount "$W"
	[[ $("$RESCUEFS" map --json "$W/site.conf" "$VOL" |
		jq .totals.lost) = 512 ]]
}

# number_at FILE OFF: a table's entry, without its highest bit.
number_at()
{
	local hex

	hex=$(od -An -tx1 -j "$2" -N 8 "$1" | tr -d ' ')
	echo $((0x$hex & 0x7fffffffffffffff))
}

@test "LUKS, in qcow2 and by itself: byte for byte, by a program that is not told the password" {
	local format pid

	for format in qcow2-luks luks; do
		cp "$T/$format" "$W/lv/$VOL"
		site "$format" backup "password_file = $T/password"
		mount_site
		client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
		pid=$(servers)
		[[ $pid =~ ^[0-9]+$ ]]
		run ! grep -q sesame "/proc/$pid/cmdline"
		run ! grep -rq sesame "$W/state" "$W/log"
		rescue_umount "$W"
		scan_line "$format"
	done
}

# is_another PID: the mount has a program again, and not that one.
is_another()
{
	local pid

	pid=$(servers)
	[[ $pid =~ ^[0-9]+$ && $pid != "$1" ]]
}

# Somewhere else each time.
reads_on()
{
	AT=$((AT + 1))
	cmp -s <(client dd if="$MNT/volumes/$VOL" bs=4096 skip=$AT count=1 \
		status=none) \
		<(dd if="$T/truth.raw" bs=4096 skip=$AT count=1 status=none)
}

@test "the program of a LUKS image that dies is started again, with its password" {
	local pid format AT=8

	for format in qcow2-luks luks; do
		cp "$T/$format" "$W/lv/$VOL"
		site "$format" backup "password_file = $T/password"
		mount_site
		client cmp -n 4096 "$MNT/volumes/$VOL" "$T/truth.raw"
		# It is not asked for, nor looked up, again.
		mv "$T/password" "$T/away"
		pid=$(servers)
		[[ $pid =~ ^[0-9]+$ ]]
		kill -KILL "$pid"
		wait_until 60 is_another "$pid"
		wait_until 60 reads_on
		mv "$T/away" "$T/password"
		client "$RESCUEFS" status --json "$W/site.conf" >"$W/status" || true
		jq -e '.sources[] | select(.source == "lv") | .connections |
			length == 1 and .[0].state == "connected" and
			.[0].drops == 1' "$W/status"
		pid=$(servers)
		rescue_umount "$W"
		wait_until 60 test ! -e "/proc/$pid"
	done
}

@test "a program that cannot be started again sets its source aside, and that is said" {
	cp "$T/qcow2-luks" "$W/lv/$VOL"
	site qcow2-luks backup "password_file = $T/password"
	mkdir "$W/bin"
	ln -s "$(type -P fusermount3)" "$(type -P qemu-nbd)" "$W/bin"
	mkdir -p "$MNT"
	PATH=$W/bin /usr/bin/setsid "$RESCUEFS" mount -f "$W/site.conf" "$MNT" \
		2>"$W/log" 3>&- 4>&- &
	MOUNT=$!
	wait_until 60 mountpoint -q "$MNT"
	client cmp -n 4096 "$MNT/volumes/$VOL" "$T/truth.raw"
	rm "$W/bin/qemu-nbd"
	kill -KILL "$(servers)"
	lost()
	{
		client "$RESCUEFS" status "$W/site.conf" >"$W/status" || true
		grep "lv:.*$VOL as qcow2-luks: CONNECTION LOST since .*tried again" \
			"$W/status"
	}
	wait_until 60 lost
	grep "note: .*the connection is lost, and tried again" "$W/status"
	# Not asked yet: it is no zero, and no end.
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null bs=4096 skip=700 count=1
	ln -s "$(type -P qemu-nbd)" "$W/bin"
	AT=800
	wait_until 90 reads_on
}

@test "without its password, or with a wrong one, an image is refused, as far as it can tell" {
	cp "$T/qcow2-luks" "$W/lv/$VOL"
	site qcow2-luks
	refused "needs a password: say 'password_file'"
	site qcow2
	refused "LUKS, which qemu-nbd reads: say 'format = qcow2-luks'"
	echo wrong >"$W/wrong"
	site qcow2-luks backup "password_file = $W/wrong"
	refused "does not open it as qcow2-luks; is the password right"
	site qcow2-luks backup "password_file = $W/none"
	refused "password_file: .*$W/none: No such file"
	cp "$T/qcow2-aes" "$W/lv/$VOL"
	site qcow2-luks backup "password_file = $T/password"
	refused "is not encrypted with LUKS"
	site qcow2
	refused "encrypted with AES: say 'password_file'"
	# AES has nothing to tell it by, which is said.
	site qcow2 backup "password_file = $W/wrong"
	mount_site
	run ! client cmp -s "$MNT/volumes/$VOL" "$T/truth.raw"
	told "nothing to tell a wrong password by"
}

@test "a LUKS image that names another file is refused" {
	cp "$T/qcow2-luks" "$W/lv/$VOL"
	cp "$T/truth.raw" "$W/lv/base"
	# In the header: a name of 4 bytes at 32768.
	printf '\0\0\0\0\0\0\200\0\0\0\0\4' |
		dd of="$W/lv/$VOL" bs=1 seek=8 conv=notrunc status=none
	printf base | dd of="$W/lv/$VOL" bs=1 seek=32768 conv=notrunc status=none
	[[ $(qemu-img info "$W/lv/$VOL") = *"backing file: base"* ]]
	site qcow2-luks backup "password_file = $T/password"
	refused "needs another file, which is not opened"
}

@test "a password is asked for on the terminal, without echo, and is never in the site file" {
	cp "$T/qcow2-aes" "$W/lv/$VOL"
	site qcow2 backup "password = ask"
	mkdir -p "$MNT"
	client python3 - "$RESCUEFS" mount "$W/site.conf" "$MNT" \
		>"$W/log" 3>&- 4>&- <<-'EOT'
	import os, pty, sys, termios
	pid, tty = pty.fork()
	if pid == 0:
	    os.execv(sys.argv[1], sys.argv[1:])
	seen = b""
	while b"Password of" not in seen:
	    seen += os.read(tty, 100)
	while termios.tcgetattr(tty)[3] & termios.ECHO:
	    pass
	os.write(tty, b"open sesame\n")
	try:
	    while True:
	        more = os.read(tty, 100)
	        if not more:
	            break
	        seen += more
	except OSError:
	    pass
	print(seen.decode())
	sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	EOT
	grep "Password of $VOL: " "$W/log"
	run ! grep sesame "$W/log"
	client cmp "$MNT/volumes/$VOL" "$T/truth.raw"
	rescue_umount "$W"
	# Nobody to ask: no password, and the mount comes up.
	refused "encrypted with AES: say 'password_file'"
	site qcow2 backup "password = sesame"
	run -2 "$RESCUEFS" scan "$W/site.conf"
	[[ $output = *"a password does not stand in a site file"* ]]
	[[ $output != *sesame* ]]
}

@test "a backing file of qcow 1 is read as what the site file says, else as raw" {
	cp "$T/qcow" "$W/bm/base"
	qemu-img create -q -f qcow -b "$W/bm/base" -F qcow "$W/bm/top"
	small_instance "$W/bm" "$TORN" torn raw
	mv "$W/bm/top" "$W/bm/$NOVA/$TORN/disk"
	# Its header says where, inside the source.
	python3 - "$W/bm/$NOVA/$TORN/disk" "$W/bm/base" <<-'EOT'
	import sys
	data = open(sys.argv[1], "rb").read()
	name = sys.argv[2].encode()
	assert name in data
	data = data.replace(name, b"/" * (len(name) - 4) + b"base", 1)
	open(sys.argv[1], "wb").write(data)
	EOT
	cp "$T/qcow" "$W/lv/$VOL"
	site qcow
	printf '[disk torn/disk]\nformat = qcow\nbacking_format = qcow\n' \
		>>"$W/site.conf"
	mount_site
	client cmp "$MNT/instances/torn/disk" "$T/truth.raw"
	rescue_umount "$W"
	sed -i /backing_format/d "$W/site.conf"
	mount_site
	client cmp -n 4096 "$MNT/instances/torn/disk" "$T/qcow"
	told "does not say of what format its backing file"
}

#!/usr/bin/env bats
# Formats that QEMU reads for us: a qemu-nbd of the mount's own, which starts only
# where the site file says the format, and ends with the mount.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/mount
load lib/small

M=$((1 << 20))
VOL=volume-00000143

setup_file()
{
	need_small jq qemu-nbd
	export T=$BATS_FILE_TMPDIR
	{
		seeded_bytes foreign $((3 * M)) && head -c $((2 * M)) /dev/zero
		seeded_bytes more $((3 * M))
	} >"$T/truth.raw"
	for format in vmdk vdi vhdx; do
		qemu-img convert -O "$format" "$T/truth.raw" "$T/$format"
	done
}

setup()
{
	small_setup
	mkdir "$W/lv" "$W/bm"
	MNT=$W/rescue
}

teardown()
{
	rescue_umount "$W"
}

# site FORMAT [KIND]: a volume in that format.
site()
{
	cat >"$W/site.conf" <<-EOT
	[site]
	state = $W/state
	[source bm]
	kind = damaged
	root = $W/bm
	[source lv]
	kind = ${2-backup}
	host = bm
	volumes = $W/lv
	[disk $VOL]
	format = $1
	EOT
}

mount_site()
{
	mkdir -p "$MNT"
	rm -rf "$W/state"
	"$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" 3>&- 4>&- &
	MOUNT=$!
	wait_until 60 mountpoint -q "$MNT"
}

# The programs that the mount has started.
servers()
{
	cat "/proc/$MOUNT/task/"*/children 2>/dev/null | tr ' ' '\n' |
		while read -r pid; do
			[[ $(cat "/proc/$pid/comm" 2>/dev/null) != qemu-nbd ]] ||
				echo "$pid"
		done
}

# refused SENTENCE: the volume is not read, and the mount is there.
refused()
{
	mount_site
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
	wait_until 60 grep -q "$1" "$W/log"
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
	cp "$T/vdi" "$W/lv/$VOL"
	site vdi damaged
	refused "on a damaged source no other program reads"
	site vdi
	gzip "$W/lv/$VOL"
	refused "it is compressed as well"
	gunzip "$W/lv/$VOL.gz"
	printf '0x0 +\n0x0 0x1000 +\n' >"$W/lv/$VOL.map"
	refused "with a mapfile it cannot be read"
	rm "$W/lv/$VOL.map"
	mkdir "$W/bin"
	ln -s "$(type -P fusermount3)" "$W/bin"
	PATH=$W/bin mount_without
	wait_until 60 grep -q "there is no qemu-nbd to read it" "$W/log"
}

mount_without()
{
	/bin/rm -rf "$W/state"
	"$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" 3>&- 4>&- &
	PATH=/usr/bin:/bin
	wait_until 60 mountpoint -q "$MNT"
	run ! client dd if="$MNT/volumes/$VOL" of=/dev/null count=1
}

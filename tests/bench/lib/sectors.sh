#!/usr/bin/env bash
# sectors.sh WORK: one bad sector in a data cluster of a qcow2 disk, with a
# backup of another day; prints how many bytes are not the newest ones, by who
# merged the two, as JSON.
set -euo pipefail

# shellcheck source=/dev/null
. "${0%/*}/../../e2e/lib/common.bash"
# shellcheck source=/dev/null
. "${0%/*}/../../e2e/lib/disk.bash"

work=$1/sectors
mib=32
nova=var/lib/nova/instances
uuid=5b0e9a7c-1d2f-4c3b-8a69-0f1e2d3c4b5a
image=$nova/$uuid/disk

cleanup()
{
	let_go "$work/mnt"
	let_go "$work/host"
	disk_stop "$work/bm"
	rm -rf "$work"
}
trap cleanup EXIT

# noise SALT: bytes of which hardly any is that of another salt.
noise()
{
	head -c $((mib << 20)) /dev/zero |
		openssl enc -aes-128-ctr -nosalt -K "$(printf %032d "$1")" \
			-iv "$(printf %032d 0)"
}

# differing A B: the bytes of the sectors in which two files differ.
differing()
{
	cmp -l "$1" "$2" | awk '{ sectors[int(($1 - 1) / 512)] }
		END { print length(sectors) * 512 }'
}

make_sources()
{
	local root

	noise 11 >"$work/now.raw"
	noise 22 >"$work/then.raw"
	for root in "$work/tree" "$work/backup"; do
		mkdir -p "$root/$nova/$uuid"
		printf '{"/%s": "qcow2"}' "$image" >"$root/$nova/$uuid/disk.info"
	done
	qemu-img convert -O qcow2 "$work/now.raw" "$work/tree/$image"
	qemu-img convert -O qcow2 "$work/then.raw" "$work/backup/$image"
	touch -d 2026-01-01 "$work/backup/$image"
	mke2fs -q -t ext4 -b 4096 -d "$work/tree" "$work/host.img" 64M \
		>/dev/null
}

# The sector in the middle of the disk's file: a cluster of data.
break_it()
{
	local block

	block=$(debugfs -R "bmap /$image $((mib * 128))" "$work/host.img" 2>&1 |
		tail -n 1)
	disk_start "$work/bm" "$work/host.img"
	echo "eio $((block * 4096)) 512" | disk_faults "$work/bm"
	mkdir "$work/host" "$work/mnt"
	mount -o ro,norecovery "$DISK" "$work/host"
}

ours()
{
	"$RESCUEFS" mount --damaged "$work/host" --backup "$work/backup" \
		--state "$work/state" "$work/mnt"
	dd if="$work/mnt/instances/$uuid/disk" of="$work/merged" bs=1M \
		status=none
	differing "$work/now.raw" "$work/merged"
}

quorum()
{
	local child=(children.0 children.1) files=("$work/host/$image"
		"$work/backup/$image") i opts
	opts=driver=quorum,vote-threshold=1,read-pattern=fifo

	for i in 0 1; do
		opts+=,${child[i]}.driver=qcow2,${child[i]}.file.driver=file
		opts+=,${child[i]}.file.filename=${files[i]}
		opts+=,${child[i]}.read-only=on
	done
	qemu-img convert -O raw --image-opts "$opts" "$work/quorum" 2>/dev/null
	differing "$work/now.raw" "$work/quorum"
}

by_rsync()
{
	cp "$work/backup/$image" "$work/synced"
	rsync --inplace --ignore-times "$work/host/$image" "$work/synced" \
		>/dev/null 2>&1 || true
	qemu-img convert -f qcow2 -O raw "$work/synced" "$work/synced.raw"
	differing "$work/now.raw" "$work/synced.raw"
}

mkdir -p "$work"
make_sources
break_it
printf '{"rescuefs": %d' "$(ours)"
printf ', "qemu quorum, fifo": %d' "$(quorum)"
printf ', "rsync --inplace": %d}\n' "$(by_rsync)"

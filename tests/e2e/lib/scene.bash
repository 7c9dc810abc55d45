# shellcheck shell=bash
# scene.bash - the dying host bm0002 and its backup, for a test file.
#
#   load lib/common; load lib/disk; load lib/nova; load lib/scene
#   setup_file()    { scene_setup_file; }
#   teardown_file() { scene_detach "$BATS_FILE_TMPDIR/bm"; }
#
# The scene itself is built once, in $RESCUEFS_SCENE, and never written again;
# each test file attaches it with faults of its own.
#
# $SCENE/expect says what the scene's own faults do to a reader of the merged
# tree.  Numbers are bytes, a line is one of
#
#   data INSTANCE/DISK GUEST_OFF LEN CLASS GUEST_PATH
#        data that the damaged host alone has, in the file GUEST_PATH; CLASS
#        against yesterday: kept (the same), changed, or new
#   table INSTANCE/DISK GUEST_OFF LEN
#        the guest's range whose L2 entries cannot be read
#   base NAME OFF LEN INSTANCE/DISK GUEST_OFF
#        of a base image, which the backup has too: nothing is lost
#   inode PATH
#        a file of the host whose inode cannot be read

need_scene()
{
	need_disk jq rsync resize2fs qemu-storage-daemon openssl unshare "$@"
	scene_use
}

# scene_use: builds the scene unless it is there; exports SCENE, TRUTH,
# YESTERDAY, BACKUP, RESCUEFS_SEED and what $SCENE/names says.
scene_use()
{
	local want lib

	lib=$(dirname "${BASH_SOURCE[0]}")
	SCENE=${RESCUEFS_SCENE:-${BATS_RUN_TMPDIR:-/tmp}/rescuefs-scene}
	mkdir -p "$SCENE"
	(
		# Test files run side by side: the first one builds.
		flock 9
		want=$(cat "$lib/build-scene" "$lib/nova.bash" \
			"$lib/common.bash" | md5sum)
		[[ $(cat "$SCENE/built" 2>/dev/null) != "$want" ||
			${RESCUEFS_SEED:-$(<"$SCENE/seed")} != \
				"$(<"$SCENE/seed")" ]] || exit 0
		find "$SCENE" -mindepth 1 -delete
		"$lib/build-scene" "$SCENE" "${RESCUEFS_SEED:-$RANDOM}" \
			3>&- 4>&- 9>&- && echo "$want" >"$SCENE/built"
	) 9>"$SCENE.lock" || die "the scene cannot be built" || return
	TRUTH=$SCENE/truth
	YESTERDAY=$SCENE/yesterday
	BACKUP=$SCENE/backup/bm0002.the.re
	RESCUEFS_SEED=$(<"$SCENE/seed")
	set -a
	# shellcheck source=/dev/null
	. "$SCENE/names"
	set +a
	export SCENE TRUTH YESTERDAY BACKUP RESCUEFS_SEED
	echo "scene: seed $RESCUEFS_SEED, $SCENE" >&2
}

# scene_attach WORK [FAULTS]: the host's disk, failing as FAULTS ($SCENE/faults)
# says; sets BM, where its file system is mounted, read-only and without its
# journal, and DISK, its block device.  Change its faults with disk_faults WORK,
# see what it was asked for with disk_touches WORK.
scene_attach()
{
	BM=$1/mnt/bm0002
	mkdir -p "$BM"
	disk_start "$1" "$SCENE/host.img" "${2-$SCENE/faults}" || return
	client mount -t ext4 -o ro,norecovery "$DISK" "$BM" || return
	export BM
}

# scene_setup_file [TOOL]...: one for all tests of a file.
scene_setup_file()
{
	need_scene "$@" && scene_attach "$BATS_FILE_TMPDIR/bm"
}

scene_detach()
{
	[[ -d $1 ]] || return 0
	disk_faults "$1" </dev/null
	let_go "$1/mnt/bm0002"
	disk_stop "$1"
}

# scene_expect KIND: the lines of $SCENE/expect of that kind, without the word.
scene_expect()
{
	sed -n "s/^$1 //p" "$SCENE/expect"
}

# scene_eio PATH OFF LEN: the lines for disk_faults that make this range of one
# of the host's files fail, by the block.
scene_eio()
{
	local off=$2 end=$(($2 + $3)) block next

	while ((off < end)); do
		block=$(debugfs -R "bmap /$1 $((off / 4096))" \
			"$SCENE/host.img" 2>/dev/null)
		next=$(((off / 4096 + 1) * 4096))
		((next < end)) || next=$end
		((block == 0)) || echo "eio $((block * 4096 + off % 4096))" \
			"$((next - off)) # $1"
		off=$next
	done
}

# shellcheck shell=bash
# mount.bash - rescuefs mount over the scene, and what its tree claims.

# rescue_mount WORK [ARG...]: mounts $BM and $BACKUP at $MNT with the state in
# WORK/state; further arguments go to the verb.
rescue_mount()
{
	local work=$1

	shift
	MNT=$work/rescue
	STATE=$work/state
	mkdir -p "$MNT"
	export MNT STATE
	client "$RESCUEFS" mount --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" "$@" "$MNT" 3>&- 4>&-
}

# Unmounts and waits until the daemon has kept what it knows.
rescue_umount()
{
	local work=$1

	[[ -d $work/rescue ]] || return 0
	let_go "$work/rescue" || return
	[[ -e $work/state/lock ]] || return 0
	wait_until 60 flock -n "$work/state/lock" true
}

# front_mount: mounts $W/site.conf at $MNT in the foreground; MOUNT is its process,
# $W/log what it says.  A session of its own, as a test may be run from a terminal.
front_mount()
{
	setsid "$RESCUEFS" mount -f "$W/site.conf" "$MNT" 2>"$W/log" \
		3>&- 4>&- &
	MOUNT=$!
	wait_until 120 mountpoint -q "$MNT"
}

# The qemu-nbd that this mount has started, a pid a line.
servers()
{
	cat "/proc/$MOUNT/task/"*/children 2>/dev/null | tr ' ' '\n' |
		while read -r pid; do
			[[ $(cat "/proc/$pid/comm" 2>/dev/null) != qemu-nbd ]] ||
				echo "$pid"
		done
}

# told SENTENCE: the status beside the mount says it; the log would a little later.
told()
{
	client "$RESCUEFS" status "$W/site.conf" >"$W/status" || true
	grep -q "$1" "$W/status"
}

# claims FILE.json STATE: "OFF LEN SOURCE" of every extent in that state.
claims()
{
	jq -r --arg s "$2" '.extents[] | select(.state == $s) |
		"\(.offset) \(.length) \(.source // "-")"' "$1"
}

# patch IMAGE FROM: for each "OFF LEN ..." line on stdin, the bytes of FROM
# there replace those of IMAGE.
patch_from()
{
	local off len rest

	while read -r off len rest; do
		dd if="$2" of="$1" bs=512 skip=$((off / 512)) \
			seek=$((off / 512)) count=$((len / 512)) conv=notrunc \
			status=none || return
	done
	: "$rest"
}

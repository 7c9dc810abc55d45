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

# shellcheck shell=bash disable=SC2034,SC2153,SC2154
# What the steps of both eras share.

die()
{
	printf 'plan: %s\n' "$*" >&2
	exit 1
}

say()
{
	printf '== %s\n' "$*"
}

# need NAME...: these are known.
need()
{
	local name

	for name; do
		[[ ${!name} && ${!name} != FILL-IN ]] ||
			die "$name is not known; fill it in, at the top of $0"
	done
}

confirm()
{
	local answer=

	printf '%s\nGo on? [yes/no] ' "$*"
	read -r answer || true
	[[ $answer = yes ]] || die "stopped; nothing was done in this step"
}

# A value as a string of SQL.  What quotes alone do not make safe in every
# dialect is refused.
quoted()
{
	local one=\' two=\'\'

	[[ $1 != *[\\[:cntrl:]]* ]] || die "unfit for SQL: $(printf %q "$1")"
	printf "'%s'" "${1//$one/"$two"}"
}

# SQL from stdin against the database $1; rows without a heading.
sql()
{
	mysql --batch --skip-column-names "$1"
}

# The merged disk or host's file, in the mount.
merged()
{
	need MOUNT
	[[ -r $MOUNT/$1 ]] || die "$MOUNT/$1 cannot be read; is it mounted?"
	printf '%s/%s' "$MOUNT" "$1"
}

# A read of all of it: fails where a block is lost.
digest_of()
{
	local line

	line=$(sha512sum <"$1") || die "$1 cannot be read to its end:" \
		"blocks are lost; go back to a backup (rescuefs advise)"
	printf '%s' "${line%% *}"
}

# What is lost and old of it, for a person to judge.
step_look()
{
	local disk losses

	disk=$(merged "$DISK")
	losses=$MOUNT/${DISK%/*}/rescue/${DISK##*/}.losses
	say "$LABEL: $(stat -c %s "$disk") bytes in $disk"
	[[ ! -r $losses ]] || cat "$losses"
	digest_of "$disk"
	echo "  sha512 of the merged disk: it can be read to its end"
}

# The size of the merged disk may be less than it was, after resize2fs -M.
check_room()
{
	local size

	need VOLUME_GB
	size=$(stat -c %s "$1")
	((size <= VOLUME_GB << 30)) ||
		die "$1 has $size bytes, more than VOLUME_GB=$VOLUME_GB holds"
}

at_volume_host()
{
	need VOLUME_HOST
	if [[ $VOLUME_HOST = localhost ]]; then
		"$@"
	else
		# shellcheck disable=SC2029 # it is meant to expand here
		ssh -- "$VOLUME_HOST" "$(printf '%q ' "$@")"
	fi
}

# copy_to_device DEVICE: zeros too, as a new volume may hold another's data; then
# reads it back.
copy_to_device()
{
	local disk size want got

	disk=$(merged "$DISK")
	check_room "$disk"
	at_volume_host test -b "$1" || die "$VOLUME_HOST has no device $1"
	size=$(stat -c %s "$disk")
	(($(at_volume_host blockdev --getsize64 "$1") >= size)) ||
		die "$1 is smaller than $disk"
	confirm "All of $1 on $VOLUME_HOST is written over."
	dd if="$disk" bs=4M status=none |
		at_volume_host dd of="$1" bs=4M conv=fsync status=none
	want=$(digest_of "$disk")
	got=$(at_volume_host head -c "$size" "$1" | sha512sum)
	[[ ${got%% *} = "$want" ]] || die "$1 does not hold what was written"
	say "$LABEL: $size bytes are on $1, read back and equal"
}

list_steps()
{
	local n step

	printf 'bash %q STEP [NUMBER], in this order:\n' "$0"
	for ((n = 1; n <= ITEMS; n++)); do
		"item_$n"
		printf '\n%s, on %s\n' "$LABEL" "$HOST"
		for step in $(steps_of "$KIND"); do
			printf '  %-8s %d\n' "$step" "$n"
		done
	done
}

main()
{
	local step=${1-} n=${2-1}

	if [[ ! $step ]]; then
		list_steps
		return
	fi
	[[ $n =~ ^[1-9][0-9]{0,5}$ ]] || die "$n is no number"
	((n <= ITEMS)) || die "there are the numbers 1 to $ITEMS"
	"item_$n"
	[[ " $(steps_of "$KIND") " = *" $step "* ]] ||
		die "$step is no step of $LABEL"
	"step_$step"
}

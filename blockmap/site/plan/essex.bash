# shellcheck shell=bash disable=SC2034,SC2153,SC2154
# Essex's dialect: nova-manage, glance add, nova boot, euca-create-volume, and
# SQL where there is no command.  Volumes are numbers in nova's own database.

steps_of()
{
	case $1 in
	instance) echo "host list look upload rehome delete boot" ;;
	volume) echo "outage look create copy retire" ;;
	data) echo "look create copy" ;;
	esac
}

# DANGER: a nova-compute that comes back on this host carries out the deletions
# that were queued for it, which takes away the disks that are being rescued.
step_host()
{
	nova-manage service disable --host="$HOST" --service=nova-compute
	check_host nova-compute
}

step_outage()
{
	nova-manage service disable --host="$HOST" --service=nova-volume
	check_host nova-volume
}

check_host()
{
	nova-manage service list | awk -v service="$1" -v host="$HOST" \
		'$1 == service && $2 == host { found = 1; ok = /disabled/ && /XXX/ }
		END { exit !(found && ok) }' ||
		die "$1 on $HOST is not both disabled and down (XXX); it would" \
			"carry out what is queued for it"
}

step_list()
{
	local host

	need NOVA_DB
	host=$(quoted "$HOST")
	sql "$NOVA_DB" <<<"select id, uuid, display_name, vm_state, key_name, availability_zone from instances where host = $host and deleted = 0;"
}

# glance add prints "Added new image with ID: X".
upload()
{
	local file=$1 disk=$2 container=$3 name=$4 out id is want

	shift 4
	out=$(glance add name="$name" is_public=false disk_format="$disk" \
		container_format="$container" "$@" <"$file")
	id=${out##*ID: }
	[[ $id != "$out" ]] || die "glance did not say an id: $out"
	is=$(glance show "$id")
	want=$(stat -c %s "$file")
	grep -qE '^Status: *active' <<<"$is" || die "image $id is not active"
	grep -qE "^Size: *$want\$" <<<"$is" || die "image $id is not $want bytes"
	want=$(md5sum <"$file")
	grep -qF "${want%% *}" <<<"$is" ||
		say "image $id: look at its checksum, which is to be ${want%% *}"
	printf '%s' "$id"
}

step_upload()
{
	local file id options=() format=raw container=bare

	if [[ $KERNEL ]]; then
		format=ami container=ami
		file=$(merged "$KERNEL")
		id=$(upload "$file" aki aki "$NAME kernel")
		options+=("kernel_id=$id")
	fi
	if [[ $RAMDISK ]]; then
		file=$(merged "$RAMDISK")
		id=$(upload "$file" ari ari "$NAME ramdisk")
		options+=("ramdisk_id=$id")
	fi
	file=$(merged "$DISK")
	digest_of "$file" >/dev/null
	id=$(upload "$file" "$format" "$container" "$NAME" "${options[@]}")
	say "$LABEL: image $id; fill it in as NEW_IMAGE at the top"
}

# Gives the instance to a host that lives, so that its deletion is carried out.
step_rehome()
{
	local uuid host old count

	need UUID NEW_HOST NOVA_DB
	check_host nova-compute
	uuid=$(quoted "$UUID") host=$(quoted "$NEW_HOST") old=$(quoted "$HOST")
	count=$(sql "$NOVA_DB" <<<"select count(*) from instances where uuid = $uuid and host = $old and deleted = 0;")
	[[ $count = 1 ]] || die "nova has $count such instances on $HOST, not 1"
	confirm "Instance $UUID goes from $HOST to $NEW_HOST in $NOVA_DB."
	sql "$NOVA_DB" <<<"update instances set host = $host where uuid = $uuid and host = $old and deleted = 0;"
	count=$(sql "$NOVA_DB" <<<"select count(*) from instances where uuid = $uuid and host = $host and deleted = 0;")
	[[ $count = 1 ]] || die "instance $UUID is not on $NEW_HOST now"
}

step_delete()
{
	need UUID NEW_IMAGE
	check_host nova-compute
	glance show "$NEW_IMAGE" | grep -qE '^Status: *active' ||
		die "image $NEW_IMAGE is not active"
	confirm "Instance $UUID is deleted; its disk is image $NEW_IMAGE."
	nova delete "$UUID"
}

step_boot()
{
	need FLAVOR KEY ZONE NEW_IMAGE
	nova boot --image "$NEW_IMAGE" --flavor "$FLAVOR" --key_name "$KEY" \
		--availability_zone "$ZONE" -- "$NAME"
}

step_create()
{
	local disk

	need VOLUME_GB ZONE
	disk=$(merged "$DISK")
	check_room "$disk"
	euca-create-volume -s "$VOLUME_GB" -z "$ZONE"
	say "fill in its number, as 8 hexadecimal digits, as NEW_VOLUME"
}

step_copy()
{
	need NEW_VOLUME VOLUME_GROUP
	copy_to_device "/dev/$VOLUME_GROUP/volume-$NEW_VOLUME"
}

# A volume that is in use must be detached first (euca-detach-volume).
step_retire()
{
	local count

	need OLD_VOLUME NEW_VOLUME NOVA_DB
	[[ $OLD_VOLUME =~ ^[0-9]+$ ]] || die "OLD_VOLUME is a number in Essex"
	check_host nova-volume
	count=$(sql "$NOVA_DB" <<<"select count(*) from volumes where id = $OLD_VOLUME and deleted = 0 and attach_status = 'detached';")
	[[ $count = 1 ]] ||
		die "nova has $count such volumes that are detached, not 1"
	confirm "Volume $OLD_VOLUME is marked deleted in $NOVA_DB."
	sql "$NOVA_DB" <<<"update volumes set status = 'deleted', deleted = 1, deleted_at = current_timestamp, terminated_at = current_timestamp where id = $OLD_VOLUME and deleted = 0 and attach_status = 'detached';"
	count=$(sql "$NOVA_DB" <<<"select count(*) from volumes where id = $OLD_VOLUME and deleted = 1;")
	[[ $count = 1 ]] || die "volume $OLD_VOLUME is not deleted"
}

# shellcheck shell=bash disable=SC2034,SC2153,SC2154
# Today's dialect: the openstack client, and SQL where there is no command.

steps_of()
{
	case $1 in
	instance) echo "host list look upload rehome delete boot" ;;
	volume) echo "outage look detach create copy retire" ;;
	data) echo "look create copy" ;;
	esac
}

# Nothing new is placed on the host.  DANGER: a nova-compute that comes back on
# it carries out the deletions that were queued for it, which takes away the
# disks that are being rescued.  Keep it off: stop and mask it there, or pull its
# network.
step_host()
{
	openstack compute service set --disable \
		--disable-reason "$REASON" "$HOST" nova-compute
	check_host
	say "$HOST takes no new instances"
}

check_host()
{
	local state

	state=$(openstack compute service list --host "$HOST" \
		--service nova-compute -f value -c Status -c State)
	[[ $state = *disabled* ]] ||
		die "nova-compute on $HOST is not disabled; step host does it"
	[[ $state = *down* ]] || die "nova-compute on $HOST is up: it carries" \
		"out what is queued for it; stop it first"
}

# The key, the zone and the networks are told here, for the top of this file.
step_list()
{
	openstack server list --all-projects --host "$HOST" --long
	need UUID
	openstack server show "$UUID"
	openstack port list --server "$UUID"
}

# image_of PART: the id of its image, or nothing.
image_of()
{
	local ids

	ids=$(openstack image list --property "rescuefs_part=$UUID/$1" \
		-f value -c ID)
	[[ $ids != *$'\n'* ]] || die "several images are $UUID/$1:" \
		"${ids//$'\n'/ }; delete those that are not wanted"
	printf '%s' "$ids"
}

# Glance takes anything, a pipe that ended early too: only this proves it.
check_image()
{
	local id=$1 file=$2 is want size

	size=$(stat -c %s "$file")
	is=$(openstack image show -f shell -c status -c size -c properties \
		"$id")
	[[ $'\n'$is$'\n' = *$'\nstatus="active"\n'* ]] ||
		die "image $id is not active, but: $is"
	[[ $'\n'$is$'\n' = *$'\n'"size=\"$size\""$'\n'* ]] ||
		die "image $id has not $size bytes, as $file has, but: $is"
	want=$(digest_of "$file")
	[[ $is = *"$want"* ]] ||
		die "image $id has another os_hash_value (sha512) than $file"
}

# upload PART FILE DISK-FORMAT CONTAINER-FORMAT NAME [OPTION]...: prints its id.
upload()
{
	local part=$1 file=$2 disk=$3 container=$4 name=$5 id

	shift 5
	id=$(image_of "$part")
	[[ $id ]] || id=$(openstack image create --disk-format "$disk" \
		--container-format "$container" --file "$file" --private \
		--property "rescuefs_part=$UUID/$part" "$@" \
		-f value -c id -- "$name")
	check_image "$id" "$file"
	printf '%s' "$id"
}

# An instance with a kernel and a ramdisk of its own is an ami, and they are
# uploaded first.
step_upload()
{
	local file id options=() format=raw container=bare

	need UUID
	if [[ $KERNEL ]]; then
		format=ami container=ami
		file=$(merged "$KERNEL")
		id=$(upload kernel "$file" aki aki "$NAME kernel")
		options+=(--property "kernel_id=$id")
	fi
	if [[ $RAMDISK ]]; then
		file=$(merged "$RAMDISK")
		id=$(upload ramdisk "$file" ari ari "$NAME ramdisk")
		options+=(--property "ramdisk_id=$id")
	fi
	file=$(merged "$DISK")
	id=$(upload disk "$file" "$format" "$container" "$NAME" \
		"${options[@]}")
	say "$LABEL: image $id, its size and sha512 compared"
}

uploaded()
{
	local id file

	need UUID
	id=$(image_of disk)
	[[ $id ]] || die "$LABEL is not uploaded; step upload does it"
	file=$(merged "$DISK")
	check_image "$id" "$file"
	printf '%s' "$id"
}

# Optional: gives the instance to a host that lives, so that what is ordered of
# it is carried out.  There is no command for it.  Its disk is not there by that:
# either delete it next, or lay its disk down there and reboot it hard.
# Do not use "evacuate": without shared storage it makes the root disk anew from
# the image, and what the instance wrote is gone.
step_rehome()
{
	local uuid host zone old count

	need UUID NEW_HOST NEW_ZONE NOVA_DB
	check_host
	uuid=$(quoted "$UUID") host=$(quoted "$NEW_HOST")
	zone=$(quoted "$NEW_ZONE") old=$(quoted "$HOST")
	count=$(sql "$NOVA_DB" <<<"select count(*) from instances where uuid = $uuid and host = $old and deleted = 0;")
	[[ $count = 1 ]] || die "nova has $count such instances on $HOST, not 1"
	confirm "Instance $UUID goes from $HOST to $NEW_HOST in $NOVA_DB."
	sql "$NOVA_DB" <<<"update instances set host = $host, node = $host, availability_zone = $zone where uuid = $uuid and host = $old and deleted = 0;"
	count=$(sql "$NOVA_DB" <<<"select count(*) from instances where uuid = $uuid and host = $host and node = $host and deleted = 0;")
	[[ $count = 1 ]] || die "instance $UUID is not on $NEW_HOST now"
	nova-manage placement heal_allocations --instance "$UUID" ||
		die "placement still counts it on $HOST"
	say "$LABEL is on $NEW_HOST for nova"
}

# Frees its name, addresses and ports.  Its image is looked at once more first.
step_delete()
{
	local id

	check_host
	id=$(uploaded)
	confirm "Instance $UUID is deleted; its disk is image $id."
	openstack server delete --wait "$UUID"
	! openstack server show "$UUID" >/dev/null 2>&1 ||
		die "instance $UUID is still there"
	say "$LABEL: the old instance is gone"
}

step_boot()
{
	local id status

	need FLAVOR KEY ZONE NETWORK
	id=$(uploaded)
	openstack server create --image "$id" --flavor "$FLAVOR" \
		--key-name "$KEY" --availability-zone "$ZONE" \
		--network "$NETWORK" --wait -- "$NAME"
	status=$(openstack server list --all-projects --status ACTIVE \
		--image "$id" -f value -c ID)
	[[ $status ]] || die "no active server has the image $id"
	say "$LABEL runs as $status"
}

# Nothing new is placed on the host's backend.  If its storage lives on and is
# served from elsewhere, nothing needs to be copied: its volumes then go over by
#   cinder-manage volume update_host --currenthost OLD@BACKEND#POOL \
#       --newhost NEW@BACKEND#POOL
step_outage()
{
	local status

	need CINDER_SERVICE
	openstack volume service set --disable --disable-reason "$REASON" \
		"$CINDER_SERVICE" cinder-volume
	status=$(openstack volume service list --host "$CINDER_SERVICE" \
		--service cinder-volume -f value -c Status)
	[[ $status = disabled ]] || die "$CINDER_SERVICE is not disabled"
}

# A volume that is in use must be detached first.
step_detach()
{
	local status

	need OLD_VOLUME
	status=$(openstack volume show -f value -c status "$OLD_VOLUME")
	if [[ $status = in-use || $status = detaching ]]; then
		confirm "Volume $OLD_VOLUME is $status; it is taken from its server."
		if [[ $SERVER ]]; then
			openstack server remove volume "$SERVER" "$OLD_VOLUME" ||
				say "nova could not; cinder's record is set"
		fi
		# The host that would have to answer is dead.
		openstack volume set --state available --detached \
			"$OLD_VOLUME"
	fi
	status=$(openstack volume show -f value -c status "$OLD_VOLUME")
	[[ $status = available || $status = error ]] ||
		die "volume $OLD_VOLUME is $status, not available"
}

new_volume()
{
	local ids

	ids=$(openstack volume list --all-projects --name "$NEW_NAME" \
		-f value -c ID)
	[[ $ids != *$'\n'* ]] || die "several volumes are named $NEW_NAME"
	printf '%s' "$ids"
}

step_create()
{
	local disk id status n

	need VOLUME_GB ZONE
	disk=$(merged "$DISK")
	check_room "$disk"
	id=$(new_volume)
	[[ $id ]] || id=$(openstack volume create --size "$VOLUME_GB" \
		--availability-zone "$ZONE" -f value -c id -- "$NEW_NAME")
	for ((n = 0; n < 60; n++)); do
		status=$(openstack volume show -f value -c status "$id")
		[[ $status = creating ]] || break
		sleep 2
	done
	[[ $status = available ]] || die "volume $id is $status, not available"
	say "$LABEL: the new volume is $id"
}

step_copy()
{
	local id status

	need VOLUME_GROUP
	id=$(new_volume)
	[[ $id ]] || die "there is no $NEW_NAME; step create makes it"
	status=$(openstack volume show -f value -c status "$id")
	[[ $status = available ]] || die "volume $id is $status: not written to"
	copy_to_device "/dev/$VOLUME_GROUP/volume-$id"
}

# Marks the old volume deleted.  DANGER: cinder-manage volume delete would only
# queue it for the dead host, which carries it out if it comes back, and says no
# word of failure where the volume is in use; so it is SQL here.
step_retire()
{
	local id count

	need OLD_VOLUME CINDER_DB
	id=$(new_volume)
	[[ $id ]] || die "there is no $NEW_NAME to take its place"
	id=$(quoted "$OLD_VOLUME")
	count=$(sql "$CINDER_DB" <<<"select count(*) from volumes where id = $id and deleted = 0 and attach_status = 'detached';")
	[[ $count = 1 ]] ||
		die "cinder has $count such volumes that are detached, not 1"
	confirm "Volume $OLD_VOLUME is marked deleted in $CINDER_DB."
	sql "$CINDER_DB" <<<"update volumes set status = 'deleted', deleted = 1, deleted_at = current_timestamp, terminated_at = current_timestamp where id = $id and deleted = 0 and attach_status = 'detached';"
	count=$(sql "$CINDER_DB" <<<"select count(*) from volumes where id = $id and deleted = 1 and status = 'deleted';")
	[[ $count = 1 ]] || die "volume $OLD_VOLUME is not deleted"
	say "$LABEL: the old volume is marked deleted; its quota follows with" \
		"cinder-manage quota sync"
}

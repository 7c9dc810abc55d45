#!/usr/bin/env bats
# rescuefs export --glance, a pipe into a client, and what a plan uploads: against
# the real Glance, with its real clients.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/openstack

# The scene's disk through a mount, and a host whose disks are small.
setup_file()
{
	need_scene python3
	[[ $(type -P glance-api) ]] || return 0
	scene_attach "$BATS_FILE_TMPDIR/bm"
	rescue_mount "$BATS_FILE_TMPDIR"
	small_host "$BATS_FILE_TMPDIR"
	glance_start "$BATS_FILE_TMPDIR"
}

teardown_file()
{
	glance_stop "$BATS_FILE_TMPDIR"
	rescue_umount "$BATS_FILE_TMPDIR"
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	T=$BATS_FILE_TMPDIR
	need_openstack glance-api glance-manage openstack glance
	# Clients of python, some in a row, on a busy machine.
	export CLIENT_SECONDS=240
	options=(--damaged "$T/host,name=status,host=bm1,deadline=60s"
		--volumes "$T/lv" --state "$T/small-state" --quiet)
}

# Beside the mount, which has its state.
export_disk()
{
	client "$RESCUEFS" export --damaged "$BM" --backup "$BACKUP" \
		--state "$STATE" --quiet "$@"
}

# Its source has a name that Glance's answers have, too.
export_small()
{
	client "$RESCUEFS" export "${options[@]}" "$@"
}

# Only the glance client, which is told of the service in other words.
export_by_glance()
{
	local p

	mkdir -p "$W/only"
	for p in glance python3; do
		ln -sf "$(type -P "$p")" "$W/only/$p"
	done
	CLIENT_PATH=${CLIENT_PATH-$W/only} without_openstack \
		"$RESCUEFS" export "${options[@]}" "$@"
}

without_openstack()
{
	env -u OS_AUTH_TYPE -u OS_ENDPOINT PATH="$CLIENT_PATH" "$@"
}

# image ID: what Glance says of it.
image()
{
	glance_call GET "/$1" </dev/null
}

# altered: a glance client that is the real one but for what the text on stdin
# does to "$@".
altered()
{
	mkdir -p "$W/bin"
	{
		printf '#!%s\nreal=%q PATH=%q\n' "$(type -P bash)" \
			"$(type -P glance)" "$PATH"
		cat
	} >"$W/bin/glance"
	chmod +x "$W/bin/glance"
	CLIENT_PATH=$W/bin
}

@test "raw, beside a mount: byte for byte, its id, and where it came from" {
	local id

	run -0 --separate-stderr export_disk --glance "-x'; y" april-ci/disk
	id=$output
	glance_file "$id" | cmp - "$MNT/instances/april-ci/disk"
	image "$id" | jq -e --arg part "$APRIL_UUID/disk" '
		.name == "-x'"'"'; y" and .status == "active" and
		.disk_format == "raw" and .container_format == "bare" and
		.visibility == "private" and .rescuefs_part == $part and
		.rescuefs_host == "bm0002.the.re" and
		.rescuefs_sources == "bm0002 backup"'
}

@test "a pipe into a client: byte for byte" {
	local id

	id=$(export_disk -o - april-ci/disk |
		openstack image create --disk-format raw \
			--container-format bare -f value -c id piped)
	glance_file "$id" | cmp - "$MNT/instances/april-ci/disk"
}

@test "ami: its kernel and ramdisk first, unless Glance has them" {
	local id part of_host=$MNT/hosts/bm0002.the.re/$NOVA/$ESSEX

	run -0 --separate-stderr export_disk --glance lucid "$ESSEX/disk"
	id=$output
	image "$id" >"$W/ami"
	[ "$(jq -r '.disk_format + .container_format' "$W/ami")" = amiami ]
	glance_file "$id" | cmp - "$MNT/instances/$ESSEX/disk"
	for part in kernel:aki ramdisk:ari; do
		id=$(jq -r ".${part%:*}_id" "$W/ami")
		glance_file "$id" | cmp - "$of_host/${part%:*}"
		[ "$(image "$id" | jq -r '.disk_format + .container_format')" = \
			"${part#*:}${part#*:}" ]
	done
	# Another instance with the same ones, by either client.
	glance_images | grep -v '^raw' >"$W/before"
	run -0 --separate-stderr export_small --glance other instance-00000002/disk
	echo "$output" >"$W/by_openstack.id"
	image "$output" | jq -c '[.kernel_id, .ramdisk_id]' >"$W/by_openstack"
	run -0 --separate-stderr export_by_glance --glance more instance-00000002/disk
	echo "$output" >"$W/by_glance.id"
	image "$output" | jq -c '[.kernel_id, .ramdisk_id]' >"$W/by_glance"
	jq -c '[.kernel_id, .ramdisk_id]' "$W/ami" | tee "$W/first" |
		cmp - "$W/by_openstack"
	cmp "$W/first" "$W/by_glance"
	[ "$(glance_images | grep -vc '^raw')" -eq $(($(wc -l <"$W/before") + 2)) ]
	for id in "$W/by_openstack" "$W/by_glance"; do
		glance_call DELETE "/$(<"$id.id")" </dev/null
	done
}

@test "a volume; and no client is no riddle" {
	run -0 --separate-stderr export_by_glance --glance vol volume-00000143
	glance_file "$output" | cmp - "$T/lv/volume-00000143"
	[ "$(image "$output" | jq -r .rescuefs_part)" = bm1/volume-00000143 ]
	CLIENT_PATH=$W run -2 export_by_glance --glance x small/disk
	[[ $output = *"neither openstack nor glance is on the path"* ]]
}

@test "a lost block: no image is left that looks whole" {
	glance_images >"$W/before"
	run -3 client "$RESCUEFS" export --damaged "$BM,deadline=60s" \
		--state "$W/alone" --quiet --glance lost april-ci/disk
	[[ $output = *"cannot be read in bytes"* ]]
	glance_images | diff "$W/before" -
}

# canned SED: a client that says of an image what Glance said of another one, as
# if it were this disk's, and altered by SED.
canned()
{
	local disk=$T/host/$NOVA/$SMALL/disk md5 sha512

	md5=$(md5sum <"$disk") sha512=$(sha512sum <"$disk")
	sed -E "s/^(\| size +\| )[0-9]+/\13145728/
		s/^(\| checksum +\| )[0-9a-f]+/\1${md5%% *}/
		s/^(\| os_hash_value +\| )[0-9a-f]+/\1${sha512%% *}/
		$1" "$W/shown" >"$W/told"
	altered <<-END
	case "\$*" in
	"image-create"*) cat >/dev/null && cat "$W/told" ;;
	"image-show"*) cat "$W/told" ;;
	"image-list"*) echo none ;;
	esac
	END
}

@test "other bytes, and an image that stays queued, are told and taken away" {
	glance_images >"$W/before"
	altered <<-END
	case "\$*" in
	"image-create"*) head -c 1000000 | "\$real" "\$@" && cat >/dev/null ;;
	"image-show"*) "\$real" "\$@" | tee "$W/shown" ;;
	*) exec "\$real" "\$@" ;;
	esac
	END
	run -3 export_by_glance --glance short small/disk
	[[ $output = *"its size is 1000000, and not 3145728"* ]]
	glance_images | diff "$W/before" -
	canned ''
	run -0 --separate-stderr export_by_glance --glance x small/disk
	[[ $(<"$W/told") = *"| $output "* ]]
	canned 's/^(\| checksum +\| )./\1x/'
	run -3 export_by_glance --glance x small/disk
	[[ $output = *"is not what was sent: its checksum is x"* ]]
	canned 's/^(\| os_hash_value +\| )./\1x/'
	run -3 export_by_glance --glance x small/disk
	[[ $output = *"is not what was sent: its os_hash_value is x"* ]]
	canned 's/^(\| status +\| )active/\1queued/'
	run -3 export_by_glance --glance x small/disk
	[[ $output = *"its status is queued, and not active"* ]]
}

@test "a signal in the middle leaves no image" {
	local pid status=0

	glance_images >"$W/before"
	altered <<-END
	case "\$*" in
	"image-create"*) {
		head -c 2000000
		echo "\$BASHPID" >"$W/begun"
		until [[ -e "$W/go" ]]; do sleep 0.1; done
	} | "\$real" "\$@" ;;
	*) exec "\$real" "\$@" ;;
	esac
	END
	env -u OS_AUTH_TYPE -u OS_ENDPOINT PATH="$CLIENT_PATH" "$RESCUEFS" \
		export "${options[@]}" --glance cut small/disk 2>"$W/said" &
	pid=$!
	wait_until 60 test -s "$W/begun"
	kill "$pid"
	wait "$pid" || status=$?
	touch "$W/go"
	[ "$status" -eq 2 ]
	grep "stopped by a signal" "$W/said"
	wait_until 30 is_gone "$(<"$W/begun")"
	glance_images | diff "$W/before" -
}

# The plan's steps look at a mount, which here is a folder.
small_plan()
{
	client "$RESCUEFS" plan --damaged "$T/host,name=status,host=bm1" \
		--state "$T/small-state" "$@" >"$W/plan"
	sed -i "s|^MOUNT='FILL-IN'|MOUNT='$W/mount'|" "$W/plan"
	mkdir -p "$W/mount/instances/small" "$W/mount/instances/instance-00000002" \
		"$W/mount/hosts"
	cp "$T/host/$NOVA/$SMALL/disk" "$W/mount/instances/small/"
	cp "$T/host/$NOVA/$SMALL/disk" "$W/mount/instances/instance-00000002/"
	ln -sfn "$T/host" "$W/mount/hosts/bm1"
}

@test "a plan tells an upload that ended early, or has other bytes" {
	local id

	small_plan small
	head -c 1000000 "$T/host/$NOVA/$SMALL/disk" >"$W/half"
	id=$(glance_upload "$W/half" "rescuefs_part=$SMALL/disk")
	run -1 bash "$W/plan" upload
	[[ $output = *"has not 3145728 bytes"* ]]
	[[ $output != *"compared"* ]]
	glance_call DELETE "/$id" </dev/null
	# As long, and one byte of it another.
	cp "$T/host/$NOVA/$SMALL/disk" "$W/other"
	printf X | dd of="$W/other" bs=1 seek=777777 conv=notrunc status=none
	id=$(glance_upload "$W/other" "rescuefs_part=$SMALL/disk")
	run -1 bash "$W/plan" upload
	[[ $output = *"another os_hash_value"* ]]
	glance_call DELETE "/$id" </dev/null
	# The right one is found, and is not there twice.
	glance_upload "$T/host/$NOVA/$SMALL/disk" "rescuefs_part=$SMALL/disk"
	glance_images >"$W/before"
	run -0 bash "$W/plan" upload; echo "$output"
	[[ $output = *"its size and sha512 compared"* ]]
	glance_images | diff "$W/before" -
}

@test "a plan uploads as ami, with kernel and ramdisk; byte for byte" {
	local id part

	small_plan instance-00000002/disk
	run -0 bash "$W/plan" upload; echo "$output"
	id=${output##*: image }
	id=${id%%,*}
	image "$id" >"$W/ami"
	[ "$(jq -r '.disk_format + .container_format' "$W/ami")" = amiami ]
	glance_file "$id" | cmp - "$T/host/$NOVA/$SMALL/disk"
	for part in kernel:aki ramdisk:ari; do
		id=$(jq -r ".${part%:*}_id" "$W/ami")
		glance_file "$id" |
			cmp - "$T/host/$NOVA/instance-00000002/${part%:*}"
		[ "$(image "$id" | jq -r .disk_format)" = "${part#*:}" ]
	done
}

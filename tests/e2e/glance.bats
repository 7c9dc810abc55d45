#!/usr/bin/env bats
# rescuefs export --glance, and a pipe into its clients: against the real Glance.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/openstack

setup_file()
{
	need_scene python3
	scene_attach "$BATS_FILE_TMPDIR/bm"
	[[ ! $(type -P glance-api) ]] || glance_start "$BATS_FILE_TMPDIR"
}

teardown_file()
{
	glance_stop "$BATS_FILE_TMPDIR"
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	need_openstack glance-api glance-manage openstack glance
}

teardown()
{
	rescue_umount "$W"
}

export_disk()
{
	client "$RESCUEFS" export --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$@"
}

images()
{
	openstack image list -f value -c ID | wc -l
}

# A client that is the real one but for what the text on stdin does to "$@".
altered()
{
	local real

	real=$(PATH=${PATH#"$W/bin:"} && type -P openstack)
	{
		printf '#!/usr/bin/env bash\nreal=%q\n' "$real"
		cat
	} >"$W/altered"
	shim "$W/bin" openstack <"$W/altered"
}

@test "raw: the disk byte for byte, its id, and where it came from" {
	local id

	run -0 --separate-stderr export_disk --glance "-x'; y" april-ci/disk
	id=$output
	openstack image save --file "$W/got" "$id"
	export_disk -o "$W/want" april-ci/disk
	cmp "$W/got" "$W/want"
	openstack image show -f json "$id" >"$W/image"
	jq -e --arg part "$APRIL_UUID/disk" '.name == "-x'"'"'; y" and
		.disk_format == "raw" and .container_format == "bare" and
		.visibility == "private" and
		.properties.rescuefs_part == $part and
		.properties.rescuefs_host == "bm0002.the.re" and
		.properties.rescuefs_sources == "bm0002 backup"' "$W/image"
}

@test "ami, beside a mount: its kernel and ramdisk first" {
	local id part name

	rescue_mount "$W"
	run -0 --separate-stderr client "$RESCUEFS" export --damaged "$BM" \
		--backup "$BACKUP" --state "$STATE" --glance lucid "$ESSEX/disk"
	id=$output
	openstack image show -f json "$id" >"$W/image"
	[ "$(jq -r '.disk_format + .container_format' "$W/image")" = amiami ]
	openstack image save --file "$W/got" "$id"
	cmp "$W/got" "$MNT/instances/$ESSEX/disk"
	for part in kernel:aki ramdisk:ari; do
		name=${part%:*}
		id=$(jq -r ".properties.${name}_id" "$W/image")
		openstack image save --file "$W/got" "$id"
		cmp "$W/got" "$MNT/hosts/bm0002.the.re/$NOVA/$ESSEX/$name"
		[ "$(openstack image show -f value -c disk_format "$id")" = \
			"${part#*:}" ]
	done
}

@test "the glance client does as well, where there is no other" {
	mkdir "$W/only"
	for p in glance python3 timeout; do
		ln -s "$(type -P "$p")" "$W/only/$p"
	done
	run -0 --separate-stderr env -u OS_AUTH_TYPE -u OS_ENDPOINT \
		PATH="$W/only" "$RESCUEFS" export --damaged "$BM" \
		--backup "$BACKUP" --state "$BATS_FILE_TMPDIR/state" \
		--glance other april-ci/disk
	[ "$(openstack image show -f value -c size "$output")" = 268435456 ]
	run -2 env PATH="$W" "$RESCUEFS" export --damaged "$BM" \
		--backup "$BACKUP" --state "$BATS_FILE_TMPDIR/state" \
		--glance other april-ci/disk
	[[ $output = *"neither openstack nor glance is on the path"* ]]
}

@test "a pipe into a client" {
	local id

	id=$(export_disk -o - --manifest "$W/m" april-ci/disk |
		openstack image create --disk-format raw \
			--container-format bare -f value -c id piped)
	[ "$(openstack image show -f value -c checksum "$id")" = \
		"$(jq -r .md5 "$W/m")" ]
}

@test "a lost block: no image is left that looks whole" {
	local before

	before=$(images)
	run -3 client "$RESCUEFS" export --damaged "$BM" --state "$W/alone" \
		--glance lost april-ci/disk
	[[ $output = *"is lost in bytes"* ]]
	[ "$(images)" = "$before" ]
}

@test "other bytes, and an image that stays queued, are told and taken away" {
	local before

	before=$(images)
	altered <<-'END'
	case "$*" in
	"image create"*) head -c 1000000 | "$real" "$@" && cat >/dev/null ;;
	*) exec "$real" "$@" ;;
	esac
	END
	run -3 export_disk --glance short april-ci/disk
	[[ $output = *"its size is 1000000, and not 268435456"* ]]
	[ "$(images)" = "$before" ]
	altered <<-'END'
	case "$*" in
	"image create"*) {
		head -c 5000
		head -c 1 >/dev/null
		printf X
		cat
	} | "$real" "$@" ;;
	*) exec "$real" "$@" ;;
	esac
	END
	run -3 export_disk --glance other april-ci/disk
	[[ $output = *"is not what was sent: its checksum is"* ]]
	[ "$(images)" = "$before" ]
	altered <<-'END'
	case "$*" in
	"image show"*) "$real" "$@" | sed 's/active/queued/' ;;
	*) exec "$real" "$@" ;;
	esac
	END
	run -3 export_disk --glance queued april-ci/disk
	[[ $output = *"its status is queued, and not active"* ]]
	[ "$(images)" = "$before" ]
}

@test "a signal in the middle leaves no image" {
	local before pid status=0

	before=$(images)
	altered <<-END
	case "\$*" in
	"image create"*) {
		head -c 2000000
		touch "$W/begun"
		sleep 2
		cat
	} | "\$real" "\$@" ;;
	*) exec "\$real" "\$@" ;;
	esac
	END
	"$RESCUEFS" export --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" --glance cut april-ci/disk \
		2>"$W/said" &
	pid=$!
	wait_until 20 test -e "$W/begun"
	kill "$pid"
	wait "$pid" || status=$?
	[ "$status" -eq 2 ]
	grep "stopped by a signal" "$W/said"
	[ "$(images)" = "$before" ]
}

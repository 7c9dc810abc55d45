#!/usr/bin/env bats
# rescuefs plan: what its script says, and what its steps do to the real schemas of
# nova and cinder.  What they do to the real Glance is in glance.bats.
bats_require_minimum_version 1.5.0

load lib/common
load lib/disk
load lib/nova
load lib/scene
load lib/mount
load lib/openstack

setup_file()
{
	scene_setup_file python3
	rescue_mount "$BATS_FILE_TMPDIR"
	plan --all >"$BATS_FILE_TMPDIR/today"
	plan --era essex --all >"$BATS_FILE_TMPDIR/essex"
}

teardown_file()
{
	rescue_umount "$BATS_FILE_TMPDIR"
	scene_detach "$BATS_FILE_TMPDIR/bm"
}

setup()
{
	W=$BATS_TEST_TMPDIR
	T=$BATS_FILE_TMPDIR
	cp "$T/today" "$W/today"
	cp "$T/essex" "$W/essex"
}

plan()
{
	client "$RESCUEFS" plan --damaged "$BM" --backup "$BACKUP" \
		--state "$BATS_FILE_TMPDIR/state" "$@"
}

# fill FILE NAME VALUE: as an operator does it with an editor.
fill()
{
	grep -qE "^[[:space:]]*$2='FILL-IN'" "$1"
	sed -i -E "s|^([[:space:]]*$2=)'FILL-IN'|\1'$3'|" "$1"
}

# A small site with a volume and an instance that is named to do harm.
EVIL="x'; touch pwned; \$(touch pwned) \`touch pwned\` \\\" -- ö"
evil_site()
{
	local uuid=11111111-aaaa-4aaa-8aaa-000000000001 name

	mkdir -p "$W/host/$NOVA/$uuid" "$W/lv"
	name=${EVIL//&/&amp;}
	nova_domain "$W/host" instance-00000001 "$uuid" "${name//</&lt;}" \
		m1.tiny 64 9f2c61a4-0000-4000-8000-000000000000 disk
	nova_disk_info "$W/host" "$uuid" disk=raw
	truncate -s 1M "$W/host/$NOVA/$uuid/disk" "$W/lv/volume-00000143"
	truncate -s 1025M "$W/lv/volume-$VOLUME"
}
VOLUME=7a1f0e9c-5b7d-4c2e-9f80-1d3c5e7a9b24

evil_plan()
{
	client "$RESCUEFS" plan --damaged "$W/host" --volumes "$W/lv" \
		--state "$W/state" "$@"
}

# What the control plane answers: nova-compute is disabled and down, placement
# agrees, and SQL goes to a copy of the real schema.
control_plane()
{
	shim "$W/bin" mysql <<-END
	#!/usr/bin/env python3
	import sqlite3, sys
	assert sys.argv[1:3] == ["--batch", "--skip-column-names"]
	db = sqlite3.connect("$W/" + sys.argv[3] + ".db")
	for row in db.execute(sys.stdin.read()):
	    print(*row, sep="\t")
	db.commit()
	END
	shim "$W/bin" openstack <<-END
	#!/usr/bin/env bash
	printf '%q ' "\$@" >>"$W/asked"
	echo >>"$W/asked"
	case "\$*" in
	"compute service list"*) echo "disabled \$(cat "$W/nova-compute")" ;;
	"volume list"*) echo "$VOLUME" ;;
	esac
	END
	shim "$W/bin" nova-manage <<-END
	#!/usr/bin/env bash
	printf '%q ' nova-manage "\$@" >>"$W/asked"
	echo >>"$W/asked"
	END
	echo down >"$W/nova-compute"
}

query()
{
	python3 - "$W/$1.db" "$2" <<-'END'
	import sqlite3, sys
	db = sqlite3.connect(sys.argv[1])
	for row in db.execute(sys.argv[2]):
	    print(*row, sep="|")
	db.commit()
	END
}

@test "what the sources tell is filled in, and the mount's place" {
	local f=$W/today

	grep -Fx "MOUNT='$MNT'  # where rescuefs mount shows these disks" "$f"
	grep -Fx "	UUID='$APRIL_UUID'" "$f"
	grep -Fx "	NAME='april-ci'" "$f"
	grep -Fx "	FLAVOR='m1.small'" "$f"
	grep -Fx "	# 268435456 bytes" "$f"
	grep -q "^	KERNEL='hosts/bm0002.the.re/$NOVA/$ESSEX/kernel'" "$f"
	grep -q "^	NAME='$ESSEX'  # its display name is not on the host" "$f"
	# What nova makes anew is no matter of a recovery.
	run ! grep -q 'disk\.config' "$f"
	plan april-ci >"$W/one"
	grep -qx ITEMS=2 "$W/one"
	plan april-ci/disk.eph0 >"$W/one"
	grep -qx ITEMS=1 "$W/one"
}

@test "what is not known stands at the top, and what is dangerous is said" {
	local f

	for f in "$W/today" "$W/essex"; do
		# Before the first step, whose work they are wanted for.
		[ "$(grep -n "='FILL-IN'" "$f" | tail -n 1 | cut -d: -f1)" -lt \
			"$(grep -n '^die()' "$f" | cut -d: -f1)" ]
		run -0 sed -n '/DANGER/,/^step_/p' "$f"
		[[ $output = *"a nova-compute that comes back on"*"deletions"* ]]
		run -0 grep -B1 '^step_\(detach\|retire\)()' "$f"
		[[ $output = *"in use must be detached first"* ]]
	done
	run -0 grep -A2 'Do not use "evacuate"' "$W/today"
	[[ $output = *"makes the root disk anew from"*"the image"* ]]
}

@test "it passes bash -n and shellcheck, and runs nothing by itself" {
	local f

	for f in "$W/today" "$W/essex"; do
		bash -n "$f"
		shellcheck "$f"
		run -0 env PATH="$PATH" bash "$f"
		[[ $output = *"upload   1"* ]]
		run -1 bash "$f" nonsense
		[[ $output = *"nonsense is no step of april-ci/disk"* ]]
		run -1 bash "$f" boot 5
		# shellcheck disable=SC2016 # as text
		run -1 bash "$f" boot 'x[$(touch pwned)]'
	done
	[ ! -e pwned ]
	run -2 plan --era folsom --all
	run -2 plan nobody
}

@test "hostile names are text in every part" {
	evil_site
	cd "$W"
	evil_plan --all >"$W/evil"
	bash -n "$W/evil"
	shellcheck "$W/evil"
	bash "$W/evil" >/dev/null
	# The value, as bash has it, is the name.
	sed -n '/^item_1()/,/^}/p' "$W/evil" >"$W/facts"
	[ "$(bash -c '. ./facts; item_1; printf %s "$NAME"')" = "$EVIL" ]
	[ ! -e pwned ]
}

@test "a volume: its size in whole gigabytes, its number or uuid" {
	evil_site
	evil_plan "volume-$VOLUME" >"$W/v"
	grep -Fx "	VOLUME_GB='2'" "$W/v"
	grep -Fx "	OLD_VOLUME='$VOLUME'" "$W/v"
	evil_plan --era essex volume-00000143 >"$W/v"
	grep -Fx "	VOLUME_GB='1'" "$W/v"
	grep -Fx "	OLD_VOLUME='323'" "$W/v"
}

@test "a step that lacks a fact stops, and names it" {
	control_plane
	run -1 bash "$W/today" rehome 1
	[[ $output = *"NEW_HOST is not known; fill it in"* ]]
	[ ! -e "$W/asked" ]
}

@test "re-homing: nova's own schema, one row and no other" {
	local other=9b2d4f60-0000-4a7b-8d55-e0f1a2b3c4d5 u

	need_openstack nova-manage
	nova_schema "$W"
	control_plane
	for u in "$APRIL_UUID" "$other"; do
		query nova "insert into instances (uuid, host, node, deleted) values ('$u', 'bm0002.the.re', 'bm0002.the.re', 0)"
	done
	query nova "insert into instances (uuid, host, deleted) values ('00000000-0000-4000-8000-000000000000', 'bm0002.the.re', 7)"
	fill "$W/today" NEW_HOST "bm0007"
	# A quote in it must be quoted for SQL.
	sed -i "s|^NEW_ZONE=.*|NEW_ZONE=\"north's\"|" "$W/today"
	# Without a yes nothing happens.
	run -1 bash "$W/today" rehome 1 </dev/null
	[ "$(query nova "select count(*) from instances where host = 'bm0007'")" = 0 ]
	run -0 bash "$W/today" rehome 1 <<<yes
	[ "$(query nova "select uuid, node, availability_zone from instances where host = 'bm0007'")" = \
		"$APRIL_UUID|bm0007|north's" ]
	grep -q "^nova-manage placement heal_allocations --instance $APRIL_UUID" "$W/asked"
	# A second time there is nothing to do, and that is an error.
	run -1 bash "$W/today" rehome 1 <<<yes
	[[ $output = *"nova has 0 such instances on bm0002.the.re, not 1"* ]]
	# The same statements of Essex, against the same table, and its list.
	query nova "update instances set key_name = 'mykey' where host = 'bm0007'"
	sed -i "s|bm0002.the.re|bm0007|" "$W/essex"
	run -0 bash "$W/essex" list 1
	[[ $output = *"$APRIL_UUID"*mykey*"north's"* ]]
	cp "$T/essex" "$W/essex"
	fill "$W/essex" NEW_HOST bm0008
	shim "$W/bin" nova-manage <<-'END'
	#!/usr/bin/env bash
	echo "nova-compute bm0002.the.re nova disabled XXX 2013-05-11"
	END
	query nova "update instances set host = 'bm0002.the.re'"
	run -0 bash "$W/essex" rehome 1 <<<yes
	[ "$(query nova "select uuid from instances where host = 'bm0008'")" = "$APRIL_UUID" ]
}

@test "a nova-compute that is up stops what it would undo" {
	control_plane
	fill "$W/today" NEW_HOST bm0007
	fill "$W/today" NEW_ZONE nova
	echo up >"$W/nova-compute"
	for step in rehome delete; do
		run -1 bash "$W/today" "$step" 1 <<<yes
		[[ $output = *"nova-compute on bm0002.the.re is up"* ]]
	done
	run ! grep -q delete "$W/asked"
}

@test "the old volume: cinder's own schema, refused while it is attached" {
	need_openstack cinder-manage
	cinder_schema "$W"
	control_plane
	evil_site
	evil_plan "volume-$VOLUME" >"$W/v"
	query cinder "insert into volumes (id, status, attach_status, deleted, use_quota, volume_type_id) values ('$VOLUME', 'in-use', 'attached', 0, 1, 'x')"
	run -1 bash "$W/v" retire <<<yes
	[[ $output = *"cinder has 0 such volumes that are detached"* ]]
	query cinder "update volumes set status = 'available', attach_status = 'detached'"
	run -0 bash "$W/v" retire <<<yes
	[ "$(query cinder "select status, deleted, deleted_at is not null from volumes")" = "deleted|1|1" ]
}

# What "$@" makes of the plan's step: the commands, one a line, without looks.
asked()
{
	: >"$W/asked"
	run -0 "$@" <<<yes
	grep -vE '^[a-z]+ (service )?(list|show)|^(image|volume|server) (list|show) ' \
		"$W/asked" >"$W/orders" || true
	cat "$W/orders"
}

# An instance with an image that is its disk, and a volume in use.
answering()
{
	local sum

	control_plane
	small_host "$W"
	mkdir -p "$W/mount/instances/small" "$W/mount/volumes"
	truncate -s 1M "$W/mount/instances/small/disk"
	truncate -s 1025M "$W/lv/volume-$VOLUME" "$W/mount/volumes/volume-$VOLUME"
	client "$RESCUEFS" plan --damaged "$W/host,host=bm1" --volumes "$W/lv" \
		--state "$W/state" small "volume-$VOLUME" >"$W/p"
	sed -i "s|^MOUNT='FILL-IN'|MOUNT='$W/mount'|" "$W/p"
	sum=$(head -c 1048576 /dev/zero | sha512sum)
	echo in-use >"$W/status"
	shim "$W/bin" openstack <<-END
	#!/usr/bin/env bash
	printf '%q ' "\$@" >>"$W/asked"
	echo >>"$W/asked"
	case "\$*" in
	"compute service list"*) echo "disabled down" ;;
	"image list"*) echo image-1 ;;
	"image show"*) printf '%s\n' 'status="active"' 'size="1048576"' \
		"properties=\"os_hash_value='${sum%% *}'\"" ;;
	"server list"*) echo server-2 ;;
	"server delete"*) touch "$W/deleted" ;;
	"server show"*) [[ ! -e "$W/deleted" ]] ;;
	"volume show"*) cat "$W/status" ;;
	"volume set"*) echo available >"$W/status" ;;
	"volume create"*) echo volume-2 ;;
	"volume service list"*) echo disabled ;;
	esac
	END
}

@test "the steps of an instance order what they say, and look" {
	answering
	[ "$(asked bash "$W/p" host 1)" = \
		"compute service set --disable --disable-reason its\\ disk\\ fails\\;\\ see\\ the\\ plan\\ of\\ recovery bm1 nova-compute " ]
	fill "$W/p" KEY mykey
	run -1 bash "$W/p" boot 1
	[[ $output = *"ZONE is not known"* ]]
	sed -i "s/'FILL-IN'/'north'/" "$W/p"
	asked bash "$W/p" delete 1
	[ "$(<"$W/orders")" = "server delete --wait $SMALL " ]
	asked bash "$W/p" boot 1
	grep -q '^server create --image image-1 --flavor m1.tiny --key-name mykey --availability-zone north --network north --wait -- small $' \
		"$W/orders"
}

@test "the steps of a volume: taken off its server before it is gone" {
	answering
	sed -i "s/'FILL-IN'/'north'/" "$W/p"
	asked bash "$W/p" outage 2
	grep -q '^volume service set --disable --disable-reason .* north cinder-volume $' \
		"$W/orders"
	asked bash "$W/p" detach 2
	[ "$(<"$W/orders")" = "volume set --state available --detached $VOLUME " ]
	asked bash "$W/p" create 2
	[ "$(<"$W/orders")" = \
		"volume create --size 2 --availability-zone north -f value -c id -- rescued-volume-$VOLUME " ]
}

@test "Essex's volume, in a table made after its own" {
	control_plane
	evil_site
	evil_plan --era essex volume-00000143 >"$W/v"
	# No Essex can be had; these are its columns that the statements name.
	query nova "create table volumes (id integer primary key, host text, status text, attach_status text, deleted boolean, deleted_at datetime, terminated_at datetime)"
	query nova "insert into volumes values (323, 'host', 'available', 'detached', 0, null, null), (324, 'host', 'available', 'detached', 0, null, null)"
	fill "$W/v" NEW_VOLUME 00000200
	shim "$W/bin" nova-manage <<-'END'
	#!/usr/bin/env bash
	echo "nova-volume host nova disabled XXX 2013-05-11"
	END
	run -0 bash "$W/v" retire <<<yes
	[ "$(query nova "select id from volumes where deleted = 1")" = 323 ]
}

# The commands with their options, as the script has them: "COMMAND<tab>OPTION".
commands_of()
{
	sed -e ':a;/\\$/{N;s/\\\n//;ba}' "$1" | grep -v '^[[:space:]]*#' |
		grep -oE "\b$2 [a-z_]+ [^|;)]*" |
		while read -ra words; do
			local command='' w

			for w in "${words[@]:1}"; do
				[[ $w =~ ^[a-z_]+$ && $command != *" -"* ]] ||
					break
				command+=" $w"
			done
			for w in "${words[@]}"; do
				[[ ! $w =~ ^(--[a-z][a-z-]*) ]] ||
					printf '%s\t%s\n' "${command# }" \
						"${BASH_REMATCH[1]}"
			done
		done | sort -u
}

@test "every option that it prints is one of the real clients'" {
	local command option n=0

	need_openstack openstack nova-manage cinder-manage
	export HOME=$W
	commands_of "$W/today" openstack >"$W/options"
	cut -f1 "$W/options" | sort -u >"$W/commands"
	sed 's/^/help /' "$W/commands" | openstack >"$W/help" 2>&1
	while IFS=$'\t' read -r command option; do
		awk -v c="usage: $command " 'index($0, c) { on = 1; print; next }
			/^usage: / { on = 0 } on' "$W/help" |
			grep -qE -- "(^|[[ |])$option([] |,]|\$)" ||
			die "openstack $command has no $option"
		n=$((n + 1))
	done <"$W/options"
	((n > 30))
	nova-manage placement heal_allocations --help 2>/dev/null |
		grep -q -- '--instance '
	cinder-manage volume update_host --help 2>/dev/null |
		tr -d '\n' | grep -q -- '--currenthost.*--newhost'
	cinder-manage quota sync --help >/dev/null 2>&1
}

@test "a volume is copied onto a block device and read back" {
	local loop

	evil_site
	seeded_bytes copy 300000 | dd of="$W/lv/volume-00000143" conv=notrunc \
		status=none
	evil_plan volume-00000143 >"$W/v"
	truncate -s 2M "$W/device"
	loop=$(losetup -f --show "$W/device")
	mkdir -p "$W/mount/volumes"
	cp "$W/lv/volume-00000143" "$W/mount/volumes/"
	fill "$W/v" VOLUME_HOST localhost
	fill "$W/v" MOUNT "$W/mount"
	# The step's work, without a cinder to say which volume it is.
	sed -i '/^main "\$@"/d' "$W/v"
	run bash -c ". $W/v; item_1; copy_to_device $loop" <<<yes
	losetup -d "$loop"
	[ "$status" -eq 0 ]
	cmp -n 1048576 "$W/device" "$W/lv/volume-00000143"
	run -1 bash -c ". $W/v; item_1; copy_to_device $W/device" <<<yes
	[[ $output = *"has no device"* ]]
}

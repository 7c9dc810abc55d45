# shellcheck shell=bash
# openstack.bash - the real Glance, and the real schemas of nova and cinder, on
# loopback and in a directory of the test's own.

# need_openstack PROGRAM...: skips the test where a package is not there.
need_openstack()
{
	local tool

	for tool; do
		[[ $(type -P "$tool") ]] ||
			skip "needs $tool; tools/install-deps --openstack"
	done
}

free_port()
{
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

glance_answers()
{
	python3 - "$1" <<-'END'
	import socket, sys
	socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1)
	END
}

# glance_start WORK: Glance with sqlite and the file store, without Keystone.
# Sets what its clients want: their HOME is empty, or they stumble over a schema
# kept there.
glance_start()
{
	local work=$1/glance port

	mkdir -p "$work/store" "$work/home" "$work/tasks" "$work/staging"
	port=$(free_port) || return
	cat >"$work/glance-api.conf" <<-END
	[DEFAULT]
	bind_host = 127.0.0.1
	bind_port = $port
	workers = 0
	enabled_backends = here:file
	log_file = $work/log
	node_staging_uri = file://$work/staging
	[database]
	connection = sqlite:///$work/glance.db
	[glance_store]
	default_backend = here
	[here]
	filesystem_store_datadir = $work/store
	[os_glance_staging_store]
	filesystem_store_datadir = $work/staging
	[os_glance_tasks_store]
	filesystem_store_datadir = $work/tasks
	[paste_deploy]
	config_file = /etc/glance/glance-api-paste.ini
	END
	glance-manage --config-file "$work/glance-api.conf" db_sync \
		>"$work/sync" 2>&1 || return
	in_background glance-api --config-file "$work/glance-api.conf" \
		>"$work/out" 2>&1
	echo $! >"$work/pid"
	wait_until 60 glance_answers "$port" 2>/dev/null || return
	glance_clients "$work" "$port"
}

glance_clients()
{
	export HOME=$1/home OS_AUTH_TYPE=none no_proxy=127.0.0.1
	export OS_ENDPOINT=http://127.0.0.1:$2
	# Those of the glance client, which never asks the first.
	export OS_AUTH_URL=http://127.0.0.1:1 OS_IMAGE_URL=$OS_ENDPOINT
	export OS_AUTH_TOKEN=none
}

# glance_call METHOD PATH [HEADER]: its API, without a client's second of start;
# what stdin has goes there, and what it answers to stdout.
glance_call()
{
	python3 - "$@" 3<&0 <<-'END'
	import os, shutil, sys, urllib.request
	kind = {"POST": "application/json"}
	data = open(3, "rb").read() if sys.argv[1] in ("POST", "PUT") else None
	call = urllib.request.Request(
	    os.environ["OS_ENDPOINT"] + "/v2/images" + sys.argv[2], data,
	    {"Content-Type": kind.get(sys.argv[1], "application/octet-stream")},
	    method=sys.argv[1])
	with urllib.request.urlopen(call) as answer:
	    shutil.copyfileobj(answer, sys.stdout.buffer)
	END
}

# glance_upload FILE PROPERTY=VALUE...: a raw image with these; prints its id.
glance_upload()
{
	local file=$1 id
	shift

	id=$(jq -nc '[$ARGS.positional[] | split("=") | {(.[0]): .[1]}] | add +
		{name: "x", disk_format: "raw", container_format: "bare"}' \
		--args "$@" | glance_call POST "" | jq -r .id)
	glance_call PUT "/$id/file" <"$file"
	printf '%s\n' "$id"
}

# "DISK-FORMAT ID" of each image.
glance_images()
{
	glance_call GET "" </dev/null |
		jq -r '.images[] | "\(.disk_format) \(.id)"' | sort
}

# Its bytes.
glance_file()
{
	glance_call GET "/$1/file" </dev/null
}

# small_host DIR: a host with one instance of each era, a volume, and the scene's
# own kernel; all of it readable.  Sets SMALL, the uuid of today's.
SMALL=c2a6b1d4-0000-4000-8000-0000000000aa
small_host()
{
	local dir=$1/host/$NOVA id=instance-00000002 part

	mkdir -p "$dir/$SMALL" "$dir/$id" "$1/lv"
	seeded_bytes small 3145728 >"$dir/$SMALL/disk"
	nova_domain "$1/host" instance-00000001 "$SMALL" small m1.tiny 64 \
		9f2c61a4-0000-4000-8000-000000000000 disk
	nova_disk_info "$1/host" "$SMALL" disk=raw
	for part in kernel ramdisk; do
		cp "$BACKUP/$NOVA/$ESSEX/$part" "$dir/$id/$part"
	done
	qemu-img create -q -f qcow2 "$dir/$id/disk" 1M
	essex_domain "$1/host" "$id" 5b1f1a52-0000-4000-8000-0000000000bb
	seeded_bytes volume 2097152 >"$1/lv/volume-00000143"
}

glance_stop()
{
	end_pid "$1/glance/pid"
}

# nova_schema WORK, cinder_schema WORK: the database as their own tools make it.
nova_schema()
{
	printf '[database]\nconnection = sqlite:///%s/nova.db\n[api_database]\nconnection = sqlite:///%s/nova_api.db\n' \
		"$1" "$1" >"$1/nova.conf"
	nova-manage --config-file "$1/nova.conf" db sync --local_cell \
		>"$1/nova.log" 2>&1
}

cinder_schema()
{
	printf '[DEFAULT]\nstate_path = %s\nlog_dir = %s\n[database]\nconnection = sqlite:///%s/cinder.db\n' \
		"$1" "$1" "$1" >"$1/cinder.conf"
	cinder-manage --config-file "$1/cinder.conf" db sync \
		>"$1/cinder.log" 2>&1
}

# shim DIR NAME: a program of that name, its text from stdin, first on the path.
shim()
{
	mkdir -p "$1"
	cat >"$1/$2"
	chmod +x "$1/$2"
	[[ $PATH = "$1:"* ]] || export PATH=$1:$PATH
}

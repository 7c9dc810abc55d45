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
	export HOME=$1/home OS_AUTH_TYPE=none
	export OS_ENDPOINT=http://127.0.0.1:$2
	# Those of the glance client, which never asks the first.
	export OS_AUTH_URL=http://127.0.0.1:1 OS_IMAGE_URL=$OS_ENDPOINT
	export OS_AUTH_TOKEN=none
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

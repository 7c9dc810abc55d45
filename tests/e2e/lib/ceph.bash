# shellcheck shell=bash
# ceph.bash - a real Ceph cluster on loopback, in a directory of the test's own:
# one monitor, and one OSD that keeps its data in memory.

# need_ceph: skips the test where a package is not there.
need_ceph()
{
	! lacks_ceph || skip "$(lacks_ceph); tools/install-deps --ceph"
}

lacks_ceph()
{
	local tool

	for tool in ceph ceph-mon ceph-osd rbd rados; do
		[[ $(type -P "$tool") ]] || { echo "needs $tool" && return; }
	done
	compgen -G '/usr/lib/*/qemu/block-rbd.so' >/dev/null && return 1
	echo "needs qemu-block-extra"
}

free_port()
{
	python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# ceph_conf PORT: a client's, without a key.
ceph_conf()
{
	cat <<-END
	[global]
	mon host = v2:127.0.0.1:$1/0
	auth cluster required = cephx
	auth service required = cephx
	auth client required = cephx
	ms bind ipv6 = false
	public addr = 127.0.0.1
	END
}

# The daemons', with all keys, for the test.
ceph_own_conf()
{
	ceph_conf "$2"
	cat <<-END
	fsid = $3
	keyring = $1/keyring
	run dir = $1
	crash dir = $1
	pid file = $1/\$type.pid
	osd pool default size = 1
	osd pool default min size = 1
	osd crush chooseleaf type = 0
	mon allow pool size one = true
	[mon]
	mon data = $1/mon
	mon data avail crit = 1
	mon data avail warn = 1
	log file = $1/mon.log
	[osd]
	osd data = $1/osd
	osd objectstore = memstore
	memstore device bytes = 268435456
	log file = $1/osd.log
	END
}

# key NAME CAP...: into the keyring.
ceph_new_key()
{
	ceph-authtool "$C/keyring" --gen-key -n "$@" >/dev/null
}

# ceph_start WORK: sets C, its directory, with client.conf for a mount and
# reader.keyring of a user who can read the pool "volumes" and watch it.
ceph_start()
{
	local port fsid uuid

	export C=$1/ceph
	mkdir -p "$C/mon" "$C/osd"
	port=$(free_port)
	fsid=$(</proc/sys/kernel/random/uuid)
	uuid=$(</proc/sys/kernel/random/uuid)
	ceph_conf "$port" >"$C/client.conf"
	ceph_own_conf "$C" "$port" "$fsid" >"$C/own.conf"
	: >"$C/keyring"
	ceph_new_key mon. --cap mon 'allow *'
	ceph_new_key client.admin --cap mon 'allow *' --cap osd 'allow *'
	ceph_new_key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
	monmaptool --create --fsid "$fsid" --addv a "v2:127.0.0.1:$port/0" \
		"$C/monmap" >/dev/null
	ceph_call ceph-mon --mkfs -i a --monmap "$C/monmap" \
		--keyring "$C/keyring"
	ceph_call ceph-mon -i a
	ceph_call ceph osd new "$uuid" 0
	ceph_call ceph-osd -i 0 --mkfs --osd-uuid "$uuid"
	ceph_call ceph-osd -i 0
	ceph_call ceph osd pool create volumes 1
	ceph_call ceph auth get-or-create client.reader \
		mon 'profile rbd-read-only' osd "profile rbd-read-only \
		pool=volumes, allow rw pool=volumes object_prefix rbd_header." \
		-o "$C/reader.keyring"
}

# ceph_call PROGRAM ARG...: with the keys of all.
ceph_call()
{
	client "$1" -c "$C/own.conf" "${@:2}" >>"$C/log" 2>&1 3>&- 4>&-
}

# ceph_signal SIGNAL: to both of its daemons.
ceph_signal()
{
	kill "-$1" "$(<"$C/osd.pid")" "$(<"$C/mon.pid")"
}

ceph_stop()
{
	[[ -d $1/ceph ]] || return 0
	C=$1/ceph
	ceph_signal CONT 2>/dev/null || true
	end_pid "$C/osd.pid"
	end_pid "$C/mon.pid"
}

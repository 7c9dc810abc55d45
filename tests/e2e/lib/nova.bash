# shellcheck shell=bash
# nova.bash - what nova and libvirt leave on a host: the files, in the shape
# that the real ones write, with names of our own.

NOVA=var/lib/nova/instances

# nova_overlay ROOT DISK BASE SIZE [OPTION]: a qcow2 overlay whose backing file
# is an absolute path as the host sees it, which is no path here.
nova_overlay()
{
	qemu-img create -q -f qcow2 -u -o "${5-compat=1.1}" -F raw \
		-b "/$NOVA/_base/$3" "$1/$NOVA/$2" "$4"
}

# nova_chain ROOT FILE: --image-opts for qemu-img, each backing file looked for
# under ROOT; a file that names no format for its backing file means raw.
nova_chain()
{
	local root=$1 file=$2 prefix='' format=qcow2 opts='' info

	while :; do
		opts+=",${prefix}driver=$format,${prefix}file.driver=file"
		opts+=",${prefix}file.filename=$root/${file#/}"
		[[ $format = qcow2 ]] || break
		info=$(qemu-img info -U -f qcow2 --output=json "$root/${file#/}")
		file=$(jq -r '."backing-filename" // ""' <<<"$info")
		[[ $file ]] || break
		format=$(jq -r '."backing-filename-format" // "raw"' <<<"$info")
		prefix+=backing.
	done
	printf '%s\n' "${opts#,}"
}

# nova_convert ROOT FILE RAW: the disk as its guest sees it, by qemu-img.
nova_convert()
{
	qemu-img convert -U -O raw --image-opts "$(nova_chain "$1" "$2")" "$3"
}

# nova_disk_info ROOT UUID DISK=FORMAT...: disk.info, one line of JSON.
nova_disk_info()
{
	local root=$1 uuid=$2 item json=''
	shift 2

	for item; do
		json+=", \"/$NOVA/$uuid/${item%=*}\": \"${item#*=}\""
	done
	printf '{%s}' "${json#, }" >"$root/$NOVA/$uuid/disk.info"
}

libvirt_header()
{
	cat <<EOT
<!--
WARNING: THIS IS AN AUTO-GENERATED FILE. CHANGES TO IT ARE LIKELY TO BE
OVERWRITTEN AND LOST. Changes to this xml configuration should be made using:
  virsh edit $1
or other application using the libvirt API.
-->

EOT
}

# nova_domain ROOT ID UUID NAME FLAVOR MEMORY_MB IMAGE DISK...: the domain of a
# nova of today, in etc/libvirt/qemu.  Of the backing files it says nothing.
nova_domain()
{
	local root=$1 id=$2 uuid=$3 name=$4 flavor=$5 mb=$6 image=$7 letter=a d
	shift 7

	mkdir -p "$root/etc/libvirt/qemu"
	{
		libvirt_header "$id"
		cat <<EOT
<domain type='kvm'>
  <name>$id</name>
  <uuid>$uuid</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:package version="26.2.2"/>
      <nova:name>$name</nova:name>
      <nova:creationTime>2026-03-31 08:12:44</nova:creationTime>
      <nova:flavor name="$flavor">
        <nova:memory>$mb</nova:memory>
        <nova:disk>1</nova:disk>
        <nova:swap>0</nova:swap>
        <nova:ephemeral>1</nova:ephemeral>
        <nova:vcpus>1</nova:vcpus>
      </nova:flavor>
      <nova:owner>
        <nova:user uuid="0c7d4d1b0c5e4a0f9a53d3fb5f0a5f11">ci</nova:user>
        <nova:project uuid="a2a81a3c52f84b2bb8a4d7a0e3a9c1de">builders</nova:project>
      </nova:owner>
      <nova:root type="image" uuid="$image"/>
      <nova:ports>
        <nova:port uuid="8f2b1c9a-6f3e-4c59-9d3a-5b6f7d0e1a2b">
          <nova:ip type="fixed" address="10.0.1.7" ipVersion="4"/>
        </nova:port>
      </nova:ports>
    </nova:instance>
  </metadata>
  <memory unit='KiB'>$((mb * 1024))</memory>
  <currentMemory unit='KiB'>$((mb * 1024))</currentMemory>
  <vcpu placement='static'>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type>
    <boot dev='hd'/>
    <smbios mode='sysinfo'/>
  </os>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
EOT
		for d; do
			nova_domain_disk "/$NOVA/$uuid/$d" "vd$letter"
			letter=$(tr a-y b-z <<<"$letter")
		done
		cat <<EOT
    <interface type='bridge'>
      <mac address='fa:16:3e:12:6c:9d'/>
      <source bridge='brq5f0a1c2d-3e'/>
      <target dev='tap8f2b1c9a-6f'/>
      <model type='virtio'/>
    </interface>
    <serial type='pty'>
      <log file='/$NOVA/$uuid/console.log' append='off'/>
      <target type='isa-serial' port='0'/>
    </serial>
    <memballoon model='virtio'/>
  </devices>
</domain>
EOT
	} >"$root/etc/libvirt/qemu/$id.xml"
}

nova_domain_disk()
{
	local type=qcow2

	[[ $1 != *.config ]] || type=raw
	cat <<EOT
    <disk type='file' device='disk'>
      <driver name='qemu' type='$type' cache='none'/>
      <source file='$1'/>
      <target dev='$2' bus='virtio'/>
    </disk>
EOT
}

# essex_domain ROOT ID UUID: libvirt.xml beside the disks, and the copy that
# libvirt keeps.  Essex wrote no metadata: the display name is not on the host.
essex_domain()
{
	local root=$1 id=$2 uuid=$3 dir=/$NOVA/$2

	mkdir -p "$root/etc/libvirt/qemu"
	cat >"$root$dir/libvirt.xml" <<EOT
<domain type='kvm'>
    <uuid>$uuid</uuid>
    <name>$id</name>
    <memory>2097152</memory>
    <os>
            <type>hvm</type>
                <kernel>$dir/kernel</kernel>
                <cmdline>root=/dev/vda console=ttyS0</cmdline>
                <initrd>$dir/ramdisk</initrd>
    </os>
    <features>
        <acpi/>
    </features>
    <clock offset='utc'/>
    <vcpu>1</vcpu>
    <devices>
        <disk type='file' device='disk'>
            <driver type='qcow2' cache='none'/>
            <source file='$dir/disk'/>
            <target dev='vda' bus='virtio'/>
        </disk>
        <disk type='file' device='disk'>
            <driver type='qcow2' cache='none'/>
            <source file='$dir/disk.local'/>
            <target dev='vdb' bus='virtio'/>
        </disk>

        <interface type='bridge'>
            <source bridge='br2003'/>
            <mac address='02:16:3e:52:02:1f'/>
            <model type='virtio'/>
            <filterref filter='nova-instance-$id-02163e52021f'>
                <parameter name='IP' value='10.0.1.5'/>
                <parameter name='DHCPSERVER' value='10.0.1.1'/>
            </filterref>
        </interface>

        <serial type='file'>
            <source path='$dir/console.log'/>
            <target port='1'/>
        </serial>
        <console type='pty' tty='/dev/pts/2'>
            <source path='/dev/pts/2'/>
            <target port='0'/>
        </console>
        <graphics type='vnc' port='-1' autoport='yes' keymap='en-us' listen='127.0.0.1'/>
    </devices>
</domain>
EOT
	{
		libvirt_header "$id"
		cat "$root$dir/libvirt.xml"
	} >"$root/etc/libvirt/qemu/$id.xml"
}

# make_nova_fixture ROOT: a small idle host of today, nothing damaged.  Sets
# FIXTURE_UUID, FIXTURE_ID, FIXTURE_NAME and FIXTURE_BASE.
make_nova_fixture()
{
	local root=$1 base=$1/$NOVA/_base d

	FIXTURE_UUID=c0ffee5a-77d1-4b9c-8e6f-2d1a90b4e377
	FIXTURE_ID=instance-0000000b
	FIXTURE_NAME=build-07
	FIXTURE_BASE=$(printf %s 6a1f0e9c-5b7d-4c2e-9f80-1d3c5e7a9b24 |
		sha1sum | cut -d' ' -f1)
	export FIXTURE_UUID FIXTURE_ID FIXTURE_NAME FIXTURE_BASE

	mkdir -p "$base" "$root/$NOVA/locks" "$root/$NOVA/$FIXTURE_UUID"
	truncate -s 14025728 "$base/$FIXTURE_BASE"
	mkfs.ext4 -q -L tiny "$base/$FIXTURE_BASE"
	truncate -s 1G "$base/ephemeral_1_0706d66"
	mkfs.ext4 -q -L ephemeral0 "$base/ephemeral_1_0706d66"
	truncate -s 8M "$base/swap_8"
	mkswap -q "$base/swap_8" 2>/dev/null
	for d in "$FIXTURE_BASE" ephemeral_1_0706d66 swap_8; do
		: >"$root/$NOVA/locks/nova-$d"
	done
	nova_overlay "$root" "$FIXTURE_UUID/disk" "$FIXTURE_BASE" 1G
	nova_overlay "$root" "$FIXTURE_UUID/disk.eph0" ephemeral_1_0706d66 1G
	nova_overlay "$root" "$FIXTURE_UUID/disk.swap" swap_8 8M
	: >"$root/$NOVA/$FIXTURE_UUID/console.log"
	nova_disk_info "$root" "$FIXTURE_UUID" disk=qcow2 disk.eph0=qcow2 \
		disk.swap=qcow2
	nova_domain "$root" "$FIXTURE_ID" "$FIXTURE_UUID" "$FIXTURE_NAME" \
		m1.tiny 512 6a1f0e9c-5b7d-4c2e-9f80-1d3c5e7a9b24 \
		disk disk.eph0 disk.swap
}

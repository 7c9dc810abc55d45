#!/usr/bin/env bats
# scan: what there is, in words and as JSON, and the site file it writes.
bats_require_minimum_version 1.5.0

load lib/common

APRIL=0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11
MAY=4dc574c5-4254-4b1c-8d7e-0a1b2c3d4e5f
NOVA=var/lib/nova/instances

# domain NAME UUID DISPLAY-NAME
domain()
{
	cat <<-XML
	<domain type='kvm'>
	  <name>$1</name>
	  <uuid>$2</uuid>
	  <metadata><nova:instance
	      xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
	    <nova:name>$3</nova:name>
	    <nova:flavor name="m1.tiny"><nova:disk>1</nova:disk></nova:flavor>
	  </nova:instance></metadata>
	  <devices><disk type='file' device='disk'>
	    <driver name='qemu' type='qcow2'/>
	    <source file='/$NOVA/$2/disk'/>
	  </disk></devices>
	</domain>
	XML
}

setup_file()
{
	need_program
	export T=$BATS_FILE_TMPDIR
	export BM=$T/bm0002 BACKUP=$T/backup/bm0002.the.re

	mkdir -p "$BM/etc/libvirt/qemu" "$BM/$NOVA"/{_base,$APRIL,$MAY}
	domain instance-00000007 "$APRIL" april-ci \
		>"$BM/etc/libvirt/qemu/instance-00000007.xml"
	truncate -s 1M "$BM/$NOVA/_base/5b56269a28b01cf5"
	truncate -s 192K "$BM/$NOVA"/{$APRIL,$MAY}/disk
	echo login: >"$BM/$NOVA/$APRIL/console.log"
	find "$BM" -exec touch -hd 2013-05-09T00:00:00Z {} +
	mkdir -p "$BACKUP"
	cp -a "$BM/." "$BACKUP"
	# Since the backup, one disk went on.
	touch -d 2013-05-11T08:00:00Z "$BM/$NOVA/$APRIL/disk"
	digest_tree "$T/bm0002" >"$T/digest.damaged"
	digest_tree "$T/backup" >"$T/digest.backup"
}

need_program()
{
	[[ -x $RESCUEFS ]] || skip "needs $RESCUEFS"
	[[ -n $(type -P jq) ]] || skip "needs jq"
}

scan()
{
	run --separate-stderr "$RESCUEFS" scan --damaged "$BM" \
		--backup "$BACKUP,taken=2013-05-10T03:00:00Z" "$@"
}

@test "the text has hosts, sources, disks and ages" {
	scan
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	grep -Fx "host bm0002.the.re" <<<"$output"
	grep "^  damaged  bm0002 .*last change seen 2013-05-11T08:00:00Z" \
		<<<"$output"
	grep "^  backup   backup .*taken 2013-05-10T03:00:00Z" <<<"$output"
	grep "base .*5b56269a28b01cf5 .*backup 1.0M  bm0002 1.0M" <<<"$output"
	grep "^april-ci  instance-00000007  $APRIL" <<<"$output"
	grep "disk .*192K  qcow2 by domain XML  bm0002 2013-05-11T08:00:00Z, backup 2013-05-09T00:00:00Z$" \
		<<<"$output"
	grep "backup 2013-05-09T00:00:00Z same as bm0002" <<<"$output"
	grep "note: $MAY/disk: nothing describes its format" <<<"$output"
}

@test "the JSON says the same" {
	scan --json
	[ "$status" -eq 0 ]
	[ "$(jq -r '.hosts[0].name' <<<"$output")" = bm0002.the.re ]
	[ "$(jq -r '.instances | length' <<<"$output")" = 2 ]
	april=$(jq '.instances[] | select(.name == "april-ci")' <<<"$output")
	[ "$(jq -r .uuid <<<"$april")" = "$APRIL" ]
	[ "$(jq -r .flavor <<<"$april")" = m1.tiny ]
	[ "$(jq -r '.disks[0].copies | map(.source) | join(" ")' \
		<<<"$april")" = "bm0002 backup" ]
	[ "$(jq -r '.disks[0].copies[1].as_of' <<<"$april")" = \
		2013-05-09T00:00:00Z ]
	[ "$(jq -r '.files[0].path' <<<"$april")" = \
		"/$NOVA/$APRIL/console.log" ]
}

@test "any part of a uuid finds its instance, with dashes or without" {
	for part in 4dc574c54254 4dc574c5-4254 4DC574C5; do
		scan "$part"
		[ "$status" -eq 0 ]
		grep -q "^$MAY" <<<"$output"
		[[ $output != *april* ]]
	done
	scan APRIL
	grep -q "^april-ci" <<<"$output"
	[[ $output != *"$MAY"* ]]
}

@test "a part that nothing has is status 1" {
	scan nowhere
	[ "$status" -eq 1 ]
	[ -z "$output" ]
	[[ $stderr == "rescuefs: nowhere: "* ]]
	scan --json nowhere
	[ "$status" -eq 1 ]
	[ "$(jq '.instances | length' <<<"$output")" = 0 ]
}

@test "a written site file scans to the same, and is never written over" {
	site=$BATS_TEST_TMPDIR/site.conf
	scan --json --write "$site"
	[ "$status" -eq 0 ]
	first=$(jq -S .instances <<<"$output")
	run --separate-stderr "$RESCUEFS" scan "$site" --json
	[ "$status" -eq 0 ]
	[ "$(jq -S .instances <<<"$output")" = "$first" ]
	run "$RESCUEFS" scan "$site" april
	[ "$status" -eq 0 ]
	before=$(md5sum <"$site")
	scan --write "$site"
	[ "$status" -eq 2 ]
	[[ $stderr == *"is not written over"* ]]
	[ "$(md5sum <"$site")" = "$before" ]
}

@test "a source that cannot be opened is status 3, and the rest is shown" {
	scan --backup /nonexistent,name=gone
	[ "$status" -eq 3 ]
	grep -q "^april-ci" <<<"$output"
	[[ $stderr == *"gone: /nonexistent: No such file or directory"* ]]
}

@test "wrong use is status 2 and one sentence" {
	run --separate-stderr "$RESCUEFS" scan
	[ "$status" -eq 2 ]
	[[ $stderr == "rescuefs: "* ]]
	run --separate-stderr "$RESCUEFS" scan /nonexistent
	[ "$status" -eq 2 ]
	printf '[site]\nfil = all\n' >"$BATS_TEST_TMPDIR/bad.conf"
	run --separate-stderr "$RESCUEFS" scan "$BATS_TEST_TMPDIR/bad.conf"
	[ "$status" -eq 2 ]
	[[ $stderr == *"bad.conf:2: [site] has no key 'fil'"*"'fill'"* ]]
	run "$RESCUEFS" scan --help
	[ "$status" -eq 0 ]
	[[ $output == usage:* ]]
}

@test "a mistyped disk leaves no state behind, but what was read of a dying disk" {
	for verb in map losses advise verify fetch; do
		run -2 "$RESCUEFS" "$verb" --backup "$BACKUP" \
			--state "$BATS_TEST_TMPDIR/$verb" nosuch
		[[ $output == *"nosuch: there is no such "* ]]
		[ ! -e "$BATS_TEST_TMPDIR/$verb" ]
	done
	run -2 "$RESCUEFS" map --damaged "$BM" \
		--state "$BATS_TEST_TMPDIR/damaged" nosuch
	[ -s "$BATS_TEST_TMPDIR/damaged/known.db" ]
}

@test "P1: the sources are as they were" {
	cmp "$T/digest.damaged" <(digest_tree "$T/bm0002")
	cmp "$T/digest.backup" <(digest_tree "$T/backup")
}

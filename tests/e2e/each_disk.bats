#!/usr/bin/env bats
# Verbs that speak of several disks: one after the other, the others where one cannot
# be opened, as text and as one JSON list.
bats_require_minimum_version 1.5.0

load lib/common
load lib/nova
load lib/small

setup_file()
{
	small_setup_file jq
}

setup()
{
	work_setup
}

# ask STATUS VERB [ARG...]: of the small site, without a mount.
ask()
{
	local status=$1 verb=$2

	shift 2
	run "-$status" --separate-stderr client "$RESCUEFS" "$verb" \
		--damaged "$BM" --backup "$BACKUP" --state "$W/state" "$@"
}

@test "as JSON, a disk that cannot be opened is null in the list of all" {
	for verb in losses advise; do
		ask 3 "$verb" --json --all
		jq -e 'map(type) == ["null", "object", "object"]' <<<"$output"
		# shellcheck disable=SC2154 # bats sets it
		[[ $stderr == "rescuefs: broken/disk: "* ]]
	done
	ask 3 verify --json --all
	jq -e 'map(type) == ["object", "object", "object"]' <<<"$output"
}

@test "one disk is no list" {
	for verb in losses advise verify; do
		ask 0 "$verb" --json kept/disk
		jq -e 'type == "object"' <<<"$output"
	done
}

@test "texts have an empty line between them, and none before or behind" {
	for verb in losses "map --plain" advise verify; do
		# shellcheck disable=SC2086 # words
		ask 0 $verb kept/disk torn/disk
		grep -n "^torn/disk" <<<"$output" | cut -d: -f1 >"$W/at"
		[ -z "$(sed -n "$(($(<"$W/at") - 1))p" <<<"$output")" ]
		[[ $output == "kept/disk"* ]]
		[ -n "$(tail -n 1 <<<"$output")" ]
	done
	ask 3 losses broken/disk torn/disk
	[[ $output == "torn/disk"* ]]
}

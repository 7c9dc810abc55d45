// SPDX-License-Identifier: GPL-3.0-or-later
/* What a scan finds: both layouts, names, formats, ages, and what survives of
 * a host whose files are broken or hostile. */
#include "host_tree.h"

#include <errno.h>
#include <fcntl.h>

#include "site/inventory.h"
#include "site/names.h"
#include "site/volumes.h"

#define NOVA	 "/var/lib/nova/instances/"
#define APRIL	 "0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11"
#define MAY	 "4dc574c5-4254-4b1c-8d7e-0a1b2c3d4e5f"
#define SECOND	 INT64_C(1000000000)
#define DAY	 86400
#define DIED	 1368230400L /* 2013-05-11 */
#define TAKEN	 1368154800L /* 2013-05-10T03:00:00Z */
#define TAKEN_AS ",taken=2013-05-10T03:00:00Z"

static struct rfs_site site;
static struct rfs_inventory inv;
static struct rfs_error err;

static int begin(void **state)
{
	memset(&err, 0, sizeof(err));
	memset(&inv, 0, sizeof(inv));
	rfs_site_init(&site);
	return make_top(state);
}

static int end(void **state)
{
	rfs_inventory_fini(&inv);
	rfs_site_fini(&site);
	return remove_top(state);
}

static void add(enum rfs_source_kind kind, const char *name, const char *more)
{
	char path[TREE_PATH + 64];

	snprintf(path, sizeof(path), "%s/%s%s", top, name, more);
	if (rfs_site_add_option(&site, kind, path, &err) < 0)
		fail_msg("%s", err.text);
}

static void scan(void)
{
	if (rfs_site_open(&site, &err) < 0 ||
	    rfs_inventory_scan(&site, NULL, &inv, &err) < 0)
		fail_msg("%s", err.text);
}

/* Of one tree, called bm0002 and damaged. */
static void scan_one(void)
{
	tree_age("bm0002", DIED);
	add(RFS_DAMAGED, "bm0002", "");
	scan();
}

static void join_note(const char *text, void *data)
{
	strncat(data, text, 4000 - strlen(data));
	strncat(data, "\n", 4000 - strlen(data));
}

static void expect_note(const char *part)
{
	char notes[4096] = "";

	rfs_notes_each(&site.notes, 0, join_note, notes);
	if (!strstr(notes, part))
		fail_msg("no note says \"%s\" in:\n%s", part, notes);
}

static struct rfs_instance *named(const char *name)
{
	for (size_t i = 0; i < inv.ninstances; i++)
		if (!strcmp(inv.instances[i]->tree_name, name))
			return inv.instances[i];
	for (size_t i = 0; i < inv.ninstances; i++)
		print_message("there is %s\n", inv.instances[i]->tree_name);
	fail_msg("there is no %s", name);
	return NULL;
}

static const struct rfs_disk *disk_of(const char *name)
{
	const struct rfs_disk *disk = NULL;

	if (rfs_inventory_find_disk(&inv, name, &disk, &err) < 0)
		fail_msg("%s", err.text);
	return disk;
}

static void expect_no_disk(const char *name, const char *why)
{
	const struct rfs_disk *disk;

	assert_int_equal(rfs_inventory_find_disk(&inv, name, &disk, &err),
			 -ENOENT);
	if (!strstr(err.text, why))
		fail_msg("\"%s\" does not say \"%s\"", err.text, why);
}

/* The XML of a nova of today in etc/libvirt/qemu. */
static void define(const char *host, const char *id, const char *uuid,
		   const char *name, const char *more)
{
	char path[TREE_PATH], text[4096];

	snprintf(path, sizeof(path), "%s/etc/libvirt/qemu/%s.xml", host, id);
	snprintf(text, sizeof(text),
		 "<domain type='kvm'><name>%s</name><uuid>%s</uuid><metadata>"
		 "<nova:instance xmlns:nova='urn:n'><nova:name>%s</nova:name>"
		 "<nova:flavor name='m1.tiny'/><nova:root type='image' "
		 "uuid='af57ebe0-8fd9-4ca1-8638-517b5e0c07bd'/></nova:instance>"
		 "</metadata><memory unit='KiB'>65536</memory><vcpu>1</vcpu>"
		 "<devices>%s</devices></domain>",
		 id, uuid, name, more);
	tree_file(path, text, TAKEN);
}

static void file_in(const char *host, const char *dir, const char *name,
		    const char *text, long mtime)
{
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "%s" NOVA "%s/%s", host, dir, name);
	tree_file(path, text, mtime);
}

static void todays_layout_scans(void **state)
{
	const struct rfs_instance *i;
	const struct rfs_disk *disk;

	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april-ci",
	       "<disk type='file'><driver type='qcow2'/><source "
	       "file='" NOVA APRIL "/disk.eph0'/></disk>");
	file_in("bm0002", APRIL, "disk", "qcow", TAKEN);
	file_in("bm0002", APRIL, "disk.eph0", "qcow", TAKEN);
	file_in("bm0002", APRIL, "disk.config", "iso", TAKEN);
	file_in("bm0002", APRIL, "console.log", "login:", TAKEN);
	file_in("bm0002", APRIL, "disk.info",
		"{\"" NOVA APRIL "/disk\": \"qcow2\"}", TAKEN);
	file_in("bm0002", "_base", "5b56269a28b01cf5", "base", TAKEN);
	file_in("bm0002", "locks", "nova-swap_8", "", TAKEN);
	scan_one();
	i = named("april-ci");
	assert_int_equal(inv.ninstances, 1);
	assert_string_equal(i->uuid, APRIL);
	assert_string_equal(i->id_name, "instance-00000007");
	assert_string_equal(i->flavor, "m1.tiny");
	assert_string_equal(i->host->name, "bm0002");
	assert_string_equal(i->dir, NOVA APRIL);
	assert_int_equal(i->memory_kib, 65536);
	assert_int_equal(i->ndisks, 3);
	assert_int_equal(i->nfiles, 2);
	assert_string_equal(i->files[1].path, NOVA APRIL "/disk.info");
	disk = disk_of("april-ci/disk");
	assert_string_equal(disk->id, APRIL "/disk");
	assert_int_equal(disk->copies[0].format, RFS_FORMAT_QCOW2);
	assert_string_equal(disk->copies[0].format_by, "disk.info");
	assert_string_equal(disk->copies[0].path, NOVA APRIL "/disk");
	assert_int_equal(disk->copies[0].generation.size, 4);
	disk = disk_of("april-ci/disk.eph0");
	assert_string_equal(disk->copies[0].format_by, "domain XML");
	disk = disk_of("april-ci/disk.config");
	assert_int_equal(disk->copies[0].format, RFS_FORMAT_RAW);
	assert_string_equal(disk->copies[0].format_by, "layout");
	assert_int_equal(inv.hosts[0]->nbases, 1);
	assert_string_equal(inv.hosts[0]->bases[0].name, "5b56269a28b01cf5");
	assert_int_equal(site.notes.count, 0);
}

static const char essex_xml[] =
	"<domain><uuid>" MAY "</uuid><name>instance-000001de</name><os><kernel>"
	"" NOVA "instance-000001de/kernel</kernel></os><devices>"
	"<disk type='file'><driver type='qcow2'/><source file='" NOVA
	"instance-000001de/disk'/></disk>"
	"<disk type='file'><driver type='raw'/><source file='" NOVA
	"instance-000001de/scratch'/></disk>"
	"<disk type='file'><driver type='raw'/><source file='" NOVA
	"instance-000001df/disk.local'/></disk></devices></domain>";

static void essex_layout_scans(void **state)
{
	const struct rfs_instance *i;

	(void)state;
	file_in("bm0002", "instance-000001de", "libvirt.xml", essex_xml, TAKEN);
	file_in("bm0002", "instance-000001de", "disk", "q", TAKEN);
	file_in("bm0002", "instance-000001de", "kernel", "k", TAKEN);
	file_in("bm0002", "instance-000001de", "scratch", "s", TAKEN);
	scan_one();
	i = named("instance-000001de");
	assert_string_equal(i->uuid, MAY);
	assert_string_equal(i->kernel, NOVA "instance-000001de/kernel");
	assert_int_equal(i->ndisks, 2);
	assert_string_equal(disk_of(MAY "/disk")->copies[0].format_by,
			    "libvirt.xml");
	assert_int_equal(disk_of("instance-000001de/scratch")->copies[0].format,
			 RFS_FORMAT_RAW);
	assert_int_equal(i->nfiles, 2);
}

/* P9 */
static void what_nothing_describes_is_raw_and_said_to_be(void **state)
{
	const struct rfs_copy *copy;

	(void)state;
	file_in("bm0002", APRIL, "disk", "QFI\xfb", TAKEN);
	scan_one();
	copy = disk_of(APRIL)->copies;
	assert_int_equal(copy->format, RFS_FORMAT_RAW);
	assert_string_equal(copy->format_by, "nothing");
	expect_note("nothing describes its format");
}

static void other_formats_are_named(void **state)
{
	(void)state;
	file_in("bm0002", APRIL, "disk", "x", TAKEN);
	file_in("bm0002", APRIL, "disk.info", "{\"disk\": \"vmdk\"}", TAKEN);
	scan_one();
	assert_int_equal(disk_of(APRIL)->copies[0].format, RFS_FORMAT_OTHER);
	expect_note("its format is vmdk by disk.info");
}

static void two_sources_are_one_instance(void **state)
{
	const struct rfs_disk *disk;

	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april-ci", "");
	file_in("bm0002", APRIL, "disk", "new!", DIED - 100);
	file_in("bm0002", APRIL, "disk.config", "iso", TAKEN - DAY);
	file_in("backup/bm0002.the.re", APRIL, "disk", "old", TAKEN - 50);
	file_in("backup/bm0002.the.re", APRIL, "disk.config", "iso",
		TAKEN - DAY);
	file_in("backup/bm0002.the.re", APRIL, "disk.local", "l", TAKEN + 50);
	tree_age("bm0002", DIED);
	add(RFS_BACKUP, "backup/bm0002.the.re", TAKEN_AS);
	add(RFS_DAMAGED, "bm0002", "");
	scan();
	assert_int_equal(inv.nhosts, 1);
	assert_string_equal(inv.hosts[0]->name, "bm0002.the.re");
	assert_int_equal(inv.hosts[0]->sources[0]->kind, RFS_DAMAGED);
	assert_int_equal(inv.ninstances, 1);
	disk = disk_of("april-ci/disk");
	assert_int_equal(disk->ncopies, 2);
	assert_string_equal(disk->copies[0].source->origin.name, "bm0002");
	assert_int_equal(disk->copies[0].as_of_ns, DIED * SECOND);
	/* The older of when it was taken and its own change. */
	assert_int_equal(disk->copies[1].as_of_ns, (TAKEN - 50) * SECOND);
	disk = disk_of("april-ci/disk.local");
	assert_int_equal(disk->ncopies, 1);
	assert_int_equal(disk->copies[0].as_of_ns, TAKEN * SECOND);
	disk = disk_of("april-ci/disk.config");
	assert_true(rfs_generation_is_same(disk->copies[0].generation,
					   disk->copies[1].generation));
}

static void a_broken_description_costs_nothing(void **state)
{
	const struct rfs_instance *i;

	(void)state;
	file_in("bm0002", "instance-000001de", "libvirt.xml", "\0\0<dom", DIED);
	file_in("bm0002", "instance-000001de", "disk", "new!", DIED);
	file_in("backup", "instance-000001de", "libvirt.xml", essex_xml, TAKEN);
	file_in("backup", "instance-000001de", "disk", "old", TAKEN);
	tree_age("bm0002", DIED);
	add(RFS_DAMAGED, "bm0002", "");
	add(RFS_BACKUP, "backup", TAKEN_AS);
	scan();
	assert_int_equal(inv.ninstances, 1);
	i = named("instance-000001de");
	assert_string_equal(i->uuid, MAY);
	assert_int_equal(i->disks[0].ncopies, 2);
	assert_int_equal(i->disks[0].copies[0].source->kind, RFS_DAMAGED);
	assert_int_equal(i->disks[0].copies[0].format, RFS_FORMAT_QCOW2);
	expect_note("libvirt.xml: is not well-formed XML");
}

static void a_disk_that_nobody_has_is_noted(void **state)
{
	(void)state;
	file_in("bm0002", "instance-000001de", "libvirt.xml", essex_xml, TAKEN);
	file_in("bm0002", "instance-000001de", "scratch", "s", TAKEN);
	define("bm0002", "instance-00000007", APRIL, "gone", "");
	scan_one();
	expect_note("instance-000001de/disk: its domain has this disk");
	expect_note("domain instance-00000007 (" APRIL ") is defined");
}

static void a_live_source_is_now(void **state)
{
	(void)state;
	file_in("bm0002", APRIL, "disk", "dead", TAKEN);
	file_in("well", APRIL, "disk", "live", TAKEN - DAY);
	add(RFS_DAMAGED, "bm0002", "");
	add(RFS_LIVE, "well", ",host=bm0002");
	scan();
	assert_int_equal(disk_of(APRIL)->copies[0].source->kind, RFS_LIVE);
	assert_int_equal(disk_of(APRIL)->copies[0].as_of_ns, RFS_TIME_NOW);
}

static void a_tie_goes_to_the_damaged(void **state)
{
	(void)state;
	file_in("old", APRIL, "disk", "same", TAKEN);
	file_in("bm0002", APRIL, "disk", "same", TAKEN);
	tree_age("bm0002", TAKEN);
	add(RFS_BACKUP, "old", TAKEN_AS);
	add(RFS_DAMAGED, "bm0002", "");
	scan();
	assert_int_equal(disk_of(APRIL)->copies[0].source->kind, RFS_DAMAGED);
	assert_int_equal(inv.hosts[0]->sources[0]->kind, RFS_DAMAGED);
}

static void a_rule_prefers_and_tells_the_format(void **state)
{
	const struct rfs_disk *disk;
	char text[4 * TREE_PATH], path[TREE_PATH];

	(void)state;
	file_in("bm0002", APRIL, "disk", "x", DIED);
	file_in("old", APRIL, "disk", "x", TAKEN);
	file_in("older", APRIL, "disk", "x", TAKEN - DAY);
	snprintf(text, sizeof(text),
		 "[source d]\nkind=damaged\nhost=h\nroot=%s/bm0002\n"
		 "[source o]\nkind=backup\nhost=h\nroot=%s/old\n"
		 "[source oo]\nkind=backup\nhost=h\nroot=%s/older\n"
		 "[disk " APRIL "/disk]\nprefer = oo\nformat = qcow2\n"
		 "[disk nobody/disk]\nformat = raw\n",
		 top, top, top);
	tree_file("site.conf", text, -1);
	tree_path(path, "site.conf");
	assert_int_equal(rfs_site_load(&site, path, &err), 0);
	scan();
	disk = disk_of(APRIL "/disk");
	assert_ptr_equal(disk->rule, &site.rules[0]);
	assert_string_equal(disk->copies[0].source->origin.name, "oo");
	assert_string_equal(disk->copies[1].source->origin.name, "d");
	assert_string_equal(disk->copies[2].source->origin.name, "o");
	assert_string_equal(disk->copies[1].format_by, "site file");
	expect_note("[disk nobody/disk]: there is no such disk");
}

static void names_are_escaped(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "a/b", "a\\x2fb" },
		{ "..", "\\x2e." },
		{ ".hidden", "\\x2ehidden" },
		{ "two\nlines", "two\\x0alines" },
		{ "bad\xff", "bad\\xff" },
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xe2\x80\xae"
		  "gnp",
		  "\\xe2\\x80\\xaegnp" },
		{ "a\\b", "a\\x5cb" },
		{ "a b", "a b" },
		{ "\xc0\xaf", "\\xc0\\xaf" },
		{ "cut\xe2\x82", "cut\\xe2\\x82" },
	};
	char longest[400];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *got = rfs_name_escape(cases[i].name);

		assert_string_equal(got, cases[i].want);
		free(got);
	}
	memset(longest, '/', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	{
		char *got = rfs_name_escape(longest);

		assert_int_equal(strlen(got), RFS_NAME_ESCAPED_MAX);
		free(got);
	}
}

static void a_name_is_one_word_of_a_shell(void **state)
{
	static const struct {
		const char *name, *want;
	} cases[] = {
		{ "april-ci/disk", "april-ci/disk" },
		{ "", "''" },
		{ "a b", "'a b'" },
		{ "x;reboot #/disk", "'x;reboot #/disk'" },
		{ "$(reboot)", "'$(reboot)'" },
		{ "it's", "'it'\\''s'" },
		{ "caf\xc3\xa9", "'caf\xc3\xa9'" },
		{ "~root", "'~root'" },
		/* It would steer the terminal that it is printed on. */
		{ "a\033[2J\\'\xc2\x9b", "$'a\\033[2J\\\\\\'\\302\\233'" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char *got = rfs_text_shell(cases[i].name);

		assert_string_equal(got, cases[i].want);
		free(got);
	}
}

static void two_of_one_name_get_their_uuid(void **state)
{
	(void)state;
	define("bm0002", "instance-00000001", APRIL, "../web", "");
	define("bm0002", "instance-00000002", MAY, "../web", "");
	define("bm0002", "instance-00000003",
	       "0f6f2f0e-0000-4f2b-9a35-5b0a9a4a7c11", "../web", "");
	file_in("bm0002", APRIL, "disk", "", TAKEN);
	file_in("bm0002", MAY, "disk", "", TAKEN);
	file_in("bm0002", "0f6f2f0e-0000-4f2b-9a35-5b0a9a4a7c11", "disk", "",
		TAKEN);
	scan_one();
	named("\\x2e.\\x2fweb-4dc574c5");
	named("\\x2e.\\x2fweb-" APRIL);
	assert_string_equal(named("\\x2e.\\x2fweb-4dc574c5")->display_name,
			    "../web");
}

/* Two directories of one source are two instances, whatever they say. */
static void a_stolen_uuid_does_not_mix_disks(void **state)
{
	(void)state;
	file_in("bm0002", "instance-000001de", "libvirt.xml", essex_xml, TAKEN);
	file_in("bm0002", "instance-000001de", "disk", "mine", TAKEN);
	file_in("bm0002", "instance-000001df", "libvirt.xml", essex_xml, TAKEN);
	file_in("bm0002", "instance-000001df", "disk", "yours", TAKEN);
	scan_one();
	assert_int_equal(inv.ninstances, 2);
	assert_int_equal(disk_of("instance-000001df/disk")->ncopies, 1);
	assert_string_equal(disk_of("instance-000001df/disk")->id,
			    "bm0002:instance-000001df/disk");
	expect_note("taken as another instance");
}

static void one_uuid_on_two_hosts_is_two_disks(void **state)
{
	(void)state;
	file_in("bm0002", APRIL, "disk", "here", TAKEN);
	file_in("bm0003", APRIL, "disk", "there", TAKEN);
	add(RFS_DAMAGED, "bm0002", "");
	add(RFS_DAMAGED, "bm0003", "");
	scan();
	assert_int_equal(inv.nhosts, 2);
	assert_int_equal(inv.ninstances, 2);
	assert_string_equal(inv.instances[0]->tree_name, APRIL "-bm0002");
	assert_string_equal(inv.instances[1]->tree_name, APRIL "-bm0003");
	assert_string_not_equal(inv.instances[0]->disks[0].id,
				inv.instances[1]->disks[0].id);
	expect_note(APRIL
		    " is on two hosts, as a migration may leave it: " APRIL
		    "-bm0002 on bm0002, last changed ");
	assert_ptr_equal(disk_of(APRIL "-bm0003/disk"),
			 &inv.instances[1]->disks[0]);
	expect_no_disk(APRIL "/disk", "both " APRIL "-bm0002 of bm0002 and ");
	expect_no_disk(APRIL, "both " APRIL "-bm0002 and ");
}

static void what_is_no_file_is_no_disk(void **state)
{
	char path[TREE_PATH];

	(void)state;
	file_in("bm0002", APRIL, "disk", "real", TAKEN);
	file_in("outside", "x", "disk.local", "secret", TAKEN);
	tree_path(path, "bm0002" NOVA APRIL "/disk.swap");
	assert_int_equal(mkfifo(path, 0600), 0);
	tree_path(path, "bm0002" NOVA APRIL "/disk.local");
	assert_int_equal(symlink("../../../../../../../outside" NOVA
				 "x/disk.local",
				 path),
			 0);
	tree_path(path, "bm0002" NOVA APRIL "/disk.eph0");
	assert_int_equal(symlink("disk", path), 0);
	tree_path(path, "bm0002" NOVA APRIL "/libvirt.xml");
	assert_int_equal(mkfifo(path, 0600), 0);
	scan_one();
	/* A link that stays inside is a disk as any other. */
	assert_int_equal(named(APRIL)->ndisks, 2);
	disk_of(APRIL "/disk.eph0");
	expect_note("disk.swap: is no regular file");
	expect_note("disk.local: No such file");
}

static void hostile_descriptions_are_noted(void **state)
{
	char *large = malloc(3 << 20);

	(void)state;
	memset(large, ' ', 3 << 20);
	large[(3 << 20) - 1] = '\0';
	file_in("bm0002", APRIL, "disk", "x", TAKEN);
	file_in("bm0002", APRIL, "disk.info", "[1, 2]", TAKEN);
	file_in("bm0002", MAY, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "disk.info", large, TAKEN);
	tree_file("bm0002/etc/libvirt/qemu/a.xml", large, TAKEN);
	tree_file("bm0002/etc/libvirt/qemu/b.xml",
		  "<!DOCTYPE d [<!ENTITY x SYSTEM '/etc/passwd'>]>"
		  "<domain><name>&x;</name></domain>",
		  TAKEN);
	file_in("bm0002", APRIL "_resize", "disk", "x", TAKEN);
	scan_one();
	free(large);
	assert_int_equal(inv.ninstances, 2);
	expect_note("disk.info: is not a JSON object");
	expect_note("disk.info: larger than 1048576 bytes");
	expect_note("a.xml: larger than 1048576 bytes");
	expect_note("b.xml: has a DTD");
	expect_note(APRIL "_resize: not the directory of an instance");
}

static size_t found(const char *part)
{
	const struct rfs_instance *first[1];

	return rfs_inventory_find(&inv, part, first, 1);
}

static void any_part_of_a_name_finds(void **state)
{
	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april-ci", "");
	file_in("bm0002", APRIL, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "disk.swap", "x", TAKEN);
	scan_one();
	assert_int_equal(found("4dc574c54254"), 1);
	assert_int_equal(found("4DC574C5-4254"), 1);
	assert_int_equal(found("4dc574c542544b1c8d7e0a1b2c3d4e5f"), 1);
	assert_int_equal(found("APRIL"), 1);
	assert_int_equal(found("00000007"), 1);
	assert_int_equal(found("c"), 2);
	assert_int_equal(found("-"), 2);
	assert_int_equal(found(""), 0);
	assert_int_equal(found("4dc574c542544b1c8d7e0a1b2c3d4e5f00"), 0);
}

static void a_disk_has_several_names(void **state)
{
	const struct rfs_disk *disk;

	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april-ci", "");
	file_in("bm0002", APRIL, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "disk.swap", "x", TAKEN);
	scan_one();
	assert_ptr_equal(disk_of("april-ci/disk"), disk_of("april-ci"));
	assert_ptr_equal(disk_of("instance-00000007/disk"),
			 disk_of(APRIL "/disk"));
	assert_int_equal(rfs_inventory_find_disk(&inv, MAY, &disk, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "disk, disk.swap"));
	assert_int_equal(
		rfs_inventory_find_disk(&inv, "april-ci/disc", &disk, &err),
		-ENOENT);
	assert_non_null(strstr(err.text, "the disks of april-ci: disk"));
	assert_int_equal(rfs_inventory_find_disk(&inv, "apri", &disk, &err),
			 -ENOENT);
	assert_non_null(strstr(err.text, "april-ci"));
}

static void an_empty_host_is_no_error(void **state)
{
	(void)state;
	tree_file("bm0002/var/log/syslog", "x", TAKEN + 7);
	scan_one();
	assert_int_equal(inv.ninstances, 0);
	assert_int_equal(inv.nhosts, 1);
	/* Its logs tell how old it is. */
	assert_int_equal(site.sources[0]->newest_ns, DIED * SECOND);
}

static void it_prints(void **state)
{
	char *text = NULL;

	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april\x1b[2Jci", "");
	define("bm0002", "instance-00000008", MAY, "\xc3\xa9t\xc3\xa9", "");
	file_in("bm0002", APRIL, "disk", "x", TAKEN);
	file_in("bm0002", MAY, "bad\xff.log", "x", TAKEN);
	scan_one();
	assert_int_equal(
		rfs_inventory_print(&inv, NULL, NULL, 0, false, &text, &err),
		0);
	assert_null(strchr(text, '\x1b'));
	assert_non_null(strstr(text, "host bm0002\n"));
	free(text);
	assert_int_equal(
		rfs_inventory_print(&inv, NULL, NULL, 0, true, &text, &err), 0);
	assert_non_null(strstr(text, "bad\\\\xff.log"));
	assert_non_null(strstr(text, "\"as_of\": \"2013-05-11T00:00:00Z\""));
	free(text);
	assert_int_equal(rfs_instance_json(&inv, inv.instances[0], &text, &err),
			 0);
	assert_non_null(strstr(text, "\"uuid\": \""));
	free(text);
}

static void volumes_in(const char *dir, const char *name, size_t len,
		       long mtime)
{
	static const char bytes[64];
	char path[TREE_PATH];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	tree_bytes(path, bytes, len, mtime);
}

/* A source, named after its directory, with volumes in DIR-lv. */
static void add_volumes(enum rfs_source_kind kind, const char *name,
			const char *host)
{
	char root[TREE_PATH], lv[TREE_PATH + 4];
	struct rfs_source_spec spec = {
		.kind = kind,
		.name = name,
		.host = host,
		.volumes = lv,
	};

	snprintf(root, sizeof(root), "%s/%s", top, name);
	snprintf(lv, sizeof(lv), "%s-lv", root);
	if (access(root, F_OK) == 0)
		spec.root = root;
	if (rfs_site_add_source(&site, &spec, &err) < 0)
		fail_msg("%s", err.text);
}

#define VOL	 "volume-00000143"
#define VOL_UUID "a3b1c5d7-0000-4000-8000-00000000f143"
#define NAMED	 "volume-" MAY
#define ATTACHED                                                               \
	"<disk type='block'><source dev='/dev/disk/by-path/x-"                 \
	"iqn.2010-10.org.openstack:" VOL "-lun-1'/>"                           \
	"<target dev='vdb'/><serial>" VOL_UUID "</serial></disk>"

static void volumes_merge_by_name(void **state)
{
	const struct rfs_disk *disk;

	(void)state;
	volumes_in("bm0002-lv", VOL, 60, DIED);
	volumes_in("bm0002-lv", "root", 60, DIED);
	volumes_in("bm0002-lv", NAMED, 60, DIED);
	volumes_in("old-lv", VOL ".img", 60, TAKEN);
	volumes_in("bm0001-lv", VOL, 50, TAKEN);
	volumes_in("bm0001-lv", "volume-00000001", 50, TAKEN);
	add_volumes(RFS_DAMAGED, "bm0002", "bm0002");
	add_volumes(RFS_LIVE, "bm0001", "bm0001");
	add_volumes(RFS_BACKUP, "old", "bm0002");
	scan();
	assert_int_equal(rfs_inventory_disks(&inv, NULL, 0), 3);
	disk = disk_of(VOL);
	assert_string_equal(disk->instance->host->name, "bm0002");
	assert_int_equal(disk->ncopies, 3);
	assert_string_equal(disk->copies[0].source->origin.name, "bm0001");
	assert_string_equal(disk->copies[1].source->origin.name, "bm0002");
	assert_string_equal(disk->copies[2].source->origin.name, "old");
	assert_int_equal(disk->copies[0].generation.size, 50);
	assert_int_equal(disk->copies[0].format, RFS_FORMAT_RAW);
	assert_ptr_equal(disk_of("volumes/" VOL), disk);
	assert_string_equal(disk_of(MAY)->name, NAMED);
	assert_string_equal(disk_of("volume-00000001")->instance->host->name,
			    "bm0001");
}

static void a_volume_is_its_instances(void **state)
{
	const struct rfs_instance *i;

	(void)state;
	define("bm0002", "instance-00000007", APRIL, "april-ci",
	       ATTACHED "<disk type='network'><source name='pool/" NAMED
			"'/><target dev='vdc'/></disk>");
	file_in("bm0002", APRIL, "disk", "raw", TAKEN);
	volumes_in("bm0002-lv", VOL, 60, DIED);
	add_volumes(RFS_DAMAGED, "bm0002", "bm0002");
	scan();
	i = named("april-ci");
	assert_int_equal(i->nattachments, 2);
	assert_ptr_equal(i->attachments[0].volume, disk_of(VOL));
	assert_string_equal(i->attachments[0].target, "vdb");
	assert_ptr_equal(disk_of(VOL_UUID), disk_of(VOL));
	assert_ptr_equal(disk_of(VOL)->attached, i);
	assert_null(i->attachments[1].volume);
	expect_note("as vdc, and no source has that volume");
}

static void two_hosts_volumes_of_one_name_are_two(void **state)
{
	(void)state;
	volumes_in("a-lv", VOL, 60, DIED);
	volumes_in("b-lv", VOL, 50, DIED);
	volumes_in("live-lv", VOL, 40, DIED);
	add_volumes(RFS_DAMAGED, "a", "bm1.here");
	add_volumes(RFS_DAMAGED, "b", "bm2.here");
	add_volumes(RFS_LIVE, "live", "bm3");
	scan();
	assert_int_equal(rfs_inventory_disks(&inv, NULL, 0), 3);
	assert_int_equal(disk_of(VOL "-bm1.here")->copies[0].generation.size,
			 60);
	assert_string_equal(disk_of(VOL "-bm1.here")->id, "bm1:volumes/" VOL);
	assert_int_equal(disk_of(VOL "-bm2.here")->copies[0].generation.size,
			 50);
	/* Whose copy the live one is cannot be told. */
	assert_int_equal(disk_of(VOL "-bm3")->copies[0].generation.size, 40);
}

static void names_of_volumes(void **state)
{
	(void)state;
	assert_true(rfs_is_volume_name(VOL));
	assert_true(rfs_is_volume_name(NAMED));
	assert_false(rfs_is_volume_name("volume-0000014"));
	assert_false(rfs_is_volume_name("volume-00000143-snap"));
	assert_false(rfs_is_volume_name("volume-0000014G"));
	assert_false(rfs_is_volume_name("_snapshot-" MAY));
	assert_false(rfs_is_volume_name("volume-" MAY "x"));
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(todays_layout_scans),
		IN_TREE(essex_layout_scans),
		IN_TREE(what_nothing_describes_is_raw_and_said_to_be),
		IN_TREE(other_formats_are_named),
		IN_TREE(two_sources_are_one_instance),
		IN_TREE(a_broken_description_costs_nothing),
		IN_TREE(a_disk_that_nobody_has_is_noted),
		IN_TREE(a_live_source_is_now),
		IN_TREE(a_tie_goes_to_the_damaged),
		IN_TREE(a_rule_prefers_and_tells_the_format),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(a_name_is_one_word_of_a_shell),
		cmocka_unit_test(names_of_volumes),
		IN_TREE(volumes_merge_by_name),
		IN_TREE(a_volume_is_its_instances),
		IN_TREE(two_hosts_volumes_of_one_name_are_two),
		IN_TREE(two_of_one_name_get_their_uuid),
		IN_TREE(a_stolen_uuid_does_not_mix_disks),
		IN_TREE(one_uuid_on_two_hosts_is_two_disks),
		IN_TREE(what_is_no_file_is_no_disk),
		IN_TREE(hostile_descriptions_are_noted),
		IN_TREE(any_part_of_a_name_finds),
		IN_TREE(a_disk_has_several_names),
		IN_TREE(an_empty_host_is_no_error),
		IN_TREE(it_prints),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

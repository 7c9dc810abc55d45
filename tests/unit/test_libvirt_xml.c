// SPDX-License-Identifier: GPL-3.0-or-later
/* What a domain's XML tells, and what a hostile one cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "site/libvirt_xml.h"

static const char essex[] =
	"<domain type='kvm'>\n"
	"    <uuid>4DC574C5-4254-4b1c-8d7e-0a1b2c3d4e5f</uuid>\n"
	"    <name>instance-000001de</name>\n"
	"    <memory>524288</memory>\n"
	"    <os>\n"
	"        <type>hvm</type>\n"
	"        <kernel>/var/lib/nova/instances/instance-000001de/kernel"
	"</kernel>\n"
	"        <cmdline>root=/dev/vda console=ttyS0</cmdline>\n"
	"        <initrd>/var/lib/nova/instances/instance-000001de/ramdisk"
	"</initrd>\n"
	"    </os>\n"
	"    <vcpu>2</vcpu>\n"
	"    <devices>\n"
	"        <disk type='file' device='disk'>\n"
	"            <driver type='qcow2' cache='none'/>\n"
	"            <source file='/var/lib/nova/instances/instance-000001de/"
	"disk'/>\n"
	"        </disk>\n"
	"        <disk type='block'>\n"
	"            <driver type='raw'/>\n"
	"            <source dev='/dev/disk/by-path/ip-10.0.0.1'/>\n"
	"        </disk>\n"
	"        <disk type='file'><source file='/x/disk.local'/></disk>\n"
	"        <interface type='bridge'>\n"
	"            <source bridge='br2003'/>\n"
	"            <mac address='fa:16:3e:39:cc:7b'/>\n"
	"            <filterref filter='nova-instance'>\n"
	"                <parameter name='DHCPSERVER' value='10.145.0.1'/>\n"
	"                <parameter name='IP' value='10.145.0.5'/>\n"
	"            </filterref>\n"
	"        </interface>\n"
	"        <interface type='bridge'><source bridge='br0'/></interface>\n"
	"    </devices>\n"
	"</domain>\n";

static const char today[] =
	"<!-- WARNING: generated -->\n"
	"<domain type='qemu'>\n"
	"  <name>instance-00000007</name>\n"
	"  <uuid>0f6f2f0e-31a5-4f2b-9a35-5b0a9a4a7c11</uuid>\n"
	"  <metadata>\n"
	"    <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/"
	"nova/1.1'>\n"
	"      <nova:name>\n  april-ci  </nova:name>\n"
	"      <nova:creationTime>2026-11-23 22:04:18</nova:creationTime>\n"
	"      <nova:flavor name='m1.small'><nova:memory>64</nova:memory>"
	"</nova:flavor>\n"
	"      <nova:owner><nova:user uuid='u'>ada</nova:user>\n"
	"        <nova:project uuid='p'>rescue</nova:project></nova:owner>\n"
	"      <nova:root type='image' "
	"uuid='af57ebe0-8fd9-4ca1-8638-517b5e0c07bd'/>\n"
	"    </nova:instance>\n"
	"  </metadata>\n"
	"  <memory unit='MiB'>64</memory>\n"
	"  <vcpu placement='static'>1</vcpu>\n"
	"</domain>\n";

static int parse(const char *text, struct rfs_domain *domain,
		 struct rfs_error *err)
{
	memset(domain, 0, sizeof(*domain));
	return rfs_domain_parse(text, strlen(text), domain, err);
}

static void essex_tells_machine_and_network(void **state)
{
	struct rfs_domain d;

	(void)state;
	assert_int_equal(parse(essex, &d, NULL), 0);
	assert_string_equal(d.uuid, "4dc574c5-4254-4b1c-8d7e-0a1b2c3d4e5f");
	assert_string_equal(d.name, "instance-000001de");
	assert_null(d.display_name);
	assert_int_equal(d.memory_kib, 524288);
	assert_int_equal(d.vcpus, 2);
	assert_string_equal(d.kernel,
			    "/var/lib/nova/instances/instance-000001de/kernel");
	assert_string_equal(
		d.ramdisk, "/var/lib/nova/instances/instance-000001de/ramdisk");
	assert_int_equal(d.nnics, 2);
	assert_string_equal(d.nics[0].mac, "fa:16:3e:39:cc:7b");
	assert_string_equal(d.nics[0].bridge, "br2003");
	assert_string_equal(d.nics[0].ip, "10.145.0.5");
	assert_null(d.nics[1].ip);
	rfs_domain_fini(&d);
}

static void disks_are_files_with_a_format_if_told(void **state)
{
	struct rfs_domain d;

	(void)state;
	assert_int_equal(parse(essex, &d, NULL), 0);
	assert_int_equal(d.ndisks, 2);
	assert_string_equal(d.disks[0].format, "qcow2");
	assert_string_equal(d.disks[1].file, "/x/disk.local");
	assert_null(d.disks[1].format);
	rfs_domain_fini(&d);
}

/* What lets an image let go of clusters, by its driver's attributes. */
static void discards_and_zeroes_are_seen(void **state)
{
	static const struct {
		const char *driver;
		bool is_unmapped;
	} cases[] = {
		{ "", false },
		{ "<driver name='qemu' type='qcow2'/>", false },
		{ "<driver discard='unmap'/>", true },
		{ "<driver discard='ignore'/>", false },
		{ "<driver detect_zeroes='on'/>", true },
		{ "<driver detect_zeroes='unmap'/>", true },
		{ "<driver detect_zeroes='off'/>", false },
		{ "<driver discard='ignore' detect_zeroes='on'/>", true },
		{ "<driver discard='unmap' detect_zeroes='off'/>", true },
		{ "<other discard='unmap'/>", false },
	};
	struct rfs_domain d;
	char text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(text, sizeof(text),
			 "<domain><name>x</name><devices><disk type='file'>%s"
			 "<source file='/x/disk'/></disk>"
			 "<disk type='file'><source file='/x/other'/></disk>"
			 "</devices></domain>",
			 cases[i].driver);
		assert_int_equal(parse(text, &d, NULL), 0);
		assert_int_equal(d.ndisks, 2);
		assert_int_equal(d.disks[0].is_unmapped, cases[i].is_unmapped);
		assert_false(d.disks[1].is_unmapped);
		rfs_domain_fini(&d);
	}
}

static void nova_tells_names_flavor_and_image(void **state)
{
	struct rfs_domain d;

	(void)state;
	assert_int_equal(parse(today, &d, NULL), 0);
	assert_string_equal(d.display_name, "april-ci");
	assert_string_equal(d.flavor, "m1.small");
	assert_string_equal(d.image_uuid,
			    "af57ebe0-8fd9-4ca1-8638-517b5e0c07bd");
	assert_string_equal(d.user, "ada");
	assert_string_equal(d.project, "rescue");
	assert_string_equal(d.created, "2026-11-23T22:04:18Z");
	assert_int_equal(d.memory_kib, 65536);
	assert_int_equal(d.vcpus, 1);
	rfs_domain_fini(&d);
}

static void expect_refused(const char *text, const char *part)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_domain d;

	assert_int_equal(parse(text, &d, &err), -EINVAL);
	if (!strstr(err.text, part))
		fail_msg("\"%s\" does not say \"%s\"", err.text, part);
}

static void a_dtd_is_refused(void **state)
{
	(void)state;
	expect_refused("<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'>"
		       "<!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
		       "<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;'>"
		       "<!ENTITY d '&c;&c;&c;&c;&c;&c;&c;&c;&c;&c;'>"
		       "<!ENTITY e '&d;&d;&d;&d;&d;&d;&d;&d;&d;&d;'>]>"
		       "<domain><name>&e;&e;&e;&e;&e;&e;</name></domain>",
		       "DTD");
	expect_refused("<!DOCTYPE domain [<!ENTITY x SYSTEM "
		       "'file:///etc/passwd'>]>"
		       "<domain><name>&x;</name></domain>",
		       "DTD");
	expect_refused("<!DOCTYPE domain SYSTEM 'http://127.0.0.1/x.dtd'>"
		       "<domain/>",
		       "DTD");
}

static void what_is_no_domain_is_refused(void **state)
{
	char cut[sizeof(essex)];

	(void)state;
	expect_refused("", "well-formed");
	expect_refused("<network/>", "not the XML of a domain");
	memcpy(cut, essex, sizeof(essex));
	cut[sizeof(essex) / 2] = '\0';
	expect_refused(cut, "well-formed");
	expect_refused("<domain><name>\x01</name></domain>", "well-formed");
}

/* A disk's tail lost in the middle of the file reads as zeros. */
static void zeros_inside_are_refused(void **state)
{
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_domain d;
	char holed[sizeof(essex)];

	(void)state;
	memcpy(holed, essex, sizeof(essex));
	memset(holed + 300, 0, 512);
	assert_int_equal(rfs_domain_parse(holed, sizeof(essex) - 1, &d, &err),
			 -EINVAL);
}

static void depth_and_size_are_bounded(void **state)
{
	const size_t len = 2 << 20;
	char *text = malloc(len + 1);
	struct rfs_error err = RFS_ERROR_INIT;
	struct rfs_domain d;

	(void)state;
	for (size_t i = 0; i < len; i += 4)
		memcpy(text + i, "<aa>", 4);
	assert_int_equal(rfs_domain_parse(text, 900000, &d, &err), -EINVAL);
	assert_int_equal(rfs_domain_parse(text, len, &d, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too large"));
	free(text);
}

static void odd_values_are_not_believed(void **state)
{
	struct rfs_domain d;

	(void)state;
	assert_int_equal(parse("<domain><name>  </name><uuid>../../etc</uuid>"
			       "<memory unit='parsec'>5</memory>"
			       "<vcpu>99999999999999999999</vcpu></domain>",
			       &d, NULL),
			 0);
	assert_null(d.name);
	assert_null(d.uuid);
	assert_int_equal(d.memory_kib, 0);
	assert_int_equal(d.vcpus, 0);
	rfs_domain_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(essex_tells_machine_and_network),
		cmocka_unit_test(disks_are_files_with_a_format_if_told),
		cmocka_unit_test(discards_and_zeroes_are_seen),
		cmocka_unit_test(nova_tells_names_flavor_and_image),
		cmocka_unit_test(a_dtd_is_refused),
		cmocka_unit_test(what_is_no_domain_is_refused),
		cmocka_unit_test(zeros_inside_are_refused),
		cmocka_unit_test(depth_and_size_are_bounded),
		cmocka_unit_test(odd_values_are_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

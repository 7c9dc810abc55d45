// SPDX-License-Identifier: GPL-3.0-or-later
/* The README at the top of the mount: what this is, in a screenful. */
#include "fs/text.h"

static const char head[] =
	"This is %s, put together by rescuefs from these sources:\n\n";

static const char body[] =
	"\n"
	"  instances/NAME/disk       one raw image: every block from the\n"
	"                            freshest source that can still read it\n"
	"  instances/NAME/rescue/    the truth about it: which block came "
	"from\n"
	"                            where (disk.json, or disk.map for "
	"ddrescue\n"
	"                            tools: + fresh, / stale, - lost, ? "
	"unread);\n"
	"                            disk.losses: the files that this hits;\n"
	"                            disk.svg: a picture of it\n"
	"  volumes/NAME              the same of volumes; volumes/rescue/ "
	"with\n"
	"                            the truth about them\n"
	"  hosts/HOST/               the host's own files, merged file by "
	"file\n"
	"  sources/SOURCE/           the disks as one source alone has them\n"
	"  status.json               what is known of each disk and source;\n"
	"                            rescuefs status prints it\n"
	"  by-uuid/, by-id/          the instances by their other names\n"
	"\n"
	"The images can be written, shrunk and repaired.  What you write "
	"stays\n"
	"in the state directory; the sources are never written.\n"
	"\n"
	"  fsck.ext4 -fy instances/NAME/disk       repair it\n"
	"  resize2fs -M instances/NAME/disk        make it small\n"
	"  losetup -f --show -P instances/NAME/disk, then mount it\n"
	"  qemu-img convert -O qcow2 instances/NAME/disk new.qcow2\n"
	"  glance image-create --disk-format raw --container-format bare \\\n"
	"      --name NAME < instances/NAME/disk\n"
	"  getfattr -d instances/NAME/disk         what is known, in figures\n"
	"  rescuefs reset NAME/disk                drop what you wrote\n"
	"\n"
	"A block that no source can read gives an input/output error, never a\n"
	"zero.  Look into rescue/ before you trust a disk: \"stale\" blocks "
	"are\n"
	"older than the rest, and \"lost\" ones are in no source.\n";

/* The date alone; to the second is said in instance.json. */
static void print_source(const struct rfs_source *source, FILE *out)
{
	char age[RFS_TIME_TEXT];
	int64_t as_of = source->taken_ns;

	if (source->kind == RFS_LIVE)
		as_of = RFS_TIME_NOW;
	else if (as_of == RFS_TIME_UNKNOWN)
		as_of = source->newest_ns;
	rfs_time_print(as_of, age);
	fprintf(out, "  %-20s %-8s of %s, as of %s\n", source->origin.name,
		rfs_source_kind_name(source->kind), source->host, age);
	if (source->open_error)
		fprintf(out, "      NOT USED: %s\n", source->open_error);
}

int rfs_render_readme(struct rfs_text *text, FILE *out,
		      struct rfs_error *err __attribute__((unused)))
{
	const struct rfs_site *site = text->inv->site;

	fprintf(out, head, site->name);
	for (size_t i = 0; i < site->nsources; i++)
		print_source(site->sources[i], out);
	fputs(body, out);
	return 0;
}

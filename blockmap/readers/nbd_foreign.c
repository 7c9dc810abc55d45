// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_foreign.c - formats that QEMU reads for us.
 *
 * qemu-nbd gets the image as a descriptor of ours and not as a name, so that no
 * link in a tree leads it elsewhere, and is told to open no backing file.  What
 * else an image could name is refused here: of VMDK only those that are one file
 * without a parent are let through, by what QEMU's block/vmdk.c looks at.  VDI and
 * VHDX name nothing that it would open, and those with a parent it refuses.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/little_endian.h"
#include "readers/nbd.h"
#include "readers/nbd_lend.h"
#include "readers/readers.h"

/* Starting a program takes longer than an answer. */
#define FOREIGN_DEADLINE_MS 5000

#define PATIENT_DEADLINE_MS 60000

#define SERVER "qemu-nbd"

/* What QEMU's block/vmdk.c reads of a description. */
#define DESCRIPTION_MAX (20 * RFS_SECTOR)

/* How QEMU is told of each: what goes before the file in its description. */
static const struct foreign {
	const char *format, *driver, *options;
	bool is_sealed;
} formats[] = {
	{ "vmdk", "vmdk", "\"backing\":null,", false },
	{ "vdi", "vdi", "", false },
	{ "vhdx", "vhdx", "", false },
	{ "luks", "luks", "\"key-secret\":\"password\",", true },
	{ "qcow2-luks", "qcow2",
	  "\"backing\":null,\"encrypt\":{\"format\":\"luks\","
	  "\"key-secret\":\"password\"},",
	  true },
};

static const struct foreign *find_format(const char *format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++)
		if (!strcmp(formats[i].format, format))
			return &formats[i];
	return NULL;
}

bool rfs_is_foreign_format(const char *format)
{
	return find_format(format);
}

bool rfs_is_sealed_format(const char *format)
{
	const struct foreign *f = find_format(format);

	return f && f->is_sealed;
}

/* As execvp would find it. */
static int find_server(struct rfs_error *err)
{
	const char *path = getenv("PATH");
	size_t len;

	for (const char *p = path ? path : ""; *p; p += len + (p[len] == ':')) {
		RFS_CLEANUP_FREE char *file = NULL;

		len = strcspn(p, ":");
		if (asprintf(&file, "%.*s/%s", (int)len, p, SERVER) < 0) {
			file = NULL;
			return rfs_no_memory(err);
		}
		if (access(file, X_OK) == 0)
			return 0;
	}
	return rfs_fail(err, ENOENT,
			"there is no " SERVER " to read it; install it "
			"(qemu-utils)");
}

/* True if the description inside the image says that it has no parent.  A
 * parent's data would be zeros here. */
static bool is_alone(struct rfs_reader *file, uint64_t sector, uint64_t sectors)
{
	uint64_t size = rfs_reader_size(file), off = sector * RFS_SECTOR;
	char text[DESCRIPTION_MAX + 1] = "";
	struct rfs_range range;

	if (!sector || !sectors || sector > size / RFS_SECTOR)
		return false;
	range = rfs_range_cut(rfs_range(off, DESCRIPTION_MAX),
			      rfs_range(0, size));
	if (rfs_reader_read(file, range, text, NULL, NULL) < 0)
		return false;
	return strcasestr(text, "parentCID=ffffffff") &&
	       !strcasestr(text, "parentFileNameHint");
}

/* A "KDMV" header that tells a capacity is followed by the data; one without,
 * and any other beginning, by a list of other files or of a part of them. */
static int check_vmdk(struct rfs_reader *file, const char *name,
		      struct rfs_error *err)
{
	unsigned char head[44] = { 0 };
	int r = 0;

	if (rfs_reader_size(file) >= sizeof(head))
		r = rfs_reader_read(file, rfs_range(0, sizeof(head)), head,
				    NULL, err);
	if (r < 0)
		return rfs_context(err, r, "%s: its header cannot be read",
				   name);
	if (memcmp(head, "KDMV", 4) != 0 || rfs_get_le64(head + 12) == 0)
		return rfs_fail(err, ENOTSUP,
				"%s is no VMDK image of one file; what lists "
				"other files is not followed, convert it with "
				"qemu-img",
				name);
	if (is_alone(file, rfs_get_le64(head + 28), rfs_get_le64(head + 36)))
		return 0;
	return rfs_fail(err, ENOTSUP,
			"%s: does not say that it has no parent, which is not "
			"opened; convert it with qemu-img",
			name);
}

/* Of a qcow2 image only its own clusters are read: what another file holds would
 * be zeros, or be opened by name. */
static int check_luks(struct rfs_reader *file, const char *name,
		      struct rfs_error *err)
{
	struct rfs_qcow2_info info;
	bool is_luks, is_alone;
	int r = rfs_qcow2_info(file, &info, err);

	if (r < 0)
		return r;
	is_luks = info.is_luks;
	is_alone = !info.backing_file && !info.has_data_file;
	rfs_qcow2_info_fini(&info);
	if (!is_luks)
		return rfs_fail(err, EINVAL,
				"%s is not encrypted with LUKS; say 'format = "
				"qcow2'",
				name);
	if (is_alone)
		return 0;
	return rfs_fail(err, ENOTSUP,
			"%s needs another file, which is not opened; convert "
			"it with qemu-img",
			name);
}

static int check_image(struct rfs_reader *file, const struct foreign *f,
		       const char *password, const char *name,
		       struct rfs_error *err)
{
	int r = find_server(err);

	if (r < 0)
		return r;
	if (f->is_sealed && !password)
		return rfs_fail(err, EINVAL,
				"%s needs a password: say 'password_file', or "
				"'password = ask', in its [disk] section",
				name);
	if (!strcmp(f->format, "vmdk"))
		return check_vmdk(file, name, err);
	return strcmp(f->format, "qcow2-luks") ? 0
					       : check_luks(file, name, err);
}

static int check_file(int fd, const struct foreign *f, const char *password,
		      const char *name, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	int copy = dup(fd), r;

	if (copy < 0)
		return rfs_fail(err, errno, "%s: %s", name, strerror(errno));
	r = rfs_file_open(copy, false, name, NULL, &file, err);
	return r < 0 ? r : check_image(file, f, password, name, err);
}

/* Opens what 'config' has but for the image, of which 'place' is the file. */
static int start(const struct foreign *f, const char *place,
		 const struct rfs_nbd_config *config, struct rfs_reader **ret,
		 struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *image = NULL;
	struct rfs_nbd_config own = *config;
	int r;

	if (asprintf(&image,
		     "json:{\"driver\":\"%s\",\"read-only\":true,%s"
		     "\"file\":{%s}}",
		     f->driver, f->options, place) < 0) {
		image = NULL;
		close(config->image_fd);
		return rfs_no_memory(err);
	}
	own.uri = own.export = "";
	own.image = image;
	own.password = f->is_sealed ? config->password : NULL;
	r = rfs_nbd_open(&own, ret, err);
	if (r == 0)
		return 0;
	return rfs_context(err, r, "%s: " SERVER " does not open it as %s%s",
			   own.name, f->format,
			   f->is_sealed ? "; is the password right?" : "");
}

int rfs_foreign_open(int fd, const char *format,
		     const struct rfs_nbd_config *as, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	const struct foreign *f = find_format(format);
	struct rfs_nbd_config config = *as;
	char place[64];
	int r = check_file(fd, f, as->password, as->name, err);

	if (r < 0) {
		close(fd);
		return r;
	}
	config.deadline_ms = FOREIGN_DEADLINE_MS;
	config.image_fd = fd;
	snprintf(place, sizeof(place),
		 "\"driver\":\"file\",\"filename\":\"/proc/%d/fd/%d\"",
		 (int)getpid(), fd);
	return start(f, place, &config, ret, err);
}

/* One late read of the file, and what QEMU itself needs. */
static unsigned int patience_ms(unsigned int deadline_ms)
{
	return deadline_ms ? deadline_ms + FOREIGN_DEADLINE_MS
			   : PATIENT_DEADLINE_MS;
}

int rfs_foreign_lend(struct rfs_reader *file, const char *format,
		     const struct rfs_nbd_config *as, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	const struct foreign *f = find_format(format);
	struct rfs_nbd_config config = *as;
	struct rfs_reader *disk;
	struct rfs_lend *lend;
	char place[160];
	int r = check_image(file, f, as->password, as->name, err);

	if (r == 0)
		r = rfs_lend_new(file, &lend, err);
	if (r < 0)
		return r;
	config.deadline_ms = patience_ms(as->deadline_ms);
	config.image_fd = -1;
	snprintf(place, sizeof(place),
		 "\"driver\":\"nbd\",\"server\":{\"type\":\"unix\","
		 "\"path\":\"%s\",\"abstract\":true}",
		 rfs_lend_address(lend));
	r = start(f, place, &config, &disk, err);
	if (r == 0)
		return rfs_lent_open(disk, file, lend, ret, err);
	rfs_lend_free(lend);
	return r;
}

int rfs_remote_open(const struct rfs_nbd_config *config,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	int r = find_server(err);

	return r < 0 ? r : rfs_nbd_open(config, ret, err);
}

int rfs_qemu_open(const char *image, const char *name, struct rfs_reader **ret,
		  struct rfs_error *err)
{
	struct rfs_nbd_config config = {
		.uri = "",
		.export = "",
		.name = name,
		.image = image,
		.image_fd = -1,
		.deadline_ms = PATIENT_DEADLINE_MS,
	};
	int r = find_server(err);

	if (r < 0)
		return r;
	r = rfs_nbd_open(&config, ret, err);
	return r < 0 ? rfs_context(err, r, "%s: " SERVER " does not open it",
				   name)
		     : 0;
}

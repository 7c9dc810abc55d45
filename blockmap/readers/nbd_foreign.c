// SPDX-License-Identifier: GPL-3.0-or-later
/* nbd_foreign.c - formats that QEMU reads for us.
 *
 * qemu-nbd gets the image as a descriptor of ours and not as a name, so that no
 * link in a tree leads it elsewhere, and is told to open no backing file.  What
 * else an image could name is refused here: of VMDK only those that are one file
 * without a parent are let through, by what QEMU's block/vmdk.c looks at.  VDI and
 * VHDX name nothing that it would open, and those with a parent it refuses.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/nbd.h"
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

static uint64_t number_at(const unsigned char *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return le64toh(n);
}

/* True if the description inside the image says that it has no parent.  A
 * parent's data would be zeros here. */
static bool is_alone(int fd, uint64_t sector, uint64_t sectors)
{
	char text[DESCRIPTION_MAX + 1];
	ssize_t n;

	if (!sector || !sectors || sector > RFS_SIZE_MAX / RFS_SECTOR)
		return false;
	n = pread(fd, text, DESCRIPTION_MAX, (off_t)(sector * RFS_SECTOR));
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strcasestr(text, "parentCID=ffffffff") &&
	       !strcasestr(text, "parentFileNameHint");
}

/* A "KDMV" header that tells a capacity is followed by the data; one without,
 * and any other beginning, by a list of other files or of a part of them. */
static int check_vmdk(int fd, const char *name, struct rfs_error *err)
{
	unsigned char head[44];

	if (pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return rfs_fail(err, EIO, "%s: its header cannot be read",
				name);
	if (memcmp(head, "KDMV", 4) != 0 || number_at(head + 12) == 0)
		return rfs_fail(err, ENOTSUP,
				"%s is no VMDK image of one file; what lists "
				"other files is not followed, convert it with "
				"qemu-img",
				name);
	if (is_alone(fd, number_at(head + 28), number_at(head + 36)))
		return 0;
	return rfs_fail(err, ENOTSUP,
			"%s: does not say that it has no parent, which is not "
			"opened; convert it with qemu-img",
			name);
}

/* Of a qcow2 image only its own clusters are read: what another file holds would
 * be zeros, or be opened by name. */
static int check_luks(int fd, const char *name, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_qcow2_info info;
	int copy = dup(fd), r;
	bool is_luks, is_alone;

	if (copy < 0)
		return rfs_fail(err, errno, "%s: %s", name, strerror(errno));
	r = rfs_file_open(copy, false, name, NULL, &file, err);
	if (r == 0)
		r = rfs_qcow2_info(file, &info, err);
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

static int check_image(int fd, const struct foreign *f, const char *password,
		       const char *name, struct rfs_error *err)
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
		return check_vmdk(fd, name, err);
	return strcmp(f->format, "qcow2-luks") ? 0 : check_luks(fd, name, err);
}

int rfs_foreign_open(int fd, const char *format, const char *password,
		     const char *name, const struct rfs_origin *origin,
		     struct rfs_notes *notes, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	const struct foreign *f = find_format(format);
	RFS_CLEANUP_FREE char *image = NULL;
	struct rfs_nbd_config config = {
		.uri = "",
		.export = "",
		.name = name,
		.origin = origin,
		.notes = notes,
		.deadline_ms = FOREIGN_DEADLINE_MS,
		.image_fd = fd,
		.password = f->is_sealed ? password : NULL,
	};
	int r = check_image(fd, f, password, name, err);

	if (r == 0 && asprintf(&image,
			       "json:{\"driver\":\"%s\",\"read-only\":true,%s"
			       "\"file\":{\"driver\":\"file\","
			       "\"filename\":\"/proc/%d/fd/%d\"}}",
			       f->driver, f->options, (int)getpid(), fd) < 0) {
		image = NULL;
		r = rfs_no_memory(err);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	config.image = image;
	r = rfs_nbd_open(&config, ret, err);
	if (r < 0)
		return rfs_context(
			err, r, "%s: " SERVER " does not open it as %s%s", name,
			format, f->is_sealed ? "; is the password right?" : "");
	return 0;
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

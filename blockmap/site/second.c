// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/second.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "readers/nbd.h"
#include "readers/readers.h"
#include "site/rooted.h"
#include "site/volumes.h"

/* Why there is no second way to read a copy; NULL: there is one. */
static const char *lacks_second(const struct rfs_copy *copy)
{
	if (copy->source->kind == RFS_DAMAGED)
		return "no other program is let near a damaged disk";
	if (copy->packing)
		return "it is compressed, and no raw disk; unpack it, and "
		       "compare it with rescuefs compare DISK SOURCE FILE";
	if (copy->mapfile && copy->format != RFS_FORMAT_RAW)
		return "it was copied in part, and QEMU would take the rest "
		       "for zeros";
	if (copy->format == RFS_FORMAT_FOREIGN)
		return "it is QEMU that reads this format";
	if (copy->format == RFS_FORMAT_OTHER)
		return "its format is not read";
	return NULL;
}

static int generation_of(int fd, struct rfs_generation *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* A device's times are those of its node. */
	*ret = (struct rfs_generation){ (uint64_t)st.st_size,
					S_ISREG(st.st_mode)
						? rfs_time_of(st.st_mtim)
						: 0 };
	return 0;
}

/* 'fd' is taken over. */
static int keep(struct rfs_second *s, int fd, struct rfs_error *err)
{
	int r;

	if (s->nfds == RFS_SECOND_FILES) {
		close(fd);
		return rfs_fail(err, ELOOP, "its chain has too many files");
	}
	s->fds[s->nfds] = fd;
	r = generation_of(fd, &s->were[s->nfds]);
	s->nfds++;
	return r < 0 ? rfs_fail(err, -r, "it cannot be looked at") : 0;
}

static void put_file(FILE *out, int fd)
{
	fprintf(out,
		"{\"driver\":\"file\",\"filename\":\"/proc/%d/fd/%d\","
		"\"locking\":\"off\"}",
		(int)getpid(), fd);
}

static int read_info(const struct rfs_chain *chain, int fd,
		     struct rfs_qcow2_info *ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	int mine = fcntl(fd, F_DUPFD_CLOEXEC, 0), r;

	if (mine < 0)
		return rfs_fail(err, errno, "%s cannot be opened", chain->path);
	r = rfs_file_open(mine, false, chain->path, &chain->source->origin,
			  &file, err);
	return r < 0 ? r : rfs_qcow2_info(file, ret, err);
}

static int put_node(struct rfs_second *s, const struct rfs_chain *chain, int fd,
		    struct rfs_notes *notes, FILE *out, struct rfs_error *err);

/* What the header names, as our own readers resolve it. */
static int put_named(struct rfs_second *s, const struct rfs_chain *chain,
		     const char *name, const char *format,
		     struct rfs_notes *notes, FILE *out, struct rfs_error *err)
{
	struct rfs_chain next;
	int fd, r;

	if (!*name || (format && !*format))
		return rfs_fail(err, ENOTSUP,
				"what its header names cannot be read");
	if (chain->source->root_fd < 0)
		return rfs_fail(err, ENOTSUP,
				"it names another file, and its source has no "
				"root to look for that");
	r = rfs_chain_next(chain, name, format, notes, &next, err);
	if (r < 0)
		return r;
	fd = rfs_rooted_open(chain->source, next.path, err);
	r = fd < 0 ? rfs_context(err, fd, "what it stands on")
		   : put_node(s, &next, fd, notes, out, err);
	rfs_chain_fini(&next);
	return r == -ENOENT ? -ENOTSUP : r;
}

static int put_qcow2(struct rfs_second *s, const struct rfs_chain *chain,
		     int fd, const struct rfs_qcow2_info *info,
		     struct rfs_notes *notes, FILE *out, struct rfs_error *err)
{
	int r = 0;

	if (info->has_data_file && !info->data_file)
		return rfs_fail(err, ENOTSUP, "its data file is not named");
	if (info->is_aes)
		return rfs_fail(err, ENOTSUP,
				"it is encrypted, and no other program is told "
				"the password");
	fprintf(out, "{\"driver\":\"%s\",\"read-only\":true,\"file\":",
		info->version == 1 ? "qcow" : "qcow2");
	put_file(out, fd);
	if (info->data_file) {
		fputs(",\"data-file\":", out);
		r = put_named(s, chain, info->data_file, "raw", notes, out,
			      err);
	}
	fputs(",\"backing\":", out);
	if (r == 0 && info->backing_file)
		r = put_named(s, chain, info->backing_file,
			      info->backing_format, notes, out, err);
	else if (r == 0)
		fputs("null", out);
	fputs("}", out);
	return r;
}

/* One file and all that it stands on; 'fd' is taken over. */
static int put_node(struct rfs_second *s, const struct rfs_chain *chain, int fd,
		    struct rfs_notes *notes, FILE *out, struct rfs_error *err)
{
	struct rfs_qcow2_info info;
	int r = keep(s, fd, err);

	if (r < 0)
		return r;
	if (!chain->is_qcow2) {
		fputs("{\"driver\":\"raw\",\"read-only\":true,\"file\":", out);
		put_file(out, fd);
		fputs("}", out);
		return 0;
	}
	r = read_info(chain, fd, &info, err);
	if (r < 0)
		return r;
	r = put_qcow2(s, chain, fd, &info, notes, out, err);
	rfs_qcow2_info_fini(&info);
	return r;
}

static int open_top(const struct rfs_copy *copy, struct rfs_error *err)
{
	return copy->place == RFS_VOLUME
		       ? rfs_volume_open(copy->source->names, copy->path, err)
		       : rfs_rooted_open(copy->source, copy->path, err);
}

static int describe(struct rfs_second *s, const struct rfs_copy *copy,
		    struct rfs_notes *notes, char **ret, struct rfs_error *err)
{
	const struct rfs_chain chain = {
		.source = copy->source,
		.path = copy->path,
		.is_qcow2 = copy->format == RFS_FORMAT_QCOW2,
	};
	size_t len;
	int fd = open_top(copy, err), r;
	FILE *out;

	if (fd < 0)
		return fd;
	out = open_memstream(ret, &len);
	if (!out) {
		close(fd);
		return rfs_no_memory(err);
	}
	fputs("json:", out);
	r = put_node(s, &chain, fd, notes, out, err);
	if (fclose(out) == EOF && r == 0)
		r = rfs_no_memory(err);
	return r;
}

int rfs_second_open(const struct rfs_copy *copy, struct rfs_notes *notes,
		    struct rfs_second *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *image = NULL;
	RFS_CLEANUP_FREE char *name = NULL;
	const char *why = lacks_second(copy);
	int r;

	*ret = (struct rfs_second){ 0 };
	if (why)
		return rfs_fail(err, ENOTSUP, "%s", why);
	if (asprintf(&name, "%s:%s by QEMU", copy->source->origin.name,
		     copy->path) < 0) {
		name = NULL;
		return rfs_no_memory(err);
	}
	r = copy->place == RFS_EXPORT ? rfs_second_export(copy, &image, err)
				      : describe(ret, copy, notes, &image, err);
	if (r == 0)
		r = rfs_qemu_open(image, name, &ret->reader, err);
	if (r == 0 && copy->mapfile)
		r = rfs_second_restrict(copy, &ret->reader, err);
	return r;
}

int rfs_second_file(const struct rfs_copy *copy, struct rfs_second *ret,
		    struct rfs_error *err)
{
	int fd, r;

	*ret = (struct rfs_second){ 0 };
	if (copy->source->kind == RFS_DAMAGED)
		return rfs_fail(err, ENOTSUP, "%s", lacks_second(copy));
	fd = open_top(copy, err);
	if (fd < 0)
		return fd;
	r = keep(ret, fd, err);
	return r < 0 ? r : fd;
}

int rfs_second_describe(int fd, char **ret_image, struct rfs_error *err)
{
	size_t len;
	FILE *out = open_memstream(ret_image, &len);

	if (!out)
		return rfs_no_memory(err);
	fputs("json:{\"driver\":\"qcow2\",\"read-only\":true,"
	      "\"backing\":null,\"file\":",
	      out);
	put_file(out, fd);
	fputs("}", out);
	return fclose(out) == 0 ? 0 : rfs_no_memory(err);
}

int rfs_second_alone(const struct rfs_copy *copy, struct rfs_second *ret,
		     char **ret_image, struct rfs_error *err)
{
	const char *why = lacks_second(copy);
	int fd, r;

	*ret = (struct rfs_second){ 0 };
	if (why || copy->format != RFS_FORMAT_QCOW2 ||
	    copy->place == RFS_EXPORT)
		return rfs_fail(err, ENOTSUP, "%s", why ? why : "it is raw");
	fd = open_top(copy, err);
	if (fd < 0)
		return fd;
	r = keep(ret, fd, err);
	return r < 0 ? r : rfs_second_describe(fd, ret_image, err);
}

bool rfs_second_is_changed(const struct rfs_second *second)
{
	struct rfs_generation is;

	for (size_t i = 0; i < second->nfds; i++)
		if (generation_of(second->fds[i], &is) < 0 ||
		    is.size != second->were[i].size ||
		    is.mtime_ns != second->were[i].mtime_ns)
			return true;
	return false;
}

void rfs_second_close(struct rfs_second *second)
{
	rfs_reader_unref(second->reader);
	for (size_t i = 0; i < second->nfds; i++)
		close(second->fds[i]);
	*second = (struct rfs_second){ 0 };
}

// SPDX-License-Identifier: GPL-3.0-or-later
/* open_chain.c - a backing chain, link by link: each is a file of the same source,
 * healed by its equals of others, and decoded over the next. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "readers/readers.h"
#include "site/chain.h"
#include "site/open_members.h"
#include "site/open_parts.h"
#include "site/open_place.h"
#include "site/password.h"

/* What a link names is there as a compressed copy only, perhaps. */
static int open_packed_link(struct rfs_opener *op,
			    const struct rfs_chain *chain,
			    struct rfs_reader **ret, struct rfs_error *err)
{
	static const char *const endings[] = { ".gz", ".xz", ".zst", ".bz2" };
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *path = NULL;
	struct rfs_generation generation;
	enum rfs_packing packing;
	int r = -ENOENT;

	for (size_t i = 0; i < 4 && r == -ENOENT; i++) {
		free(path);
		if (asprintf(&path, "%s%s", chain->path, endings[i]) < 0) {
			path = NULL;
			return rfs_no_memory(err);
		}
		r = rfs_opener_named(op, chain->source, path, &file, err);
	}
	if (r == 0)
		r = rfs_opener_generation(chain->source, path, &generation,
					  err);
	if (r < 0)
		return r;
	rfs_packed_strip(path, &packing);
	return rfs_unpacker_open(op->unpacker, file, rfs_reader_name(file),
				 packing, generation, 0, ret, err);
}

/* The files of other sources that hold the same bytes as the link's. */
static void add_equals(struct rfs_opener *op, const struct rfs_chain *link,
		       bool is_open, struct rfs_opener_members *m)
{
	const struct rfs_site *site = op->inv->site;
	const struct rfs_source *src;
	struct rfs_reader *rd;

	for (size_t i = 0; i < site->nsources; i++) {
		src = site->sources[i];
		if (src == link->source || src->root_fd < 0 ||
		    !rfs_chain_is_same_file(link, src, is_open) ||
		    rfs_opener_lacks_map(op, link, src) ||
		    rfs_opener_named(op, src, link->path, &rd, NULL) < 0)
			continue;
		rfs_opener_add(m, rd, !strcmp(src->host, link->source->host));
	}
}

static int join_link(struct rfs_opener *op, const struct rfs_chain *link,
		     struct rfs_opener_members *m, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *all = NULL;
	RFS_CLEANUP_FREE char *identity = NULL;
	int r = rfs_opener_join(op, m, &all, err);

	if (r < 0)
		return r;
	identity = rfs_chain_identity(link, rfs_reader_size(all));
	if (identity)
		r = rfs_reader_identify(all, identity, err);
	if (r == 0)
		*ret = RFS_STEAL(all);
	return r;
}

/* A backing file: a base image is healed, or even replaced, by one of the same
 * name and size on any source of any host; another file by its own
 * generation on the same host. */
static int open_link(struct rfs_opener *op, const struct rfs_chain *link,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_opener_members m = { .is_shared = true };
	int first;

	first = rfs_opener_named(op, link->source, link->path, &m.items[0],
				 err);
	if (rfs_is_own_want(first))
		return first;
	m.near = m.count = first == 0;
	if (link->healed)
		add_equals(op, link, first == 0, &m);
	if (!m.count && first == -ENOENT)
		return open_packed_link(op, link, ret, err);
	if (!m.count)
		return first;
	if (first < 0)
		rfs_notes_add(&op->inv->site->notes,
			      "%s:%s cannot be opened; the base image of that "
			      "name from %s stands in",
			      link->source->origin.name, link->path,
			      rfs_reader_origin(m.items[0])->name);
	return join_link(op, link, &m, ret, err);
}

/* What the site file gives by hand stands in for a base image that no source
 * has, and heals one that they have; 'r' is how the sources did.  What cannot be
 * that image is noted and not used. */
static int take_given(struct rfs_opener *op, const struct rfs_chain *link,
		      int r, struct rfs_reader **file, struct rfs_error *err)
{
	struct rfs_notes *notes = &op->inv->site->notes;
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_opener_members m = { .items = { *file },
					.count = r == 0,
					.near = 3,
					.is_shared = true };
	struct rfs_reader *given;
	int g = rfs_opener_base(op, link, *file, &given, &why);

	if (rfs_is_own_want(g))
		return rfs_fail(err, -g, "%s", why.text);
	if (g < 0) {
		if (g != -ENODATA)
			rfs_notes_add(notes, "base %s: not used: %s",
				      rfs_chain_base(link), why.text);
		return r;
	}
	if (r < 0)
		rfs_notes_add(notes,
			      "%s:%s cannot be opened; the base image that is "
			      "given by hand stands in",
			      link->source->origin.name, link->path);
	m.items[m.count++] = given;
	*file = NULL;
	return rfs_opener_join(op, &m, file, err);
}

/* What the site file says of a disk holds for its backing files: they are not
 * shared with a disk of which it says something else. */
static bool changes_links(const struct rfs_disk_rule *rule)
{
	return rule &&
	       (rule->backing_format || rule->password_file || rule->asks);
}

/* Opens what a chain's next link names, decoded. */
static int open_next(struct rfs_opener *op, const struct rfs_chain *next,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *key = NULL;
	int r;

	if (asprintf(&key, "%s:%s:%d:%d:%s", next->source->origin.name,
		     next->path, next->healed, next->is_qcow2,
		     changes_links(next->rule) ? next->rule->disk : "") < 0)
		return rfs_no_memory(err);
	rfs_opener_note_base(op, next);
	*ret = rfs_shelf_find(&op->shelf, key);
	if (*ret)
		return 0;
	r = open_link(op, next, &file, err);
	if (r == 0 || !rfs_is_own_want(r))
		r = take_given(op, next, r, &file, err);
	if (r == 0 && next->healed)
		r = rfs_opener_alone(op, true, &file, err);
	if (r == 0)
		r = rfs_opener_decode(op, next, file, NULL, ret, err);
	if (r == 0)
		rfs_shelf_add(&op->shelf, key, *ret);
	return r;
}

/* A missing parent makes only what it would have held unreadable, so it is a
 * note and not an error; a name that escapes or loops is an error. */
static int open_parent(struct rfs_opener *op, const struct rfs_chain *chain,
		       const char *name, const char *format,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_notes *notes = &op->inv->site->notes;
	struct rfs_chain next;
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	if (!*name || (format && !*format)) {
		rfs_notes_add(notes,
			      "%s:%s: what its header says of the backing file "
			      "cannot be read, so that what it does not hold "
			      "itself cannot be either",
			      chain->source->origin.name, chain->path);
		return 0;
	}
	r = rfs_chain_next(chain, name, format, notes, &next, err);
	if (r < 0)
		return r;
	r = open_next(op, &next, ret, &why);
	rfs_chain_fini(&next);
	if (r == -ELOOP || r == -ENOTSUP || r == -EINVAL || rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", why.text);
	if (r < 0)
		rfs_notes_add(notes,
			      "%s:%s: its backing file cannot be opened, so "
			      "that what it does not hold itself cannot be "
			      "read: %s",
			      chain->source->origin.name, chain->path,
			      why.text);
	return 0;
}

/* What the header names: the backing file, and the file that has the data.  Each
 * stays NULL where there is none, or it cannot be opened. */
static int open_parents(struct rfs_opener *op, const struct rfs_chain *chain,
			const struct rfs_qcow2_info *info,
			struct rfs_reader **ret_backing,
			struct rfs_reader **ret_data, struct rfs_error *err)
{
	struct rfs_chain here = *chain;
	int r = 0;

	here.virtual_size = info->virtual_size;
	if (info->backing_file)
		r = open_parent(op, &here, info->backing_file,
				info->backing_format || !chain->rule
					? info->backing_format
					: chain->rule->backing_format,
				ret_backing, err);
	if (r == 0 && info->data_file)
		r = open_parent(op, chain, info->data_file, "raw", ret_data,
				err);
	/* A name that is refused is not one that is lost: no other copy's header
	 * may stand in for it. */
	return r == -EINVAL ? -ENOTSUP : r;
}

int rfs_opener_decode(struct rfs_opener *op, const struct rfs_chain *chain,
		      struct rfs_reader *file, struct rfs_reader *header,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *backing = NULL;
	RFS_CLEANUP_READER struct rfs_reader *data = NULL;
	struct rfs_qcow2_parts parts = { .file = file,
					 .header = header,
					 .notes = &op->inv->site->notes };
	struct rfs_qcow2_info info;
	char *password = NULL;
	int r;

	if (!chain->is_qcow2) {
		*ret = rfs_reader_ref(file);
		return 0;
	}
	r = rfs_qcow2_info(header ? header : file, &info, err);
	if (r < 0)
		return r;
	r = open_parents(op, chain, &info, &backing, &data, err);
	if (r == 0 && info.is_aes)
		r = rfs_password_get(chain->rule, &password, err);
	rfs_qcow2_info_fini(&info);
	if (r < 0)
		return r;
	parts.password = password;
	parts.backing = backing;
	parts.data = data;
	r = rfs_qcow2_open(&parts, ret, err);
	rfs_password_free(password);
	return r;
}

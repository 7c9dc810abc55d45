// SPDX-License-Identifier: GPL-3.0-or-later
/*
 * From the bottom: a file of a source, guarded against asking for a bad sector
 * twice; healed by files that hold the same bytes; decoded over its backing
 * chain, every link of which is opened the same way inside the same source.
 */
#include "site/open.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "ext/ext.h"
#include "readers/readers.h"
#include "readers/rescue.h"
#include "readers/waited.h"
#include "site/chain.h"
#include "site/given.h"
#include "site/open_heal.h"
#include "site/open_members.h"
#include "site/open_place.h"
#include "site/password.h"
#include "site/rooted.h"
#include "site/shelf.h"
#include "site/texts.h"
#include "site/unpack.h"

struct texts {
	char **items;
	size_t count, room;
};

struct rfs_opener {
	const struct rfs_inventory *inv;
	struct rfs_state *state;
	struct rfs_unpacker *unpacker;
	struct rfs_given *given;
	struct rfs_shelf shelf; /* links of chains, and exports */
	pthread_mutex_t lock;	/* guards all below */
	struct texts errors;	/* what candidates point to */
	struct {
		struct rfs_opener_witness **items;
		size_t count, room;
	} witnesses;
	/* A refresh: files that changed since they were rescued are taken as
	 * they are now.  Set before others know of the opener. */
	bool renews;
};

struct rfs_state *rfs_opener_state(struct rfs_opener *op)
{
	return op->state;
}

const struct rfs_inventory *rfs_opener_inventory(struct rfs_opener *op)
{
	return op->inv;
}

struct rfs_given *rfs_opener_given(struct rfs_opener *op)
{
	return op->given;
}

/* While there is room in the state: choices are remembered by these numbers,
 * also on the day when it is full. */
static void number_sources(struct rfs_opener *op)
{
	const struct rfs_site *site = op->inv->site;
	uint32_t id;

	for (size_t i = 0; op->state && i < site->nsources; i++)
		rfs_state_source_id(op->state, site->sources[i]->origin.name,
				    &id, NULL);
}

int rfs_opener_new(const struct rfs_inventory *inv, struct rfs_state *state,
		   struct rfs_opener **ret, struct rfs_error *err)
{
	struct rfs_opener *op = calloc(1, sizeof(*op));
	int r;

	if (!op)
		return rfs_no_memory(err);
	r = rfs_given_new(inv, state, &op->given, err);
	if (r == 0)
		r = rfs_unpacker_new(state, &inv->site->notes, &op->unpacker,
				     err);
	if (r < 0) {
		rfs_given_free(op->given);
		free(op);
		return r;
	}
	op->inv = inv;
	op->state = state;
	pthread_mutex_init(&op->lock, NULL);
	rfs_shelf_init(&op->shelf);
	number_sources(op);
	*ret = op;
	return 0;
}

static void free_texts(struct texts *t)
{
	for (size_t i = 0; i < t->count; i++)
		free(t->items[i]);
	free(t->items);
}

void rfs_opener_free(struct rfs_opener *op)
{
	if (!op)
		return;
	rfs_shelf_fini(&op->shelf);
	rfs_unpacker_free(op->unpacker);
	rfs_given_free(op->given);
	free_texts(&op->errors);
	for (size_t i = 0; i < op->witnesses.count; i++)
		free(op->witnesses.items[i]);
	free(op->witnesses.items);
	pthread_mutex_destroy(&op->lock);
	free(op);
}

/* Keeps a text as long as the opener; NULL without memory. */
const char *rfs_opener_keep_text(struct rfs_opener *op, const char *text)
{
	struct texts *t = &op->errors;
	char *copy = strdup(text);

	pthread_mutex_lock(&op->lock);
	if (copy && RFS_VEC_ROOM(t) == 0) {
		t->items[t->count++] = copy;
	} else {
		free(copy);
		copy = NULL;
	}
	pthread_mutex_unlock(&op->lock);
	return copy;
}

struct rfs_opener_witness *rfs_opener_keep_witness(struct rfs_opener *op)
{
	struct rfs_opener_witness *w = calloc(1, sizeof(*w));

	pthread_mutex_lock(&op->lock);
	if (w && RFS_VEC_ROOM(&op->witnesses) == 0) {
		op->witnesses.items[op->witnesses.count++] = w;
	} else {
		free(w);
		w = NULL;
	}
	pthread_mutex_unlock(&op->lock);
	return w;
}

int rfs_opener_file(struct rfs_opener *op, const struct rfs_source *src, int fd,
		    const char *name, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_READER struct rfs_reader *made = NULL;
	struct rfs_rescue_config config = {
		.state = op->state,
		.worker = src->worker,
		.names = src->names,
		.object = name,
		.name = name,
		.origin = &src->origin,
		.notes = &op->inv->site->notes,
		.store = rfs_source_store(op->inv->site, src),
		.renew = op->renews,
	};
	struct rfs_rescue *rescue;
	int r;

	if (src->kind == RFS_DAMAGED) {
		r = rfs_rescue_open(&config, fd, &rescue, err);
		if (r == 0) {
			rfs_texts_hand_over(op->state, src, rescue);
			r = rfs_rescue_reader(rescue, &made, err);
		}
		rfs_rescue_unref(rescue);
	} else {
		r = src->worker
			    ? rfs_waited_open(src->worker, src->names, fd, name,
					      &src->origin, &file, err)
			    : rfs_file_open(fd, false, name, &src->origin,
					    &file, err);
		if (r == 0)
			r = rfs_guard_open(file, op->state, name, &made, err);
	}
	if (r == 0)
		r = rfs_reader_identify(made, name, err);
	if (r == 0)
		*ret = RFS_STEAL(made);
	return r;
}

/* A file of one source, by its path there. */
static int open_file(struct rfs_opener *op, const struct rfs_source *src,
		     const char *path, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *name = NULL;
	int fd;

	if (src->root_fd < 0)
		return rfs_fail(err, ENODEV, "%s: could not be opened: %s",
				src->origin.name,
				src->open_error ? src->open_error : "?");
	if (asprintf(&name, "%s:%s", src->origin.name, path) < 0)
		return rfs_no_memory(err);
	fd = rfs_rooted_open(src, path, err);
	if (fd < 0)
		return rfs_context(err, fd, "%s", src->origin.name);
	return rfs_opener_file(op, src, fd, name, ret, err);
}

/* One connection, and one program, for all who read it: some servers take no
 * second one. */
static int open_server(struct rfs_opener *op, const struct rfs_copy *copy,
		       const struct rfs_disk_rule *rule,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	bool is_export = copy->place == RFS_EXPORT;
	RFS_CLEANUP_FREE char *key = NULL;
	int r;

	if (asprintf(&key, "%s:%s:%s", is_export ? "export" : "foreign",
		     copy->source->origin.name, copy->path) < 0)
		return rfs_no_memory(err);
	*ret = rfs_shelf_find(&op->shelf, key);
	if (*ret)
		return 0;
	r = is_export ? rfs_opener_export(op, copy, ret, err)
		      : rfs_opener_foreign(op, copy, rule, ret, err);
	if (r == 0)
		rfs_shelf_add(&op->shelf, key, *ret);
	return r;
}

static int open_place(struct rfs_opener *op, const struct rfs_copy *copy,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	int r;

	if (copy->place == RFS_VOLUME)
		r = rfs_opener_volume(op, copy, ret, err);
	else if (copy->place == RFS_EXPORT)
		r = open_server(op, copy, NULL, ret, err);
	else
		r = open_file(op, copy->source, copy->path, ret, err);
	return r < 0 ? r : rfs_opener_restrict(copy, ret, err);
}

/* A file that an image names, with the mapfile that lies beside it. */
static int open_named(struct rfs_opener *op, const struct rfs_source *src,
		      const char *path, struct rfs_reader **ret,
		      struct rfs_error *err)
{
	struct rfs_copy copy = { .source = src, .path = (char *)path };
	int r = 0;

	if (src->root_fd >= 0)
		r = rfs_opener_find_map(op, &copy, err);
	if (r == 0)
		r = open_place(op, &copy, ret, err);
	free(copy.mapfile);
	return r;
}

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
		r = open_named(op, chain->source, path, &file, err);
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

/* A backing file: a base image is healed, or even replaced, by one of the same
 * name and size on any source of any host; another file by its own
 * generation on the same host. */
static int open_link(struct rfs_opener *op, const struct rfs_chain *chain,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	const struct rfs_site *site = op->inv->site;
	struct rfs_opener_members m = { .is_shared = true };
	RFS_CLEANUP_READER struct rfs_reader *all = NULL;
	RFS_CLEANUP_FREE char *identity = NULL;
	const struct rfs_source *src;
	struct rfs_reader *rd;
	int first, r;

	first = open_named(op, chain->source, chain->path, &m.items[0], err);
	if (rfs_is_own_want(first))
		return first;
	m.near = m.count = first == 0;
	if (chain->healed)
		for (size_t i = 0; i < site->nsources; i++) {
			src = site->sources[i];
			if (src != chain->source && src->root_fd >= 0 &&
			    rfs_chain_is_same_file(chain, src, first == 0) &&
			    !rfs_opener_lacks_map(op, chain, src) &&
			    open_named(op, src, chain->path, &rd, NULL) == 0)
				rfs_opener_add(&m, rd,
					       strcmp(src->host,
						      chain->source->host) ==
						       0);
		}
	if (!m.count && first == -ENOENT)
		return open_packed_link(op, chain, ret, err);
	if (!m.count)
		return first;
	if (first < 0)
		rfs_notes_add(&op->inv->site->notes,
			      "%s:%s cannot be opened; the base image of that "
			      "name from %s stands in",
			      chain->source->origin.name, chain->path,
			      rfs_reader_origin(m.items[0])->name);
	r = rfs_opener_join(op, &m, &all, err);
	if (r < 0)
		return r;
	identity = rfs_chain_identity(chain, rfs_reader_size(all));
	if (identity)
		r = rfs_reader_identify(all, identity, err);
	if (r == 0)
		*ret = RFS_STEAL(all);
	return r;
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

static int decode(struct rfs_opener *op, const struct rfs_chain *chain,
		  struct rfs_reader *file, struct rfs_reader *header,
		  struct rfs_reader **ret, struct rfs_error *err);

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
		r = decode(op, next, file, NULL, ret, err);
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

/* 'header' is NULL but where it stands in for the file's own. */
static int decode(struct rfs_opener *op, const struct rfs_chain *chain,
		  struct rfs_reader *file, struct rfs_reader *header,
		  struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *backing = NULL;
	RFS_CLEANUP_READER struct rfs_reader *data = NULL;
	struct rfs_qcow2_parts parts = { .file = file,
					 .header = header,
					 .notes = &op->inv->site->notes };
	struct rfs_chain here = *chain;
	struct rfs_qcow2_info info;
	char *password = NULL;
	bool is_sealed;
	int r;

	if (!chain->is_qcow2) {
		*ret = rfs_reader_ref(file);
		return 0;
	}
	r = rfs_qcow2_info(header ? header : file, &info, err);
	if (r < 0)
		return r;
	here.virtual_size = info.virtual_size;
	if (info.backing_file)
		r = open_parent(op, &here, info.backing_file,
				info.backing_format || !chain->rule
					? info.backing_format
					: chain->rule->backing_format,
				&backing, err);
	if (r == 0 && info.data_file)
		r = open_parent(op, chain, info.data_file, "raw", &data, err);
	is_sealed = info.is_aes;
	rfs_qcow2_info_fini(&info);
	/* A name that is refused is not one that is lost: no other copy's header
	 * may stand in for it. */
	if (r == -EINVAL)
		r = -ENOTSUP;
	if (r < 0)
		return r;
	if (is_sealed)
		r = rfs_password_get(chain->rule, &password, err);
	if (r < 0)
		return r;
	parts.password = password;
	parts.backing = backing;
	parts.data = data;
	r = rfs_qcow2_open(&parts, ret, err);
	rfs_password_free(password);
	return r;
}

/* The file of a copy with, where 'healed', its equals on other sources. */
static int open_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			  const struct rfs_copy *copy, bool healed,
			  struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_opener_members m = { 0 };
	const struct rfs_copy *other;
	struct rfs_reader *rd;
	int first;

	first = open_place(op, copy, &m.items[0], err);
	if (rfs_is_own_want(first))
		return first;
	m.near = m.count = first == 0;
	for (size_t i = 0; i < disk->ncopies && healed; i++) {
		other = &disk->copies[i];
		if (other != copy && other->packing == copy->packing &&
		    rfs_copy_is_same(other, copy) &&
		    open_place(op, other, &rd, NULL) == 0)
			rfs_opener_add(&m, rd, true);
	}
	if (!m.count)
		return first;
	first = rfs_opener_join(op, &m, ret, err);
	return first < 0 || !healed ? first
				    : rfs_opener_alone(op, false, ret, err);
}

/* What a raw disk must hold, by another copy of it that is not packed.  The
 * size of a qcow2 file tells nothing of another one's. */
static uint64_t expected_size(const struct rfs_disk *disk,
			      const struct rfs_copy *copy)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		/* A live one may have been made anew, in another size. */
		if (disk->copies[i].packing == RFS_PACKED_NOT &&
		    disk->copies[i].source->kind != RFS_LIVE &&
		    disk->copies[i].format == RFS_FORMAT_RAW &&
		    copy->format == RFS_FORMAT_RAW)
			return disk->copies[i].generation.size;
	return 0;
}

/* Gives up 'packed' for what is in it.  Alone it may be read otherwise than
 * healed, so that the two do not share what the state keeps. */
static int unpack_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, bool healed,
		       struct rfs_reader **file, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *packed = RFS_STEAL(*file);
	RFS_CLEANUP_FREE char *object = NULL;

	if (asprintf(&object, "%s:%s%s", copy->source->origin.name, copy->path,
		     healed ? "" : " alone") < 0)
		return rfs_no_memory(err);
	return rfs_unpacker_open(op->unpacker, packed, object, copy->packing,
				 copy->generation, expected_size(disk, copy),
				 file, err);
}

static int open_unpacked(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, bool healed,
			 struct rfs_reader **ret, struct rfs_error *err)
{
	int r = open_copy_file(op, disk, copy, healed, ret, err);

	if (r == 0 && copy->packing)
		r = unpack_copy(op, disk, copy, healed, ret, err);
	return r;
}

int rfs_opener_copy_file(struct rfs_opener *op, const struct rfs_disk *disk,
			 const struct rfs_copy *copy, struct rfs_reader **ret,
			 struct rfs_error *err)
{
	return open_unpacked(op, disk, copy, true, ret, err);
}

/* One program for all who read it so. */
static int open_lent(struct rfs_opener *op, const struct rfs_disk *disk,
		     const struct rfs_copy *copy, bool healed,
		     struct rfs_reader **ret, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	RFS_CLEANUP_FREE char *key = NULL;
	int r;

	if (asprintf(&key, "lent:%d:%s:%s", healed, copy->source->origin.name,
		     copy->path) < 0)
		return rfs_no_memory(err);
	*ret = rfs_shelf_find(&op->shelf, key);
	if (*ret)
		return 0;
	r = open_unpacked(op, disk, copy, healed, &file, err);
	if (r == 0)
		r = rfs_opener_lend(op, copy, disk->rule, file, ret, err);
	if (r == 0)
		rfs_shelf_add(&op->shelf, key, *ret);
	return r;
}

static int open_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		     const struct rfs_copy *copy, bool healed,
		     struct rfs_reader *header, struct rfs_reader **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *file = NULL;
	struct rfs_chain chain = {
		.source = copy->source,
		.path = copy->path,
		.is_qcow2 = copy->format == RFS_FORMAT_QCOW2,
		.healed = healed,
		.rule = disk->rule,
	};
	int r;

	if (copy->format == RFS_FORMAT_OTHER)
		return rfs_fail(err, ENOTSUP,
				"%s:%s is %s by %s, which this version does "
				"not read; convert it with qemu-img and name "
				"the result in the site file",
				copy->source->origin.name, copy->path,
				copy->format_name, copy->format_by);
	if (copy->format == RFS_FORMAT_FOREIGN && rfs_opener_is_lent(copy))
		return open_lent(op, disk, copy, healed, ret, err);
	if (copy->format == RFS_FORMAT_FOREIGN)
		return open_server(op, copy, disk->rule, ret, err);
	r = open_unpacked(op, disk, copy, healed, &file, err);
	return r < 0 ? r : decode(op, &chain, file, header, ret, err);
}

int rfs_opener_copy_by(struct rfs_opener *op, const struct rfs_disk *disk,
		       const struct rfs_copy *copy, struct rfs_reader *header,
		       struct rfs_reader **ret, struct rfs_error *err)
{
	return open_copy(op, disk, copy, true, header, ret, err);
}

void rfs_opener_stop(struct rfs_opener *op)
{
	rfs_unpacker_stop(op->unpacker);
	rfs_given_stop(op->given);
}

int rfs_opener_copy(struct rfs_opener *op, const struct rfs_disk *disk,
		    const struct rfs_copy *copy, struct rfs_reader **ret,
		    struct rfs_error *err)
{
	return open_copy(op, disk, copy, false, NULL, ret, err);
}

/* An earlier copy of the same generation already reads this one's file. */
static const struct rfs_copy *twin_of(const struct rfs_disk *disk, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (rfs_copy_is_same(&disk->copies[i], &disk->copies[at]))
			return &disk->copies[i];
	return NULL;
}

static int open_candidate(struct rfs_opener *op, const struct rfs_disk *disk,
			  size_t at, struct rfs_candidate *ret,
			  struct rfs_opener_healed *healed,
			  struct rfs_error *err)
{
	const struct rfs_copy *copy = &disk->copies[at];
	const struct rfs_copy *twin = twin_of(disk, at);
	struct rfs_error why = RFS_ERROR_INIT;
	int r;

	*ret = (struct rfs_candidate){
		.origin = &copy->source->origin,
		.kind = rfs_source_kind_name(copy->source->kind),
		.as_of_ns = copy->as_of_ns,
		.generation = copy->generation,
		.is_same_generation = twin == &disk->copies[0],
	};
	r = twin ? 0
		 : open_copy(op, disk, copy, true, NULL, &ret->reader, &why);
	if (r == 0)
		return twin ? 0
			    : rfs_opener_heal(op, disk, at, ret->reader, healed,
					      err);
	ret->reader = NULL;
	if (rfs_is_own_want(r))
		return rfs_fail(err, -r, "%s", why.text);
	ret->error = rfs_opener_keep_text(op, why.text);
	if (!ret->error)
		ret->error = "it could not be opened";
	rfs_notes_add(&op->inv->site->notes, "%s", why.text);
	if (r == -EIO || r == -EINVAL)
		return rfs_opener_heal(op, disk, at, NULL, healed, err);
	return 0;
}

static struct rfs_merge_policy policy_of(const struct rfs_site *site,
					 const struct rfs_disk_rule *rule)
{
	int fill = site->fill, lost = site->lost;

	if (rule && rule->fill >= 0)
		fill = rule->fill;
	if (rule && rule->lost >= 0)
		lost = rule->lost;
	return (struct rfs_merge_policy){
		.withhold_stale = fill == RFS_FILL_NONE,
		.find_data = fill == RFS_FILL_DATA ? rfs_ext_data : NULL,
		.zero_lost = lost == RFS_LOST_ZERO,
	};
}

static int open_view(struct rfs_opener *op, const struct rfs_disk *disk,
		     bool take_changed, struct rfs_view **ret,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE struct rfs_candidate *list = NULL;
	RFS_CLEANUP_FREE char *name = NULL;
	struct rfs_view_config config = { 0 };
	struct rfs_opener_healed healed = { 0 };
	int r;

	if (!op->state)
		return rfs_fail(err, EINVAL,
				"%s: without a state directory there is no "
				"merged view",
				disk->id);
	r = rfs_opener_check_host(op, disk, err);
	if (r == 0 && (op->renews || !take_changed))
		r = rfs_opener_check_devices(op, disk, op->renews, err);
	if (r < 0)
		return r;
	list = calloc(disk->ncopies + 1, sizeof(*list));
	name = rfs_disk_path(disk);
	if (!list || !name)
		return rfs_no_memory(err);
	for (size_t i = 0; i < disk->ncopies && r == 0; i++)
		r = open_candidate(op, disk, i, &list[i], &healed, err);
	config.id = disk->id;
	config.name = name;
	config.state = op->state;
	config.policy = policy_of(op->inv->site, disk->rule);
	config.policy.take_changed = take_changed;
	config.candidates = list;
	config.ncandidates = disk->ncopies;
	config.healed = healed.items;
	config.nhealed = healed.count;
	if (r == 0)
		r = rfs_view_open(&config, ret, err);
	for (size_t i = 0; i < disk->ncopies; i++)
		rfs_reader_unref(list[i].reader);
	rfs_opener_healed_fini(&healed);
	return r;
}

int rfs_opener_view(struct rfs_opener *op, const struct rfs_disk *disk,
		    struct rfs_view **ret, struct rfs_error *err)
{
	return open_view(op, disk, false, ret, err);
}

int rfs_opener_view_changed(struct rfs_opener *op, const struct rfs_disk *disk,
			    struct rfs_view **ret, struct rfs_error *err)
{
	return open_view(op, disk, true, ret, err);
}

static int refresh_view(struct rfs_view *view, bool force,
			struct rfs_error *err)
{
	int r = rfs_view_refresh(view, force, err);
	int closed = rfs_view_close(view, r < 0 ? NULL : err);

	return r < 0 ? r : closed;
}

/* With an opener of its own: what others have open of the disk's files stays
 * as it is. */
int rfs_opener_refresh(struct rfs_opener *op, const struct rfs_disk *disk,
		       bool force, struct rfs_error *err)
{
	struct rfs_opener *mine;
	struct rfs_view *view;
	bool was_open;
	int r;

	/* A changed file of a damaged source is not opened yet: what was
	 * rescued of it goes only if nothing was written above it. */
	was_open = open_view(op, disk, true, &view, err) == 0;
	r = was_open ? refresh_view(view, force, err)
		     : rfs_view_may_refresh(op->state, disk->id, force, err);
	if (r < 0)
		return r;
	r = rfs_opener_new(op->inv, op->state, &mine, err);
	if (r < 0)
		return r;
	mine->renews = true;
	r = open_view(mine, disk, true, &view, err);
	if (r == 0)
		r = was_open ? rfs_view_close(view, err)
			     : refresh_view(view, true, err);
	rfs_opener_free(mine);
	return r;
}

int rfs_opener_sync(struct rfs_opener *op, struct rfs_error *err)
{
	return op->state ? rfs_rescue_sync_all(op->state, err) : 0;
}

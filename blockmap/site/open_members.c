// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/open_members.h"

#include "core/cleanup.h"
#include "readers/readers.h"
#include "readers/rescue.h"

void rfs_opener_add(struct rfs_opener_members *m, struct rfs_reader *rd,
		    bool is_near)
{
	if (m->count == RFS_CHAIN_MEMBERS ||
	    (m->count && rfs_reader_size(rd) != rfs_reader_size(m->items[0]))) {
		rfs_reader_unref(rd);
		return;
	}
	m->near |= (uint64_t)is_near << m->count;
	m->items[m->count++] = rd;
}

int rfs_opener_equals(struct rfs_opener *op, struct rfs_reader *const *members,
		      size_t nmembers, uint64_t near, bool is_shared,
		      struct rfs_reader **ret, struct rfs_error *err)
{
	struct rfs_site *site = rfs_opener_inventory(op)->site;
	const struct rfs_heal_doubts doubts = {
		.state = rfs_opener_state(op),
		.notes = &site->notes,
		.compares = site->suspect == RFS_SUSPECT_COMPARE,
		.is_shared = is_shared,
		.near = near,
	};

	return rfs_heal_open_doubting(members, nmembers, &doubts, ret, err);
}

/* They hold the same bytes: the first one's. */
static int join(struct rfs_opener *op, const struct rfs_opener_members *m,
		struct rfs_reader **ret, struct rfs_error *err)
{
	const char *identity = rfs_reader_identity(m->items[0]);
	RFS_CLEANUP_READER struct rfs_reader *all = NULL;
	int r;

	r = rfs_opener_equals(op, m->items, m->count, m->near, m->is_shared,
			      &all, err);
	if (r == 0 && identity)
		r = rfs_reader_identify(all, identity, err);
	if (r == 0)
		*ret = RFS_STEAL(all);
	return r;
}

int rfs_opener_join(struct rfs_opener *op, struct rfs_opener_members *m,
		    struct rfs_reader **ret, struct rfs_error *err)
{
	int r = 0;

	if (m->count == 1)
		*ret = rfs_reader_ref(m->items[0]);
	else
		r = join(op, m, ret, err);
	for (size_t i = 0; i < m->count; i++)
		rfs_reader_unref(m->items[i]);
	return r;
}

int rfs_opener_alone(struct rfs_opener *op, bool is_shared,
		     struct rfs_reader **file, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *bare = *file;
	const struct rfs_opener_members m = {
		.items = { bare }, .count = 1, .near = 1, .is_shared = is_shared
	};

	*file = NULL;
	if (rfs_rescue_of(bare))
		return join(op, &m, file, err);
	*file = RFS_STEAL(bare);
	return 0;
}

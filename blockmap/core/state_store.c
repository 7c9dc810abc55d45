// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/state_store.h"

#include <errno.h>
#include <string.h>

#include "core/range.h"
#include "core/state_sql.h"

int rfs_state_store(struct rfs_state *st, const char *object,
		    struct rfs_store_row *ret, struct rfs_error *err)
{
	int64_t id, size = 0, absorbed = 0;
	sqlite3_stmt *s;
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_known_object(st, object, &id, err);
	if (r == 1) {
		s = rfs_state_statement(st, RFS_ST_STORE_FIND);
		sqlite3_bind_int64(s, 1, id);
		r = rfs_state_step(st, s, err);
		if (r == 1) {
			size = sqlite3_column_int64(s, 0);
			absorbed = sqlite3_column_int64(s, 1);
			sqlite3_reset(s);
		}
	}
	pthread_mutex_unlock(&st->mutex);
	if (r < 0)
		return r;
	if (r == 0)
		return rfs_fail(err, ENOENT, "nothing is kept of %s", object);
	if (size < 0 || absorbed < 0 || absorbed > INT64_MAX / 2)
		return rfs_fail(err, EBADMSG,
				"what the state says of the rescued store of "
				"%s makes no sense; put a copy of the state "
				"directory back, or 'rescuefs refresh'",
				object);
	*ret = (struct rfs_store_row){ (uint64_t)size, (uint64_t)absorbed };
	return 0;
}

int rfs_state_set_store(struct rfs_state *st, const char *object,
			struct rfs_store_row row, struct rfs_error *err)
{
	sqlite3_stmt *s;
	int64_t id;
	int r;

	r = rfs_state_object_id(st, object, &id, err);
	if (r < 0)
		return r;
	s = rfs_state_statement(st, RFS_ST_STORE_SET);
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)row.size);
	sqlite3_bind_int64(s, 3, (int64_t)row.absorbed);
	return rfs_state_step(st, s, err);
}

int rfs_state_begin_store(struct rfs_state *st, const char *object,
			  uint64_t size, struct rfs_error *err)
{
	const struct rfs_store_row row = { size, 0 };
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_set_store(st, object, row, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

static int forget(struct rfs_state *st, enum rfs_state_statement which,
		  int64_t id, struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, which);

	sqlite3_bind_int64(s, 1, id);
	if (which == RFS_ST_MAP_FORGET)
		sqlite3_bind_text(s, 2, RFS_STORE_MAP, -1, SQLITE_STATIC);
	return rfs_state_step(st, s, err);
}

int rfs_state_drop_store(struct rfs_state *st, const char *object,
			 struct rfs_error *err)
{
	static const enum rfs_state_statement what[] = { RFS_ST_MAP_FORGET,
							 RFS_ST_DIGESTS_FORGET,
							 RFS_ST_STORE_FORGET };
	int64_t id;
	int r;

	r = rfs_state_begin(st, err);
	if (r < 0)
		return r;
	r = rfs_state_object_id(st, object, &id, err);
	for (size_t i = 0; i < 3 && r == 0; i++)
		r = forget(st, what[i], id, err);
	if (r == 0)
		return rfs_state_end(st, true, err);
	rfs_state_end(st, false, NULL);
	return r;
}

/* A blob of another length is nobody's digests, and agrees with nothing. */
static int load_digests(struct rfs_state *st, int64_t id, uint64_t page,
			struct rfs_digests *ret, struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, RFS_ST_DIGESTS_FIND);
	int r;

	memset(ret, 0, sizeof(*ret));
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)page);
	r = rfs_state_step(st, s, err);
	if (r != 1)
		return r;
	if (sqlite3_column_bytes(s, 0) == (int)sizeof(*ret))
		memcpy(ret, sqlite3_column_blob(s, 0), sizeof(*ret));
	sqlite3_reset(s);
	return 0;
}

int rfs_state_digests(struct rfs_state *st, const char *object, uint64_t page,
		      struct rfs_digests *ret, struct rfs_error *err)
{
	int64_t id;
	int r;

	memset(ret, 0, sizeof(*ret));
	pthread_mutex_lock(&st->mutex);
	r = rfs_state_known_object(st, object, &id, err);
	if (r == 1)
		r = load_digests(st, id, page, ret, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

int rfs_state_set_digests(struct rfs_state *st, const char *object,
			  uint64_t page, uint64_t which,
			  const struct rfs_digests *digests,
			  struct rfs_error *err)
{
	struct rfs_digests all;
	sqlite3_stmt *s;
	int64_t id;
	int r;

	r = rfs_state_object_id(st, object, &id, err);
	if (r == 0)
		r = load_digests(st, id, page, &all, err);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < RFS_DIGESTS_PAGE; i++)
		if (which >> i & 1)
			all.items[i] = digests->items[i];
	s = rfs_state_statement(st, RFS_ST_DIGESTS_SET);
	sqlite3_bind_int64(s, 1, id);
	sqlite3_bind_int64(s, 2, (int64_t)page);
	sqlite3_bind_blob(s, 3, &all, sizeof(all), SQLITE_STATIC);
	return rfs_state_step(st, s, err);
}

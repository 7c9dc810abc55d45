// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/state.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/state_sql.h"
#include "core/vec.h"

static const char *const statement_text[RFS_ST_COUNT] = {
	[RFS_ST_SOURCE_FIND] = "SELECT id FROM source WHERE name = ?1",
	[RFS_ST_SOURCE_ADD] = "INSERT INTO source(name) VALUES (?1)",
	[RFS_ST_SOURCE_NAME] = "SELECT name FROM source WHERE id = ?1",
	[RFS_ST_FACT_FIND] = "SELECT value FROM fact WHERE object = ?1"
			     " AND key = ?2",
	[RFS_ST_FACT_SET] = "INSERT INTO fact(object, key, value)"
			    " VALUES (?1, ?2, ?3) ON CONFLICT(object, key)"
			    " DO UPDATE SET value = excluded.value",
	[RFS_ST_FACT_FORGET] =
		"DELETE FROM fact WHERE object = ?1 AND key = ?2",
	[RFS_ST_OBJECT_FIND] = "SELECT id FROM object WHERE name = ?1",
	[RFS_ST_OBJECT_ADD] = "INSERT INTO object(name) VALUES (?1)",
	[RFS_ST_OBJECTS] = "SELECT name FROM object"
			   " WHERE substr(name, 1, length(?1)) = ?1"
			   " ORDER BY name",
	[RFS_ST_PAGES] = "SELECT page, runs FROM map WHERE object = ?1"
			 " AND purpose = ?2 ORDER BY page",
	[RFS_ST_PAGE_SAVE] = "INSERT OR REPLACE INTO map(object, purpose, page,"
			     " runs) VALUES (?1, ?2, ?3, ?4)",
	[RFS_ST_PAGE_DROP] =
		"DELETE FROM map WHERE object = ?1 AND purpose = ?2"
		" AND page = ?3",
	[RFS_ST_MAP_FORGET] =
		"DELETE FROM map WHERE object = ?1 AND purpose = ?2",
	[RFS_ST_STORE_FIND] = "SELECT size, absorbed FROM store"
			      " WHERE object = ?1",
	[RFS_ST_STORE_SET] = "INSERT OR REPLACE INTO store(object, size,"
			     " absorbed) VALUES (?1, ?2, ?3)",
	[RFS_ST_STORE_FORGET] = "DELETE FROM store WHERE object = ?1",
	[RFS_ST_DIGESTS_FIND] = "SELECT digests FROM digest WHERE object = ?1"
				" AND page = ?2",
	[RFS_ST_DIGESTS_SET] = "INSERT OR REPLACE INTO digest(object, page,"
			       " digests) VALUES (?1, ?2, ?3)",
	[RFS_ST_DIGESTS_FORGET] = "DELETE FROM digest WHERE object = ?1",
};

/* What brings a database of each version to the next. */
static const char *const schema[RFS_STATE_VERSION] = {
	"CREATE TABLE source(id INTEGER PRIMARY KEY, name TEXT UNIQUE"
	" NOT NULL);"
	"CREATE TABLE object(id INTEGER PRIMARY KEY, name TEXT UNIQUE"
	" NOT NULL);"
	"CREATE TABLE fact(object TEXT NOT NULL, key TEXT NOT NULL,"
	" value TEXT NOT NULL, PRIMARY KEY(object, key)) WITHOUT ROWID;"
	"CREATE TABLE map(object INTEGER NOT NULL, purpose TEXT NOT NULL,"
	" page INTEGER NOT NULL, runs BLOB NOT NULL,"
	" PRIMARY KEY(object, purpose, page)) WITHOUT ROWID;",

	"CREATE TABLE store(object INTEGER PRIMARY KEY, size INTEGER NOT NULL,"
	" absorbed INTEGER NOT NULL);"
	"CREATE TABLE digest(object INTEGER NOT NULL, page INTEGER NOT NULL,"
	" digests BLOB NOT NULL, PRIMARY KEY(object, page)) WITHOUT ROWID;",

	/* Digests of data are others; those of before are still understood. */
	"",

	/* Maps tell what is suspect: who does not know them would serve it. */
	"",
};

static int sql_errno(sqlite3 *db, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_IOERR: /* which may be a file that cannot grow */
		return sqlite3_system_errno(db) == ENOSPC ? ENOSPC : EIO;
	case SQLITE_FULL:
		return ENOSPC;
	case SQLITE_NOMEM:
		return ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return EBADMSG;
	case SQLITE_READONLY:
		return EROFS;
	default:
		return EIO;
	}
}

static int sql_fail(struct rfs_state *st, const char *what,
		    struct rfs_error *err)
{
	int errnum = sql_errno(st->db, sqlite3_errcode(st->db));

	if (errnum == EBADMSG)
		return rfs_fail(err, errnum,
				"state %s: known.db is damaged (%s); put a "
				"copy of the whole directory back, or name "
				"another with --state",
				st->dir, sqlite3_errmsg(st->db));
	return rfs_fail(err, errnum, "state %s: %s: %s%s", st->dir, what,
			sqlite3_errmsg(st->db),
			errnum == ENOSPC ? "; make room on its disk" : "");
}

int rfs_state_run(struct rfs_state *st, const char *text, struct rfs_error *err)
{
	if (sqlite3_exec(st->db, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return sql_fail(st, "writing what is known", err);
}

/* Reset and bare; its texts are bound by the caller.  Prepared once. */
sqlite3_stmt *rfs_state_statement(struct rfs_state *st,
				  enum rfs_state_statement which)
{
	if (!st->statements[which])
		sqlite3_prepare_v3(st->db, statement_text[which], -1,
				   SQLITE_PREPARE_PERSISTENT,
				   &st->statements[which], NULL);
	else
		sqlite3_reset(st->statements[which]);
	return st->statements[which];
}

/* 1: a row is there, 0: done.  A done statement holds no lock. */
int rfs_state_step(struct rfs_state *st, sqlite3_stmt *s, struct rfs_error *err)
{
	int rc = s ? sqlite3_step(s) : SQLITE_ERROR, r;

	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE) {
		sqlite3_reset(s);
		return 0;
	}
	r = sql_fail(st, "reading or writing what is known", err);
	if (s)
		sqlite3_reset(s);
	return r;
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
	sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

/* The id of a name in one of the two name tables, made if it is new. */
static int name_id(struct rfs_state *st, enum rfs_state_statement find,
		   enum rfs_state_statement add, const char *name,
		   int64_t *ret_id, struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, find);
	int r;

	bind_text(s, 1, name);
	r = rfs_state_step(st, s, err);
	if (r == 1) {
		*ret_id = sqlite3_column_int64(s, 0);
		sqlite3_reset(s);
		return 0;
	}
	if (r < 0)
		return r;
	s = rfs_state_statement(st, add);
	bind_text(s, 1, name);
	r = rfs_state_step(st, s, err);
	if (r == 0)
		*ret_id = sqlite3_last_insert_rowid(st->db);
	return r;
}

int rfs_state_object_id(struct rfs_state *st, const char *name, int64_t *ret_id,
			struct rfs_error *err)
{
	return name_id(st, RFS_ST_OBJECT_FIND, RFS_ST_OBJECT_ADD, name, ret_id,
		       err);
}

/* The text in the first column of the first row; -ENOENT without one. */
static int take_text(struct rfs_state *st, sqlite3_stmt *s, char **ret,
		     struct rfs_error *err)
{
	const unsigned char *text;
	int r = rfs_state_step(st, s, err);

	if (r == 0)
		return rfs_fail(err, ENOENT, "not said");
	if (r < 0)
		return r;
	text = sqlite3_column_text(s, 0);
	*ret = strdup(text ? (const char *)text : "");
	sqlite3_reset(s);
	return *ret ? 0 : rfs_no_memory(err);
}

int rfs_state_source_id(struct rfs_state *st, const char *name,
			uint32_t *ret_id, struct rfs_error *err)
{
	int64_t id = 0;
	int r;

	pthread_mutex_lock(&st->mutex);
	r = name_id(st, RFS_ST_SOURCE_FIND, RFS_ST_SOURCE_ADD, name, &id, err);
	pthread_mutex_unlock(&st->mutex);
	if (r == 0 && (id <= 0 || id > INT32_MAX >> 8))
		r = rfs_fail(err, EBADMSG,
			     "state %s: source %s has the number "
			     "%" PRId64 ", which is out of bounds",
			     st->dir, name, id);
	if (r == 0)
		*ret_id = (uint32_t)id;
	return r;
}

int rfs_state_source_name(struct rfs_state *st, uint32_t id, char **ret_name,
			  struct rfs_error *err)
{
	sqlite3_stmt *s;
	int r;

	pthread_mutex_lock(&st->mutex);
	s = rfs_state_statement(st, RFS_ST_SOURCE_NAME);
	sqlite3_bind_int64(s, 1, id);
	r = take_text(st, s, ret_name, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

static int add_name(struct rfs_names *names, const unsigned char *text,
		    struct rfs_error *err)
{
	char *name = text ? strdup((const char *)text) : NULL;

	if (!name || RFS_VEC_ROOM(names) < 0) {
		free(name);
		return rfs_no_memory(err);
	}
	names->items[names->count++] = name;
	return 0;
}

int rfs_state_objects(struct rfs_state *st, const char *prefix,
		      struct rfs_names *ret, struct rfs_error *err)
{
	sqlite3_stmt *s;
	int r, added = 0;

	pthread_mutex_lock(&st->mutex);
	s = rfs_state_statement(st, RFS_ST_OBJECTS);
	bind_text(s, 1, prefix);
	while (added == 0 && (r = rfs_state_step(st, s, err)) == 1)
		added = add_name(ret, sqlite3_column_text(s, 0), err);
	if (added < 0) {
		sqlite3_reset(s);
		r = added;
	}
	pthread_mutex_unlock(&st->mutex);
	return r;
}

void rfs_names_fini(struct rfs_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct rfs_names){ 0 };
}

int rfs_state_fact(struct rfs_state *st, const char *object, const char *key,
		   char **ret_value, struct rfs_error *err)
{
	sqlite3_stmt *s;
	int r;

	pthread_mutex_lock(&st->mutex);
	s = rfs_state_statement(st, RFS_ST_FACT_FIND);
	bind_text(s, 1, object);
	bind_text(s, 2, key);
	r = take_text(st, s, ret_value, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

/* Runs a statement that gives no row, its parameters bound to 'texts'; the mutex
 * is held. */
static int step_texts(struct rfs_state *st, enum rfs_state_statement which,
		      const char *const *texts, int ntexts,
		      struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, which);

	for (int i = 0; i < ntexts; i++)
		bind_text(s, i + 1, texts[i]);
	return rfs_state_step(st, s, err);
}

static int run_texts(struct rfs_state *st, enum rfs_state_statement which,
		     const char *const *texts, int ntexts,
		     struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&st->mutex);
	r = step_texts(st, which, texts, ntexts, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

int rfs_state_set_fact(struct rfs_state *st, const char *object,
		       const char *key, const char *value,
		       struct rfs_error *err)
{
	const char *const texts[] = { object, key, value };

	return run_texts(st, RFS_ST_FACT_SET, texts, 3, err);
}

int rfs_state_set_facts(struct rfs_state *st, const struct rfs_fact *facts,
			size_t nfacts, struct rfs_error *err)
{
	int ended, r = rfs_state_begin(st, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < nfacts && r == 0; i++) {
		const char *const texts[] = { facts[i].object, facts[i].key,
					      facts[i].value };

		r = step_texts(st, RFS_ST_FACT_SET, texts, 3, err);
	}
	ended = rfs_state_end(st, r == 0, r < 0 ? NULL : err);
	return r < 0 ? r : ended;
}

int rfs_state_try_fact(struct rfs_state *st, const char *object,
		       const char *key, const char *value,
		       struct rfs_error *err)
{
	int r = rfs_state_set_fact(st, object, key, value, err);

	return r == -ENOSPC || r == -EROFS || r == -EIO ? 0 : r;
}

int rfs_state_forget_fact(struct rfs_state *st, const char *object,
			  const char *key, struct rfs_error *err)
{
	const char *const texts[] = { object, key };

	return run_texts(st, RFS_ST_FACT_FORGET, texts, 2, err);
}

int rfs_state_forget_map(struct rfs_state *st, const char *object,
			 const char *purpose, struct rfs_error *err)
{
	sqlite3_stmt *s;
	int64_t id;
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_object_id(st, object, &id, err);
	if (r == 0) {
		s = rfs_state_statement(st, RFS_ST_MAP_FORGET);
		sqlite3_bind_int64(s, 1, id);
		bind_text(s, 2, purpose);
		r = rfs_state_step(st, s, err);
	}
	pthread_mutex_unlock(&st->mutex);
	return r;
}

/* A map that was never saved has no object yet, and gets none by looking. */
int rfs_state_known_object(struct rfs_state *st, const char *object,
			   int64_t *ret_id, struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, RFS_ST_OBJECT_FIND);
	int r;

	bind_text(s, 1, object);
	r = rfs_state_step(st, s, err);
	if (r != 1)
		return r;
	*ret_id = sqlite3_column_int64(s, 0);
	sqlite3_reset(s);
	return 1;
}

static int each_page(struct rfs_state *st, int64_t id, const char *purpose,
		     int (*each)(uint64_t page, const void *blob, size_t len,
				 void *data, struct rfs_error *err),
		     void *data, struct rfs_error *err)
{
	sqlite3_stmt *s = rfs_state_statement(st, RFS_ST_PAGES);
	int64_t page;
	int r, n;

	sqlite3_bind_int64(s, 1, id);
	bind_text(s, 2, purpose);
	while ((r = rfs_state_step(st, s, err)) == 1) {
		page = sqlite3_column_int64(s, 0);
		n = sqlite3_column_bytes(s, 1);
		r = each(page < 0 ? UINT64_MAX : (uint64_t)page,
			 sqlite3_column_blob(s, 1), (size_t)n, data, err);
		if (r < 0)
			break;
	}
	if (s)
		sqlite3_reset(s);
	return r;
}

int rfs_state_load_pages(struct rfs_state *st, const char *object,
			 const char *purpose,
			 int (*each)(uint64_t page, const void *blob,
				     size_t len, void *data,
				     struct rfs_error *err),
			 void *data, struct rfs_error *err)
{
	int64_t id;
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_known_object(st, object, &id, err);
	if (r == 1)
		r = each_page(st, id, purpose, each, data, err);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

int rfs_state_begin(struct rfs_state *st, struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_run(st, "BEGIN IMMEDIATE", err);
	if (r < 0)
		pthread_mutex_unlock(&st->mutex);
	return r;
}

/* In WAL mode SQLite's NORMAL syncs nothing at a commit, and never leaves a
 * half one behind. */
int rfs_state_begin_softly(struct rfs_state *st, struct rfs_error *err)
{
	int r;

	pthread_mutex_lock(&st->mutex);
	r = rfs_state_run(st, "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
			  err);
	if (r == 0) {
		st->is_soft = true;
		return 0;
	}
	rfs_state_run(st, "PRAGMA synchronous = FULL", NULL);
	pthread_mutex_unlock(&st->mutex);
	return r;
}

static int end_softly(struct rfs_state *st, struct rfs_error *err)
{
	st->is_soft = false;
	st->has_soft = true;
	return rfs_state_run(st, "PRAGMA synchronous = FULL", err);
}

int rfs_state_settle(struct rfs_state *st, struct rfs_error *err)
{
	int r = 0, code;

	pthread_mutex_lock(&st->mutex);
	if (st->has_soft) {
		/* It syncs the log before it copies from there. */
		code = sqlite3_wal_checkpoint_v2(
			st->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
		if (code != SQLITE_OK && code != SQLITE_BUSY)
			r = rfs_fail(err, EIO, "%s/known.db: %s", st->dir,
				     sqlite3_errmsg(st->db));
		st->has_soft = r < 0;
	}
	pthread_mutex_unlock(&st->mutex);
	return r;
}

int rfs_state_save_page(struct rfs_state *st, const char *object,
			const char *purpose, uint64_t page, const void *blob,
			size_t len, struct rfs_error *err)
{
	sqlite3_stmt *s;
	int64_t id;
	int r;

	r = rfs_state_object_id(st, object, &id, err);
	if (r < 0)
		return r;
	s = rfs_state_statement(st, len ? RFS_ST_PAGE_SAVE : RFS_ST_PAGE_DROP);
	sqlite3_bind_int64(s, 1, id);
	bind_text(s, 2, purpose);
	sqlite3_bind_int64(s, 3, (int64_t)page);
	if (len)
		sqlite3_bind_blob64(s, 4, blob, len, SQLITE_STATIC);
	return rfs_state_step(st, s, err);
}

int rfs_state_end(struct rfs_state *st, bool commit, struct rfs_error *err)
{
	int r = rfs_state_run(st, commit ? "COMMIT" : "ROLLBACK", err);

	if (r < 0 && commit)
		rfs_state_run(st, "ROLLBACK", NULL);
	if (st->is_soft)
		r = end_softly(st, r < 0 ? NULL : err) < 0 && r == 0 ? -EIO : r;
	pthread_mutex_unlock(&st->mutex);
	return r;
}

static int get_version(struct rfs_state *st, int *ret, struct rfs_error *err)
{
	sqlite3_stmt *s = NULL;
	int r;

	sqlite3_prepare_v2(st->db, "PRAGMA user_version", -1, &s, NULL);
	r = rfs_state_step(st, s, err);
	if (r == 1) {
		*ret = sqlite3_column_int(s, 0);
		r = 0;
	}
	sqlite3_finalize(s);
	return r;
}

static int refuse_version(struct rfs_state *st, int version,
			  struct rfs_error *err)
{
	return rfs_fail(err, EPROTONOSUPPORT,
			"state %s has format version %d, this rescuefs "
			"knows %d; use the rescuefs that wrote it, or "
			"another --state",
			st->dir, version, RFS_STATE_VERSION);
}

static int refuse_empty(struct rfs_state *st, struct rfs_error *err)
{
	return rfs_fail(err, EBADMSG,
			"state %s: known.db is missing or empty, and data/ has "
			"what was written and rescued; put a copy of the whole "
			"directory back, or name another with --state",
			st->dir);
}

/* A new database gets its tables, an older one what it lacks. */
static int bring_up(struct rfs_state *st, int version, struct rfs_error *err)
{
	char text[64];
	int r;

	if (version == RFS_STATE_VERSION)
		return 0;
	snprintf(text, sizeof(text), "PRAGMA user_version = %d",
		 RFS_STATE_VERSION);
	r = rfs_state_run(st, "BEGIN IMMEDIATE", err);
	for (; r == 0 && version < RFS_STATE_VERSION; version++)
		r = rfs_state_run(st, schema[version], err);
	if (r == 0)
		r = rfs_state_run(st, text, err);
	if (r == 0)
		r = rfs_state_run(st, "COMMIT", err);
	return r;
}

/* Nothing is changed before it is clear that the database is ours: what its log
 * has must not go into it when it is closed. */
static int check_db(struct rfs_state *st, struct rfs_error *err)
{
	bool has_log;
	struct stat log;
	int version = 0, r;

	has_log = fstatat(st->dir_fd, "known.db-wal", &log, 0) == 0 &&
		  log.st_size > 0;
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log,
			  NULL);
	/* One process alone has it, so it needs no memory that is shared through
	 * a file: on a full disk that would be a SIGBUS. */
	r = rfs_state_run(st, "PRAGMA locking_mode = EXCLUSIVE", err);
	if (r == 0)
		r = get_version(st, &version, err);
	if (r < 0)
		return r;
	if (version < 0 || version > RFS_STATE_VERSION)
		return refuse_version(st, version, err);
	if (version == 0 && rfs_state_has_data(st))
		return refuse_empty(st, err);
	sqlite3_db_config(st->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	r = rfs_state_run(
		st, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;",
		err);
	if (r < 0)
		return r;
	/* The process before was killed, and may have had a sync that failed:
	 * the log is then not on the disk as it reads, and what comes behind
	 * it would be lost with it.  On a full disk it stays. */
	if (has_log)
		rfs_state_run(st, "PRAGMA wal_checkpoint(TRUNCATE)", NULL);
	return bring_up(st, version, err);
}

static int open_db(struct rfs_state *st, struct rfs_error *err)
{
	char path[4200];
	struct stat db;

	if (snprintf(path, sizeof(path), "%s/known.db", st->dir) >=
	    (int)sizeof(path))
		return rfs_fail(err, ENAMETOOLONG,
				"state directory: its name "
				"is too long");
	if ((stat(path, &db) < 0 ? errno == ENOENT : db.st_size == 0) &&
	    rfs_state_has_data(st))
		return refuse_empty(st, err);
	if (sqlite3_open_v2(path, &st->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
				    SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return sql_fail(st, "known.db cannot be opened", err);
	sqlite3_extended_result_codes(st->db, 1);
	sqlite3_busy_timeout(st->db, 10000);
	return check_db(st, err);
}

int rfs_state_open(const char *dir, const char *holder, struct rfs_state **ret,
		   struct rfs_error *err)
{
	struct rfs_state *st = calloc(1, sizeof(*st));
	int r;

	if (!st)
		return rfs_no_memory(err);
	st->dir_fd = st->lock_fd = -1;
	pthread_mutex_init(&st->mutex, NULL);
	st->dir = strdup(dir);
	r = st->dir ? rfs_state_open_dir(st, err) : rfs_no_memory(err);
	if (r == 0)
		r = rfs_state_take_lock(st, holder, err);
	if (r == 0)
		r = open_db(st, err);
	if (r < 0)
		rfs_state_close(st);
	else
		*ret = st;
	return r;
}

/* False too if that cannot be told. */
static bool is_empty(struct rfs_state *st)
{
	static const char any[] = "SELECT 1 FROM source UNION ALL "
				  "SELECT 1 FROM object UNION ALL "
				  "SELECT 1 FROM fact LIMIT 1";
	sqlite3_stmt *s = NULL;
	bool is;

	is = sqlite3_prepare_v2(st->db, any, -1, &s, NULL) == SQLITE_OK &&
	     sqlite3_step(s) == SQLITE_DONE;
	sqlite3_finalize(s);
	return is;
}

static void close_db(struct rfs_state *st)
{
	for (int i = 0; i < RFS_ST_COUNT; i++) {
		sqlite3_finalize(st->statements[i]);
		st->statements[i] = NULL;
	}
	sqlite3_close(st->db);
	st->db = NULL;
}

void rfs_state_close_unused(struct rfs_state *st)
{
	if (st && st->is_made && is_empty(st)) {
		close_db(st);
		rfs_state_remove_dir(st);
	}
	rfs_state_close(st);
}

void rfs_state_close(struct rfs_state *st)
{
	if (!st)
		return;
	close_db(st);
	/* The lock goes last: the next one must find all of it done. */
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	if (st->dir_fd >= 0)
		close(st->dir_fd);
	pthread_mutex_destroy(&st->mutex);
	free(st->dir);
	free(st);
}

/* SPDX-License-Identifier: GPL-3.0-or-later */
/* rescue.h - one file of a damaged source: read by its worker, each sector once.
 *
 * What was delivered is in the rescued store and comes from there for ever
 * after; what failed is remembered and is not asked for again; the rest is
 * asked for in requests that fall to single sectors around an error.
 *
 * What is known of a file is shared by all who have it open (by object), and
 * two who want the same unread sectors ask once.
 */
#ifndef RESCUEFS_READERS_RESCUE_H
#define RESCUEFS_READERS_RESCUE_H

#include "core/extmap.h"
#include "core/freshness.h"
#include "core/notes.h"
#include "core/reader.h"
#include "core/state.h"
#include "core/store.h"
#include "readers/worker.h"

/* What is known of a byte of the file.  Kept in the state under the purpose
 * "bad"; NOT and DONE are the absence of a record, told apart by the store. */
enum rfs_rescue_status {
	RFS_RESCUE_NOT = 0,  /* never asked for, or not kept */
	RFS_RESCUE_BAD = 1,  /* failed, touched twice: not asked for again */
	RFS_RESCUE_LATE = 2, /* the deadline passed; not waited for again */
	RFS_RESCUE_NEAR = 3, /* in a request that failed; not tried singly yet
				 (ddrescue's "non-trimmed") */
	RFS_RESCUE_EDGED =
		4, /* the same after its edges were read ("non-scraped") */
	RFS_RESCUE_DONE = 5,   /* in the store */
	RFS_RESCUE_SPOILT = 6, /* in the store, whose digest does not agree */
};

struct rfs_rescue;

struct rfs_rescue_config {
	struct rfs_state *state; /* NULL: nothing is kept beyond the process */
	struct rfs_worker *worker; /* reads it; both outlive it */
	struct rfs_worker *names;  /* measures it as it is opened */
	const char *object;	   /* "bm0002:/path": what it is in the state */
	const char *name;	   /* in messages; copied, as the object is */
	const struct rfs_origin *origin;
	struct rfs_notes *notes; /* may be NULL */
	enum rfs_store_mode store;
	/* A refresh: what failed may be asked for again, and if the file has
	 * changed since, what was rescued of it is dropped. */
	bool renew;
};

/* 'fd' belongs to it from the call on.  The same object opened twice is one. */
int rfs_rescue_open(const struct rfs_rescue_config *config, int fd,
		    struct rfs_rescue **ret, struct rfs_error *err);
struct rfs_rescue *rfs_rescue_ref(struct rfs_rescue *r);
struct rfs_rescue *rfs_rescue_unref(struct rfs_rescue *r); /* accepts NULL */

/* A reader of it for the foreground; takes its own reference. */
int rfs_rescue_reader(struct rfs_rescue *r, struct rfs_reader **ret,
		      struct rfs_error *err);

/* The one that a reader made by it reads, not referenced; NULL for any other
 * reader. */
struct rfs_rescue *rfs_rescue_of(const struct rfs_reader *rd);

uint64_t rfs_rescue_size(const struct rfs_rescue *r);
struct rfs_generation rfs_rescue_generation(const struct rfs_rescue *r);
const char *rfs_rescue_name(const struct rfs_rescue *r);
const char *rfs_rescue_object(const struct rfs_rescue *r);
/* The smallest request that the medium takes, in bytes. */
unsigned int rfs_rescue_granule(const struct rfs_rescue *r);

/* The run at 'off' of one enum rfs_rescue_status, cut to 'within'. */
struct rfs_run rfs_rescue_find(struct rfs_rescue *r, uint64_t off,
			       struct rfs_range within);

/* What came of comparing a byte of the file with other copies of it, which should
 * hold the same (heal_doubt.c).  Kept in the state under the purpose "suspect", as
 * the view that was served must not change (P4).  Beyond these two the number says
 * who was believed and who was not, see rfs_verdict. */
enum rfs_rescue_verdict {
	RFS_VERDICT_NONE = 0, /* not compared yet */
	RFS_VERDICT_OWN = 1,  /* this file's byte counts, undoubted */
};

/* A byte that the copies do not agree on: the state's numbers, 1 to 65535, of the
 * source that was believed, and of one that said otherwise. */
struct rfs_verdict {
	uint32_t giver, suspect;
};

#define RFS_VERDICT_SOURCES UINT32_C(0xffff)

static inline uint32_t rfs_verdict_pack(struct rfs_verdict v)
{
	return v.giver << 16 | v.suspect;
}

static inline struct rfs_verdict rfs_verdict_unpack(uint32_t value)
{
	return (struct rfs_verdict){ value >> 16, value & RFS_VERDICT_SOURCES };
}

/* The run at 'off' of one verdict, cut to 'within'. */
struct rfs_run rfs_rescue_verdict(struct rfs_rescue *r, uint64_t off,
				  struct rfs_range within);

/* Appends what of 'range' the copies do not agree on.  -ENOMEM. */
int rfs_rescue_suspects(struct rfs_rescue *r, struct rfs_range range,
			struct rfs_ranges *out);

/* Gives a verdict where there is none yet: that of whoever was first stands. */
int rfs_rescue_judge(struct rfs_rescue *r, struct rfs_range range,
		     uint32_t value, struct rfs_error *err);

/* Keeps the verdicts, as rfs_rescue_keep the statuses. */
int rfs_rescue_keep_verdicts(struct rfs_rescue *r, struct rfs_error *err);

/* Forgets the verdicts, so that the copies are compared anew. */
int rfs_rescue_forget_verdicts(struct rfs_rescue *r, struct rfs_error *err);

/* Records a status, not DONE nor SPOILT, for what is not in the store. */
int rfs_rescue_set(struct rfs_rescue *r, struct rfs_range range,
		   enum rfs_rescue_status status, struct rfs_error *err);

/* Keeps bytes that were read off the same file elsewhere; 'range' lies in it.
 * What is kept already stays as it is. */
int rfs_rescue_put(struct rfs_rescue *r, struct rfs_range range,
		   const void *buf, struct rfs_error *err);

/* Reads what is kept, all of 'range': as rfs_store_read. */
int rfs_rescue_kept(struct rfs_rescue *r, struct rfs_range range, void *buf,
		    struct rfs_error *err);

/* Keeps the statuses, so that they outlive the process; a power cut they do
 * after the next sync. */
int rfs_rescue_keep(struct rfs_rescue *r, struct rfs_error *err);

/* Keeps what was learned; the store is safe when it returns. */
int rfs_rescue_sync(struct rfs_rescue *r, struct rfs_error *err);

/* The same for all that are open with this state; the first error is told, and
 * the others are synced all the same. */
int rfs_rescue_sync_all(const struct rfs_state *state, struct rfs_error *err);

/* True if the device of a file of this source that is open is gone (device.h).
 * Asks nothing of it. */
bool rfs_rescue_source_is_gone(const struct rfs_state *state,
			       const struct rfs_origin *origin);

/* BAD, LATE and the like may be asked for again; what is SPOILT, too.  What is
 * in the store stays. */
int rfs_rescue_forgive(struct rfs_rescue *r, struct rfs_error *err);

struct rfs_rescue_totals {
	uint64_t bytes[RFS_RESCUE_SPOILT + 1]; /* by status */
	uint64_t suspect; /* of those delivered, as rfs_rescue_verdict says */
};

void rfs_rescue_totals(struct rfs_rescue *r, struct rfs_rescue_totals *ret);

/* The same of an object, whether or not it is open: else by the state, and the
 * file itself is not touched.  -ENOENT: nothing is known of it.  -EBADMSG: what
 * is kept of it makes no sense. */
int rfs_rescue_known(struct rfs_state *state, const char *object,
		     struct rfs_rescue_totals *ret, struct rfs_error *err);

/* rfs_store_verify of an object's store, whether or not it is open; the file
 * itself is not touched.  -ENOENT: nothing of it is kept.  Nobody opens a file
 * meanwhile, so 'most' is to be a moment's work. */
int rfs_rescue_verify(struct rfs_state *state, const char *object, uint64_t *at,
		      uint64_t most, struct rfs_ranges *bad, uint64_t *checked,
		      struct rfs_error *err);

/* Reads what is kept of an object, whether or not it is open; the file itself is not
 * touched.  *ret_len: the bytes from the start of 'range' that are all kept, and
 * then in 'buf', or all not, or damaged.  'range' is not empty, and short, as above.
 * -ENOENT: nothing of it is kept. */
int rfs_rescue_stored(struct rfs_state *state, const char *object,
		      struct rfs_range range, void *buf, uint64_t *ret_len,
		      bool *ret_kept, struct rfs_error *err);

#endif /* RESCUEFS_READERS_RESCUE_H */

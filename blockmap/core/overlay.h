/* SPDX-License-Identifier: GPL-3.0-or-later */
/* overlay.h - what the user wrote to a disk.
 *
 * A sparse file with each byte at its own place, and a map that says which
 * bytes of it count, to the byte: no write ever needs what was there before.
 * The file is on the disk before the map that speaks of it.
 *
 * Safe from many threads.
 */
#ifndef RESCUEFS_CORE_OVERLAY_H
#define RESCUEFS_CORE_OVERLAY_H

#include "core/extmap.h"
#include "core/state.h"

struct rfs_overlay;

/* The fact that holds the size that the user gave the disk. */
#define RFS_OVERLAY_SIZE_FACT "size"

enum rfs_overlay_value {
	RFS_OVERLAY_NONE = 0, /* not written: the merge has it */
	RFS_OVERLAY_DATA = 1,
	RFS_OVERLAY_ZERO = 2, /* punched, or grown */
};

/* 'base_size' is the disk's size as long as nobody changes it. */
int rfs_overlay_open(const char *id, struct rfs_state *state,
		     uint64_t base_size, struct rfs_overlay **ret,
		     struct rfs_error *err);
void rfs_overlay_close(struct rfs_overlay *o);

uint64_t rfs_overlay_size(struct rfs_overlay *o);
uint64_t rfs_overlay_allocated(struct rfs_overlay *o);
uint64_t rfs_overlay_version(struct rfs_overlay *o);
bool rfs_overlay_is_written(struct rfs_overlay *o);

/* The run at 'off', cut to 'within': value is enum rfs_overlay_value. */
struct rfs_run rfs_overlay_find(struct rfs_overlay *o, uint64_t off,
				struct rfs_range within);

/* For ranges that are DATA. */
int rfs_overlay_read(struct rfs_overlay *o, struct rfs_range range, void *buf,
		     struct rfs_error *err);

int rfs_overlay_write(struct rfs_overlay *o, struct rfs_range range,
		      const void *buf, struct rfs_error *err);
int rfs_overlay_punch(struct rfs_overlay *o, struct rfs_range range,
		      struct rfs_error *err);
int rfs_overlay_truncate(struct rfs_overlay *o, uint64_t size,
			 struct rfs_error *err);
int rfs_overlay_sync(struct rfs_overlay *o, struct rfs_error *err);
int rfs_overlay_reset(struct rfs_overlay *o, struct rfs_error *err);

#endif /* RESCUEFS_CORE_OVERLAY_H */

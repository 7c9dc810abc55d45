/* SPDX-License-Identifier: GPL-3.0-or-later */
/* handle.h - an open file, whatever it is made of.
 *
 * A handle belongs to the kernel's open file and may be used from many threads
 * at once: nothing in it changes until it is closed.
 */
#ifndef RESCUEFS_FS_HANDLE_H
#define RESCUEFS_FS_HANDLE_H

#include "fs/front.h"
#include "fs/image.h"
#include "fs/opened.h"
#include "fs/text.h"

/* One of view, reader and text is set.  Close it with rfs_opened_close. */
struct rfs_handle {
	struct rfs_opened opened;
	struct rfs_image *image; /* of the view, else NULL */
	struct rfs_view *view;
	struct rfs_reader *reader; /* a reference of its own */
	struct rfs_rendering *text;
	/* The page cache is left out, whoever reads: nothing is read that was
	 * not asked for, a read may give less than was asked for, and what one
	 * read(2) asks for comes in order.  A program that opens other files
	 * with O_DIRECT leaves the cache out by itself, and is then asked for
	 * in several requests at a time. */
	bool is_direct;
};

/* 'flags' as for open(2).  Errors: -EROFS, -EISDIR, -EACCES for special files,
 * -EIO if no source can be opened. */
int rfs_handle_open(struct rfs_front *front, const struct rfs_node *node,
		    int flags, struct rfs_handle **ret, struct rfs_error *err);
uint64_t rfs_handle_size(const struct rfs_handle *h);

/* Reads what there is of 'range'; *ret_len is 0 at the end of the file.  On a
 * direct handle bytes that cannot be read end the read before them; -EIO if
 * the first one cannot be.  On others any such byte is -EIO: the kernel would
 * take a short read for the end of the file and show zeros (P2). */
int rfs_handle_read(const struct rfs_handle *h, struct rfs_range range,
		    void *buf, size_t *ret_len, struct rfs_error *err);

/* Where the bytes of 'range' lie, if they can be taken from files without a look
 * at them.  Any error, here or from the second call, to be made when they are at
 * hand: the range is to be read. */
int rfs_handle_pieces(const struct rfs_handle *h, struct rfs_range range,
		      struct rfs_taking *ret);
int rfs_handle_taken(const struct rfs_handle *h,
		     const struct rfs_taking *taking, struct rfs_error *err);

/* lseek(2) with SEEK_DATA or SEEK_HOLE.  What is not known to be a hole is
 * data (P3). */
int rfs_handle_seek(const struct rfs_handle *h, uint64_t off, int whence,
		    uint64_t *ret_off, struct rfs_error *err);

/* fallocate(2) with 'mode' on an image; -EOPNOTSUPP for what is but a wish. */
int rfs_handle_fallocate(struct rfs_view *view, int mode,
			 struct rfs_range range, struct rfs_error *err);

#endif /* RESCUEFS_FS_HANDLE_H */

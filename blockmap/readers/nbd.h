/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nbd.h - disks that are exports of an NBD server.
 *
 * Nobody waits for a server longer than the deadline, and only once: a request
 * that misses it is passed over (-ETIMEDOUT), and while nothing comes from the
 * server so is every other.  A connection that drops is made again at once; if
 * that fails, again and again with growing pauses, while requests are refused
 * with -ETIMEDOUT and the next source serves.
 *
 * The protocol is nbd's "doc/proto.md"; libnbd speaks it.  Nothing is ever
 * written: only read and block status commands are sent.
 */
#ifndef RESCUEFS_READERS_NBD_H
#define RESCUEFS_READERS_NBD_H

#include "core/notes.h"
#include "core/reader.h"

struct rfs_nbd_config {
	const char *uri; /* "nbd://host", "nbd+unix:///?socket=...", "nbds:" */
	const char *export; /* its name; "" is the server's default */
	const char *name;   /* in messages */
	const struct rfs_origin *origin;
	struct rfs_notes *notes; /* outlives the reader; may be NULL */
	unsigned int deadline_ms;
	unsigned int connect_ms; /* to connect; 0: the deadline */
	/* Not NULL: no server is connected to but one started, a qemu-nbd that
	 * serves this; it reads from 'image_fd', which belongs to the reader
	 * from the call on, also when it fails. */
	const char *image;
	int image_fd;
	/* And for it, what its secret "password" is; NULL: none. */
	const char *password;
	bool password_is_base64;
};

/* Connects, which may take as long as 'connect_ms'.  The strings are copied. */
int rfs_nbd_open(const struct rfs_nbd_config *config, struct rfs_reader **ret,
		 struct rfs_error *err);

/* A format that qemu-nbd reads for us. */
bool rfs_is_foreign_format(const char *format);

/* One that needs a password. */
bool rfs_is_sealed_format(const char *format);

/* The disk in an image of such a format, read by a qemu-nbd that ends with the
 * reader.  'fd' belongs to the reader from the call on, also when it fails.
 * -ENOTSUP: the image would lead to other files.  'password' may be NULL. */
int rfs_foreign_open(int fd, const char *format, const char *password,
		     const char *name, const struct rfs_origin *origin,
		     struct rfs_notes *notes, struct rfs_reader **ret,
		     struct rfs_error *err);

/* The same of an image that QEMU must not read itself: it gets the bytes of 'file'
 * from us (readers/nbd_lend.h), of which the reader takes a reference.  No read of
 * it takes longer than 'deadline_ms'; 0: none is told.  What was not waited for
 * is -ETIMEDOUT, as in any reader. */
int rfs_foreign_lend(struct rfs_reader *file, unsigned int deadline_ms,
		     const char *format, const char *password, const char *name,
		     const struct rfs_origin *origin, struct rfs_notes *notes,
		     struct rfs_reader **ret, struct rfs_error *err);

/* What QEMU makes of an image, or of a chain of them: 'image' is "json:{...}",
 * which names files as /proc/PID/fd/N of ours, and which the caller has seen to
 * name no others.  For whoever can wait: its deadline is a minute.  -ENOENT:
 * there is no qemu-nbd. */
int rfs_qemu_open(const char *image, const char *name, struct rfs_reader **ret,
		  struct rfs_error *err);

/* An image that QEMU finds by itself, in a cluster: 'config' has in 'image' the
 * "json:{...}" that says where, of checked parts, and no 'image_fd'. */
int rfs_remote_open(const struct rfs_nbd_config *config,
		    struct rfs_reader **ret, struct rfs_error *err);

struct rfs_nbd_export {
	char *name;
	uint64_t size; /* 0: the server does not tell */
};

/* Zero it to begin. */
struct rfs_nbd_exports {
	struct rfs_nbd_export *items;
	size_t count, room;
};

/* What the server has; only the one that the URI names, if it names one.
 * Waits for 'wait_ms' at the most. */
int rfs_nbd_list(const char *uri, unsigned int wait_ms,
		 struct rfs_nbd_exports *ret, struct rfs_error *err);
void rfs_nbd_exports_fini(struct rfs_nbd_exports *list);

/* True for a text that is a URI of NBD: "nbd://...", "nbds+unix://...". */
bool rfs_is_nbd_uri(const char *text);

#endif /* RESCUEFS_READERS_NBD_H */

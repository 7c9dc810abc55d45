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

/*
 * How connections are.
 */

enum rfs_nbd_state {
	RFS_NBD_CONNECTED,
	RFS_NBD_CONNECTING, /* those who want something wait for it */
	RFS_NBD_LOST,	    /* tried again after a pause; nobody waits */
	RFS_NBD_ASIDE,	    /* it missed a deadline; nobody asks for a while */
};

const char *rfs_nbd_state_name(enum rfs_nbd_state state);

struct rfs_nbd_health {
	const char *name; /* the reader's, good during the call */
	enum rfs_nbd_state state;
	int64_t since_ns; /* CLOCK_REALTIME when that began */
	int64_t again_ns; /* until it is tried again; 0: now, or there is no need */
	int64_t pause_ns; /* how long that pause is from end to end; 0: none */
	uint64_t drops;	  /* connections that were there and are no more */
	uint64_t missed;  /* requests that were not answered in time */
};

/* The connections that are open for one source, say; outlives them. */
struct rfs_nbd_watch;

/* NULL: no memory. */
struct rfs_nbd_watch *rfs_nbd_watch_new(void);
void rfs_nbd_watch_free(struct rfs_nbd_watch *watch);

/* Calls 'each' for all of them, in the order of their making, from any thread and
 * under the lock.  Waits for no server. */
void rfs_nbd_watch_each(struct rfs_nbd_watch *watch,
			void (*each)(const struct rfs_nbd_health *health,
				     void *data),
			void *data);

/*
 * Readers.
 */

struct rfs_nbd_config {
	const char *uri; /* "nbd://host", "nbd+unix:///?socket=...", "nbds:" */
	const char *export; /* its name; "" is the server's default */
	const char *name;   /* in messages */
	const struct rfs_origin *origin;
	struct rfs_notes *notes;     /* outlives the reader; may be NULL */
	struct rfs_nbd_watch *watch; /* so does this one; may be NULL */
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
 * 'as' has the name, the origin, the notes, the watch and the password, and
 * nothing else.  -ENOTSUP: the image would lead to other files. */
int rfs_foreign_open(int fd, const char *format,
		     const struct rfs_nbd_config *as, struct rfs_reader **ret,
		     struct rfs_error *err);

/* The same of an image that QEMU must not read itself: it gets the bytes of 'file'
 * from us (readers/nbd_lend.h), of which the reader takes a reference.  No read of
 * it takes longer than the deadline in 'as'; 0: none is told.  What was not waited
 * for is -ETIMEDOUT, as in any reader. */
int rfs_foreign_lend(struct rfs_reader *file, const char *format,
		     const struct rfs_nbd_config *as, struct rfs_reader **ret,
		     struct rfs_error *err);

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

/* A parameter of such a URI that names a file by a path which does not begin with a
 * slash, as "socket"; NULL if all do. */
const char *rfs_nbd_uri_relative(const char *uri);

#endif /* RESCUEFS_READERS_NBD_H */

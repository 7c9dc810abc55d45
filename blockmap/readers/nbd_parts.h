/* SPDX-License-Identifier: GPL-3.0-or-later */
/* nbd_parts.h - what a connection consists of; for nbd_link.c, which is called
 * by those who want something, and nbd_serve.c, its thread. */
#ifndef RESCUEFS_READERS_NBD_PARTS_H
#define RESCUEFS_READERS_NBD_PARTS_H

#include <pthread.h>
#include <stdlib.h>
#include <sys/types.h>

#include "readers/nbd_link.h"
#include "readers/nbd_retry.h"

#define MS_NS RFS_NBD_MS
/* A second that unmounting may take, of the two that it has. */
#define END_MS 1000

/* And of these, what a program of ours has to end by itself. */
#define PROGRAM_END_MS 500

/* What a request may carry, whatever the server would take. */
#define REQUEST_MAX (1u << 20)
#define STATUS_MAX  (UINT32_C(1) << 31)

enum rfs_nbd_mood {
	LINK_UP,
	LINK_TRYING, /* connecting: requests wait for it */
	LINK_AWAY,   /* it failed before: requests are refused meanwhile */
};

struct rfs_nbd_request {
	struct rfs_nbd_request *next;
	struct rfs_nbd_link *link;
	struct rfs_range range;
	bool is_status;
	unsigned char *buf;	    /* of a read; owned */
	struct rfs_extents extents; /* of a status */
	int64_t issued_ns;
	unsigned int tries;
	/* Guarded by the link's lock. */
	unsigned int refs; /* who waits, and the thread */
	bool is_done;
	bool is_left; /* nobody waits for it any more */
	int result;
};

struct rfs_nbd_link {
	char *uri, *export, *name;
	char *image; /* what a qemu-nbd of our own serves, or NULL */
	int image_fd;
	int secret_fd; /* a password for it, or -1 */
	bool secret_is_base64;
	struct rfs_notes *notes;
	struct rfs_nbd_watch *watch; /* or NULL */
	struct rfs_nbd_link *next;   /* of the watch's, under its lock */
	int64_t deadline_ns;
	int64_t connect_ns; /* how long an attempt to connect may take */
	int wake; /* eventfd: there is something to do for the thread */
	pthread_t thread;

	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t changed;
	unsigned int refs; /* the owner, and the thread */
	bool stop;
	enum rfs_nbd_mood mood;
	bool is_known;	 /* 'facts' are */
	bool has_failed; /* the first attempt did; 'why' says how */
	struct rfs_error why;
	struct rfs_nbd_facts facts;
	struct rfs_nbd_request *queue;	/* not sent yet, in order */
	struct rfs_nbd_request *flying; /* sent */
	int64_t heard_ns; /* when the server last answered anything */
	int64_t aside_ns; /* until then nobody asks: it missed a deadline */
	struct rfs_nbd_retry
		retry; /* changed by the thread alone, but for pauses */
	/* For whoever asks how it is. */
	enum rfs_nbd_state told; /* what 'since_ns' is of */
	int64_t since_ns;	 /* CLOCK_REALTIME */
	uint64_t drops, missed;

	/* The thread's alone. */
	struct nbd_handle *nbd;
	pid_t program;	  /* that serves 'image', or 0 */
	int64_t begun_ns; /* when the attempt to connect began */
	bool has_chosen;  /* the export was asked for */
	bool asks_whole;  /* for answers in one piece */
};

/* Under the link's lock, as the next one. */
static inline void rfs_nbd_request_unref(struct rfs_nbd_request *q)
{
	if (--q->refs)
		return;
	rfs_extents_fini(&q->extents);
	free(q->buf);
	free(q);
}

static inline void rfs_nbd_append(struct rfs_nbd_request **list,
				  struct rfs_nbd_request *q)
{
	while (*list)
		list = &(*list)->next;
	q->next = NULL;
	*list = q;
}

/* Under the link's lock, after its mood changed, or that it is set aside. */
void rfs_nbd_link_changed(struct rfs_nbd_link *link);

/* 'link' is one of its watch's, if it has one, until it is taken out. */
void rfs_nbd_watch_add(struct rfs_nbd_link *link);
void rfs_nbd_watch_remove(struct rfs_nbd_link *link);

/* Called by the thread that has just started the link's program: finds out which
 * it is. */
void rfs_nbd_program_find(struct rfs_nbd_link *link);
/* Ends it, if there is one, also if it waits for something itself.  It is still
 * to be waited for. */
void rfs_nbd_program_end(struct rfs_nbd_link *link);

/* The thread; its data is the link, of which it drops a reference. */
void *rfs_nbd_serve(void *data);
void rfs_nbd_link_unref(struct rfs_nbd_link *link);

#endif /* RESCUEFS_READERS_NBD_PARTS_H */

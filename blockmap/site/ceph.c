// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/ceph.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/vec.h"
#include "site/names.h"
#include "site/password.h"
#include "site/volumes.h"

/* Starting a program and finding a cluster takes longer than an answer. */
#define CONNECT_MS 5000

/* What the images of a source may take to tell their sizes before it comes up
 * without them. */
#define LIST_NS INT64_C(10000000000)

#define PART_MAX 255

#define DEFAULT_CONF "/etc/ceph/ceph.conf"
#define DEFAULT_USER "admin"

#define WORDS "\t\n\v\f\r "

/* An image's name in its parts; they are of one text. */
struct image {
	char *text;
	const char *pool, *space, *name, *snapshot; /* NULL: not said */
};

static bool is_part(const char *part)
{
	size_t len = strlen(part);

	if (!len || len > PART_MAX || strpbrk(part, "/@"))
		return false;
	for (const char *p = part; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return false;
	return true;
}

/* The caller frees ret->text. */
static int split_image(const char *word, size_t len, struct image *ret,
		       struct rfs_error *err)
{
	struct image i = { .text = strndup(word, len) };
	char *at, *slash, *last;
	bool fits;

	if (!i.text)
		return rfs_no_memory(err);
	i.pool = i.text;
	at = strchr(i.text, '@');
	if (at) {
		*at = '\0';
		i.snapshot = at + 1;
	}
	slash = strchr(i.text, '/');
	last = strrchr(i.text, '/');
	if (slash) {
		*slash = *last = '\0';
		i.name = last + 1;
	}
	if (slash != last)
		i.space = slash + 1;
	fits = i.name && is_part(i.pool) && is_part(i.name) &&
	       (!i.space || is_part(i.space)) &&
	       (!i.snapshot || is_part(i.snapshot));
	if (fits) {
		*ret = i;
		return 0;
	}
	free(i.text);
	return rfs_fail(err, EINVAL,
			"rbd = %.*s: is not POOL/IMAGE, POOL/NAMESPACE/IMAGE, "
			"or one of these and @SNAPSHOT",
			(int)len, word);
}

/* The next word of a list, or NULL; its length is in *len. */
static const char *next_word(const char *list, size_t *len)
{
	list += strspn(list, WORDS);
	*len = strcspn(list, WORDS);
	return *len ? list : NULL;
}

static bool is_among(const char *list, const char *end, const char *word,
		     size_t len)
{
	size_t n;

	for (const char *w = list; (w = next_word(w, &n)) && w < end; w += n)
		if (n == len && !strncmp(w, word, n))
			return true;
	return false;
}

static int check_images(const char *list, struct rfs_error *err)
{
	struct image image;
	size_t len;
	int r = 0;

	for (const char *w = list; r == 0 && (w = next_word(w, &len));
	     w += len) {
		r = split_image(w, len, &image, err);
		if (r < 0)
			return r;
		free(image.text);
		if (is_among(list, w, w, len))
			r = rfs_fail(err, EINVAL, "rbd = %.*s: is said twice",
				     (int)len, w);
	}
	return r;
}

static int check_user(const char *user, struct rfs_error *err)
{
	size_t len = strspn(user, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "abcdefghijklmnopqrstuvwxyz0123456789._-");

	if (len && len <= PART_MAX && !user[len] &&
	    strncmp(user, "client.", 7) != 0)
		return 0;
	return rfs_fail(err, EINVAL,
			"ceph_user = %s: is not a name, without 'client.'",
			user);
}

int rfs_ceph_check(const struct rfs_source_spec *spec, struct rfs_error *err)
{
	int r;

	if (!spec->rbd) {
		if (!spec->ceph_conf && !spec->ceph_user && !spec->ceph_keyring)
			return 0;
		return rfs_fail(err, EINVAL,
				"ceph_conf, ceph_user and ceph_keyring are for "
				"images in a cluster: say 'rbd = POOL/IMAGE'");
	}
	if (spec->kind == RFS_DAMAGED)
		return rfs_fail(err, EINVAL,
				"rbd = %s: a damaged source is read directly; "
				"images in a cluster are of a live source or a "
				"backup",
				spec->rbd);
	if (spec->nbd)
		return rfs_fail(err, EINVAL,
				"'nbd' and 'rbd' are both said; give them "
				"sources of their own");
	r = check_images(spec->rbd, err);
	if (r == 0 && spec->ceph_user)
		r = check_user(spec->ceph_user, err);
	return r;
}

static int take(char **field, const char *value)
{
	*field = value ? strdup(value) : NULL;
	return value && !*field ? -1 : 0;
}

int rfs_ceph_take(struct rfs_source *source, const struct rfs_source_spec *spec)
{
	if (take(&source->rbd, spec->rbd) < 0 ||
	    take(&source->ceph_conf, spec->ceph_conf) < 0 ||
	    take(&source->ceph_user, spec->ceph_user) < 0)
		return -1;
	return take(&source->ceph_keyring, spec->ceph_keyring);
}

void rfs_ceph_drop(struct rfs_source *source)
{
	free(source->rbd);
	free(source->ceph_conf);
	free(source->ceph_user);
	free(source->ceph_keyring);
}

const char *rfs_ceph_snapshot(const struct rfs_source *source)
{
	const char *at = strchr(source->rbd, '@');

	return at && !strpbrk(source->rbd, WORDS) ? at + 1 : "";
}

char *rfs_ceph_disk_name(const char *image)
{
	const char *slash = strrchr(image, '/');
	const char *own = slash ? slash + 1 : image;
	char *name = strndup(own, strcspn(own, "@"));
	char *low = name ? strchr(name, '_') : NULL;
	char uuid[RFS_UUID_TEXT];

	if (!low || strncmp(low, "_disk", 5) != 0)
		return name;
	*low = '\0';
	*low = rfs_uuid_normal(name, uuid) ? '/' : '_';
	return name;
}

/* What qemu-nbd is to open; the caller frees it. */
static int describe(const struct rfs_source *source, const char *image,
		    char **ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *json = NULL;
	struct image i;
	json_t *root;
	int r = split_image(image, strlen(image), &i, err);

	if (r < 0)
		return r;
	root = json_pack(
		"{s:s, s:b, s:s, s:s*, s:s, s:s*, s:s, s:s, s:s*}", "driver",
		"rbd", "read-only", 1, "pool", i.pool, "namespace", i.space,
		"image", i.name, "snapshot", i.snapshot, "conf",
		source->ceph_conf ? source->ceph_conf : DEFAULT_CONF, "user",
		source->ceph_user ? source->ceph_user : DEFAULT_USER,
		"key-secret", source->ceph_keyring ? "password" : NULL);
	json = root ? json_dumps(root, JSON_COMPACT) : NULL;
	json_decref(root);
	free(i.text);
	if (!json)
		return rfs_fail(err, EINVAL, "%s: is no UTF-8", image);
	return asprintf(ret, "json:%s", json) < 0 ? rfs_no_memory(err) : 0;
}

/* What it says itself of a file that is not there is in the log alone. */
static int check_conf(const struct rfs_source *source, struct rfs_error *err)
{
	int fd = rfs_volume_open(
		NULL, source->ceph_conf ? source->ceph_conf : DEFAULT_CONF,
		err);

	if (fd < 0)
		return rfs_context(err, fd, "ceph_conf");
	close(fd);
	return 0;
}

static unsigned int connect_ms(unsigned int deadline_ms)
{
	return deadline_ms > CONNECT_MS ? deadline_ms : CONNECT_MS;
}

int rfs_ceph_open(const struct rfs_source *source, const char *image,
		  const struct rfs_nbd_config *config, struct rfs_reader **ret,
		  struct rfs_error *err)
{
	const char *user = source->ceph_user ? source->ceph_user : DEFAULT_USER;
	RFS_CLEANUP_FREE char *json = NULL;
	struct rfs_nbd_config own = *config;
	char *key = NULL;
	int r = check_conf(source, err);

	if (r == 0)
		r = describe(source, image, &json, err);
	if (r == 0 && source->ceph_keyring)
		r = rfs_ceph_key(source->ceph_keyring, user, &key, err);
	if (r < 0)
		return r;
	own.uri = own.export = "";
	own.connect_ms = connect_ms(config->deadline_ms);
	own.image = json;
	own.image_fd = -1;
	own.password = key;
	own.password_is_base64 = true;
	r = rfs_remote_open(&own, ret, err);
	rfs_password_free(key);
	if (r == 0)
		return 0;
	return rfs_context(err, r,
			   "qemu-nbd (with qemu-block-extra) does not open %s; "
			   "is the cluster there, and may client.%s read it?",
			   image, user);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* The size of an image, or 0 with a note. */
static int ask(struct rfs_site *site, const struct rfs_source *source,
	       const char *image, uint64_t *ret_size, struct rfs_error *err)
{
	RFS_CLEANUP_READER struct rfs_reader *reader = NULL;
	const struct rfs_nbd_config config = {
		.name = image,
		.origin = &source->origin,
		.deadline_ms = rfs_source_deadline(site, source),
	};
	int64_t until = now_ns() + connect_ms(config.deadline_ms) * 1000000LL;
	int r = rfs_ceph_open(source, image, &config, &reader, err);

	*ret_size = r < 0 ? 0 : rfs_reader_size(reader);
	return r < 0 && now_ns() >= until ? -ETIMEDOUT : r;
}

static int add_image(struct rfs_nbd_exports *list, const char *word, size_t len,
		     struct rfs_error *err)
{
	char *name = strndup(word, len);

	if (!name || RFS_VEC_ROOM(list) < 0) {
		free(name);
		return rfs_no_memory(err);
	}
	list->items[list->count++] = (struct rfs_nbd_export){ .name = name };
	return 0;
}

/* Each in turn, as long as there is time for it. */
static int ask_all(struct rfs_site *site, const struct rfs_source *source,
		   struct rfs_nbd_exports *list, struct rfs_error *err)
{
	int64_t until = now_ns() + LIST_NS;
	struct rfs_error why = RFS_ERROR_INIT;
	size_t opened = 0;
	int r = 0;

	for (size_t i = 0; i < list->count && r != -ETIMEDOUT; i++) {
		/* Some were there, and so may the rest. */
		if (opened && now_ns() >= until)
			return 0;
		r = ask(site, source, list->items[i].name, &list->items[i].size,
			&why);
		opened += r == 0;
		if (r < 0 && r != -ETIMEDOUT)
			rfs_notes_add(&site->notes, "source %s: %s",
				      source->origin.name, why.text);
	}
	if (opened && r != -ETIMEDOUT)
		return 0;
	return rfs_fail(err, -r, "%s", why.text);
}

int rfs_ceph_list(struct rfs_site *site, const struct rfs_source *source,
		  struct rfs_nbd_exports *ret, struct rfs_error *err)
{
	struct rfs_nbd_exports list = { 0 };
	size_t len;
	int r = 0;

	for (const char *w = source->rbd; r == 0 && (w = next_word(w, &len));
	     w += len)
		r = add_image(&list, w, len, err);
	if (r == 0)
		r = ask_all(site, source, &list, err);
	if (r == 0)
		*ret = list;
	else
		rfs_nbd_exports_fini(&list);
	return r;
}

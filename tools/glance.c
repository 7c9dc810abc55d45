// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/glance.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/cleanup.h"
#include "tools/program.h"

#define WORDS 64

/* A command line; the words outlive it. */
struct words {
	const char *items[WORDS + 1];
	size_t count;
};

/* The two clients differ in their words only. */
struct client {
	const char *program;
	const char *create[12], *name_option, *show[12], *list[8], *delete[4];
};

static const struct client clients[] = {
	{ .program = "openstack",
	  .create = { "openstack", "image", "create", "--private", "-f",
		      "value", "-c", "id" },
	  .name_option = "--",
	  .show = { "openstack", "image", "show", "-f", "shell", "-c", "size",
		    "-c", "status", "-c", "checksum" },
	  .list = { "openstack", "image", "list", "-f", "value", "-c", "ID" },
	  .delete = { "openstack", "image", "delete" } },
	{ .program = "glance",
	  .create = { "glance", "image-create", "--visibility", "private" },
	  .name_option = "--name",
	  .show = { "glance", "image-show", "--max-column-width", "200" },
	  .list = { "glance", "image-list" },
	  .delete = { "glance", "image-delete" } },
};

/* There is room for all that is said below. */
static void add(struct words *w, const char *word)
{
	if (w->count < WORDS)
		w->items[w->count++] = word;
}

static void add_all(struct words *w, const char *const *list)
{
	while (*list)
		add(w, *list++);
}

static char *const *argv_of(const struct words *w)
{
	return (char *const *)w->items;
}

static const struct client *find_client(void)
{
	for (size_t i = 0; i < sizeof(clients) / sizeof(*clients); i++)
		if (rfs_program_exists(clients[i].program))
			return &clients[i];
	return NULL;
}

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

bool rfs_glance_value(const char *text, const char *key, char *ret, size_t room)
{
	size_t len = strlen(key), n = 0;
	const char *p = text;

	while ((p = strstr(p, key)) &&
	       ((p > text && is_word(p[-1])) || is_word(p[len])))
		p += len;
	if (!p)
		return false;
	p += len;
	p += strspn(p, " |=:'\"");
	while (is_word(p[n]) && n + 1 < room)
		n++;
	memcpy(ret, p, n);
	ret[n] = '\0';
	return n > 0;
}

/* One uuid in a text, by itself or in a table. */
static bool find_id(const char *text, char ret[RFS_GLANCE_ID])
{
	static const char hex[] = "0123456789abcdef-";
	size_t n;

	for (const char *p = text; *p; p += n ? n : 1) {
		n = strspn(p, hex);
		if (n != RFS_GLANCE_ID - 1 || p[8] != '-' || p[23] != '-')
			continue;
		memcpy(ret, p, n);
		ret[n] = '\0';
		return true;
	}
	return false;
}

/*
 * What it has, against what was sent.
 */

static int expect(const char *text, const char *id, const char *key,
		  const char *want, struct rfs_error *err)
{
	char is[160];

	if (!rfs_glance_value(text, key, is, sizeof(is)))
		return rfs_fail(err, EBADMSG,
				"Glance says no %s of the image %s, which was "
				"to be %s",
				key, id, want);
	if (strcmp(is, want) != 0)
		return rfs_fail(err, EBADMSG,
				"the image %s in Glance is not what was sent: "
				"its %s is %s, and not %s",
				id, key, is, want);
	return 0;
}

static int compare(const struct client *client, const char *id,
		   const struct rfs_exported *sent, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	struct words w = { 0 };
	char size[24];
	int r;

	add_all(&w, client->show);
	/* os_hash_value is among the properties of one client. */
	if (client == &clients[0]) {
		add(&w, "-c");
		add(&w, "properties");
	}
	add(&w, id);
	snprintf(size, sizeof(size), "%" PRIu64, sent->size);
	r = rfs_program_run(argv_of(&w), &text, err);
	if (r == 0)
		r = expect(text, id, "status", "active", err);
	if (r == 0)
		r = expect(text, id, "size", size, err);
	if (r == 0)
		r = expect(text, id, "checksum", sent->digests.md5, err);
	if (r == 0)
		r = expect(text, id, "os_hash_algo", "sha512", err);
	if (r == 0)
		r = expect(text, id, "os_hash_value", sent->digests.sha512,
			   err);
	return r;
}

/*
 * The upload.
 */

/* An image that was made and is no good is found by its tag. */
static int take_away(const struct client *client, const char *tag, int failed,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *list = NULL, *said = NULL, *filter = NULL;
	struct words find = { 0 }, gone = { 0 };
	char id[RFS_GLANCE_ID];
	int r = -ENOMEM;

	if (client == &clients[0]
		    ? asprintf(&filter, "%s", tag) < 0
		    : asprintf(&filter, "--property-filter=%s", tag) < 0)
		filter = NULL;
	add_all(&find, client->list);
	if (client == &clients[0])
		add(&find, "--property");
	add(&find, filter);
	if (filter)
		r = rfs_program_run(argv_of(&find), &list, NULL);
	if (r == 0 && !find_id(list, id))
		return failed; /* none was made */
	add_all(&gone, client->delete);
	add(&gone, id);
	if (r == 0)
		r = rfs_program_run(argv_of(&gone), &said, NULL);
	if (r < 0)
		return rfs_context(err, failed,
				   "an image with the property %s is left in "
				   "Glance, not whole; delete it",
				   tag);
	return failed;
}

static int send_disk(const struct client *client, const struct words *w,
		     const struct rfs_export *what, struct rfs_exported *ret,
		     char ret_id[RFS_GLANCE_ID], struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = NULL;
	struct rfs_program p;
	struct rfs_sink sink;
	int r = rfs_program_start(&p, argv_of(w), true, err);

	if (r < 0)
		return r;
	rfs_sink_pipe(&sink, p.in, client->program);
	r = rfs_export_copy(what, &sink, ret, err);
	if (r == -EPIPE)
		rfs_context(err, r, "%s ended before it had all",
			    client->program);
	if (r < 0) {
		rfs_program_stop(&p);
		return r;
	}
	r = rfs_program_finish(&p, &text, err);
	if (r == 0 && !find_id(text, ret_id))
		r = rfs_fail(err, EBADMSG, "%s does not say the image's id",
			     client->program);
	return r < 0 ? r : compare(client, ret_id, ret, err);
}

/* "rescuefs_export=..." of this one upload. */
static int make_tag(char *tag, size_t room, struct rfs_error *err)
{
	uint64_t bits[2];

	if (getrandom(bits, sizeof(bits), 0) != sizeof(bits))
		return rfs_fail(err, errno, "no random bytes: %s",
				strerror(errno));
	snprintf(tag, room, "rescuefs_export=%016" PRIx64 "%016" PRIx64,
		 bits[0], bits[1]);
	return 0;
}

int rfs_glance_upload(const struct rfs_glance_image *image,
		      const struct rfs_export *what, struct rfs_exported *ret,
		      char ret_id[RFS_GLANCE_ID], struct rfs_error *err)
{
	const struct client *client = find_client();
	struct words w = { 0 };
	char tag[64];
	int r;

	if (!client)
		return rfs_fail(err, ENOENT,
				"neither openstack nor glance is on the path; "
				"install python3-openstackclient");
	r = make_tag(tag, sizeof(tag), err);
	if (r < 0)
		return r;
	add_all(&w, client->create);
	add(&w, "--disk-format");
	add(&w, image->disk_format);
	add(&w, "--container-format");
	add(&w, image->container_format);
	add(&w, "--property");
	add(&w, tag);
	for (size_t i = 0; image->properties[i]; i++) {
		add(&w, "--property");
		add(&w, image->properties[i]);
	}
	add(&w, client->name_option);
	add(&w, image->name);
	r = send_disk(client, &w, what, ret, ret_id, err);
	return r < 0 ? take_away(client, tag, r, err) : 0;
}

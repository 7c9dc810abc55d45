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
	const char *create[12], *name_option, *show[12], *list[8], *all[16],
		*delete[4];
};

static const struct client clients[] = {
	{ .program = "openstack",
	  .create = { "openstack", "image", "create", "--private", "-f",
		      "value", "-c", "id" },
	  .name_option = "--",
	  .show = { "openstack", "image", "show", "-f", "shell", "-c", "size",
		    "-c", "status", "-c", "checksum" },
	  .list = { "openstack", "image", "list", "-f", "value", "-c", "ID" },
	  .all = { "openstack", "image", "list", "--long", "-f", "value", "-c",
		   "ID", "-c", "Disk Format", "-c", "Checksum", "-c",
		   "Status" },
	  .delete = { "openstack", "image", "delete" } },
	{ .program = "glance",
	  .create = { "glance", "image-create", "--visibility", "private" },
	  .name_option = "--name",
	  .show = { "glance", "image-show", "--max-column-width", "200" },
	  .list = { "glance", "image-list" },
	  .all = { "glance", "image-list", "--property-filter",
		   "status=active" },
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

/* Where the value begins, if the 'len' bytes at 'p' are a name: in 'size="1"' or
 * "| size | 1 |" at a line's beginning, or in "'size': '1'".  Any other word is
 * one of the image's own texts. */
static const char *value_of(const char *text, const char *p, size_t len)
{
	bool begins = p == text || p[-1] == '\n';
	const char *end = p + len;

	if (begins && strncmp(end, "=\"", 2) == 0)
		return end + 2;
	if (p > text && p[-1] == '\'' && strncmp(end, "': '", 4) == 0)
		return end + 4;
	begins = p - text >= 2 && strncmp(p - 2, "| ", 2) == 0 &&
		 (p - text == 2 || p[-3] == '\n');
	end += strspn(end, " ");
	return begins && strncmp(end, "| ", 2) == 0 ? end + 2 : NULL;
}

/* The value of 'key' in what either client prints of an image, up to 'room'
 * bytes: letters, digits, '-' and '_'.  False if it is not there. */
static bool find_value(const char *text, const char *key, char *ret,
		       size_t room)
{
	const char *value = NULL;
	size_t n = 0;

	for (const char *p = text; !value && (p = strstr(p, key)); p++)
		value = value_of(text, p, strlen(key));
	if (!value)
		return false;
	while (is_word(value[n]) && n + 1 < room)
		n++;
	memcpy(ret, value, n);
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

	if (!find_value(text, key, is, sizeof(is)))
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

/* The line of the openstack client's list that has 'rest' behind the id. */
static bool find_line(const char *list, const char *rest,
		      char ret_id[RFS_GLANCE_ID])
{
	const char *p = strstr(list, rest);
	char before[RFS_GLANCE_ID];

	if (!p || p - list < RFS_GLANCE_ID - 1)
		return false;
	memcpy(before, p - (RFS_GLANCE_ID - 1), RFS_GLANCE_ID - 1);
	before[RFS_GLANCE_ID - 1] = '\0';
	return find_id(before, ret_id);
}

static bool find_image(const struct client *client, const char *disk_format,
		       const struct rfs_digests *digests,
		       char ret_id[RFS_GLANCE_ID])
{
	RFS_CLEANUP_FREE char *list = NULL;
	struct words w = { 0 };
	char line[80], format[48], hash[160];

	/* One filters by hash, the other prints one. */
	snprintf(line, sizeof(line), " %s %s active\n", disk_format,
		 digests->md5);
	snprintf(format, sizeof(format), "disk_format=%s", disk_format);
	snprintf(hash, sizeof(hash), "os_hash_value=%s", digests->sha512);
	add_all(&w, client->all);
	if (client == &clients[0])
		return rfs_program_run(argv_of(&w), &list, NULL) == 0 &&
		       find_line(list, line, ret_id);
	add(&w, "--property-filter");
	add(&w, format);
	add(&w, "--property-filter");
	add(&w, hash);
	return rfs_program_run(argv_of(&w), &list, NULL) == 0 &&
	       find_id(list, ret_id);
}

bool rfs_glance_find(const char *disk_format, const struct rfs_exported *what,
		     char ret_id[RFS_GLANCE_ID])
{
	const struct client *client = find_client();

	return client &&
	       find_image(client, disk_format, &what->digests, ret_id) &&
	       compare(client, ret_id, what, NULL) == 0;
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

// SPDX-License-Identifier: GPL-3.0-or-later
/* "--backup DIR,taken=TIME": one source in one argument. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/site.h"

static const char **field_of(struct rfs_source_spec *spec, const char *text,
			     size_t *ret_len)
{
	static const char *const keys[] = { "taken=", "name=",	  "host=",
					    "store=", "volumes=", "deadline=" };
	const char **fields[] = {
		&spec->taken, &spec->name,    &spec->host,
		&spec->store, &spec->volumes, &spec->deadline
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (!strncmp(text, keys[i], strlen(keys[i]))) {
			*ret_len = strlen(keys[i]);
			return fields[i];
		}
	return NULL;
}

/* Takes the last ",key=value" off.  A directory's name may hold commas, so
 * only what looks like a key counts: letters and an equals sign. */
static int take_last(struct rfs_source_spec *spec, char *text, bool *ret_more,
		     struct rfs_error *err)
{
	char *comma = strrchr(text, ',');
	const char **field;
	size_t word, len = 0;

	*ret_more = false;
	if (!comma)
		return 0;
	word = strspn(comma + 1, "abcdefghijklmnopqrstuvwxyz");
	if (!word || comma[1 + word] != '=')
		return 0;
	field = field_of(spec, comma + 1, &len);
	if (!field)
		return rfs_fail(
			err, EINVAL,
			"%s: %.*s is not one of taken, name, host, store, "
			"volumes, deadline",
			text, (int)word, comma + 1);
	if (*field)
		return rfs_fail(err, EINVAL, "%s: %.*s is said twice", text,
				(int)word, comma + 1);
	*field = comma + 1 + len;
	*comma = '\0';
	*ret_more = true;
	return 0;
}

int rfs_site_add_option(struct rfs_site *site, enum rfs_source_kind kind,
			const char *text, struct rfs_error *err)
{
	struct rfs_source_spec spec = { .kind = kind };
	RFS_CLEANUP_FREE char *copy = NULL;
	bool more = true;
	int r;

	copy = strdup(text);
	if (!copy)
		return rfs_no_memory(err);
	while (more) {
		r = take_last(&spec, copy, &more, err);
		if (r < 0)
			return r;
	}
	if (rfs_is_nbd_uri(copy))
		spec.nbd = copy;
	else if (strstr(copy, "://"))
		return rfs_fail(err, EINVAL,
				"%s: of network disks only those of NBD "
				"servers are read: nbd://HOST",
				copy);
	else
		spec.root = copy;
	return rfs_site_add_source(site, &spec, err);
}

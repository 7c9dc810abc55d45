// SPDX-License-Identifier: GPL-3.0-or-later
/* second_export.c - an export of an NBD server, for QEMU's own client. */
#include <errno.h>
#include <libxml/uri.h>
#include <string.h>

#include "core/cleanup.h"
#include "site/json_text.h"
#include "site/second.h"

#define PORT 10809

/* "socket=/run/x", among others. */
static char *socket_of(const char *query)
{
	const char *at = query ? strstr(query, "socket=") : NULL;
	size_t len;

	if (!at || (at != query && at[-1] != '&'))
		return NULL;
	at += strlen("socket=");
	len = strcspn(at, "&");
	return len ? xmlURIUnescapeString(at, (int)len, NULL) : NULL;
}

/* As QEMU describes it; NULL: it is of another kind, or no memory. */
static json_t *server_of(const xmlURI *uri)
{
	char *path;
	json_t *server;

	if (strcmp(uri->scheme, "nbd") == 0 && uri->server && *uri->server &&
	    *uri->server != '[')
		return json_pack(
			"{ss ss so}", "type", "inet", "host", uri->server,
			"port",
			json_sprintf("%d", uri->port > 0 ? uri->port : PORT));
	path = strcmp(uri->scheme, "nbd+unix") == 0 ? socket_of(uri->query_raw)
						    : NULL;
	if (!path)
		return NULL;
	server = json_pack("{ss ss}", "type", "unix", "path", path);
	xmlFree(path);
	return server;
}

int rfs_second_export(const struct rfs_copy *copy, char **ret_image,
		      struct rfs_error *err)
{
	const char *text = copy->source->nbd;
	xmlURIPtr uri = text ? xmlParseURI(text) : NULL;
	json_t *server = uri && uri->scheme ? server_of(uri) : NULL;
	RFS_CLEANUP_FREE char *node = NULL;
	int r;

	xmlFreeURI(uri);
	if (!server)
		return rfs_fail(err, ENOTSUP,
				"it is a server that no other client is sent "
				"to, only nbd:// and nbd+unix:// are");
	r = rfs_json_dump(json_pack("{ss sb s{ss ss so}}", "driver", "raw",
				    "read-only", true, "file", "driver", "nbd",
				    "export", copy->path, "server", server),
			  &node, err);
	if (r == 0 && asprintf(ret_image, "json:%s", node) < 0)
		r = rfs_no_memory(err);
	return r;
}

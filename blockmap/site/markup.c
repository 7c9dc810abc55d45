// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/markup.h"

#include "core/cleanup.h"
#include "site/names.h"

static const char *entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

int rfs_put_markup(FILE *out, const char *text, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *fit = rfs_path_escape(text);

	if (!fit)
		return rfs_no_memory(err);
	for (const char *p = fit; *p; p++) {
		const char *word = entity(*p);

		if (word)
			fputs(word, out);
		else
			fputc(*p, out);
	}
	return 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int rfs_fail(struct rfs_error *err, int errnum, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return -errnum;
}

/* What does not fit is cut at the end, where it matters least. */
static void append(struct rfs_error *err, const char *more)
{
	size_t used = strlen(err->text);
	size_t n = strnlen(more, sizeof(err->text) - 1 - used);

	memcpy(err->text + used, more, n);
	err->text[used + n] = '\0';
}

int rfs_context(struct rfs_error *err, int r, const char *fmt, ...)
{
	char old[RFS_ERROR_MAX];
	va_list ap;

	if (!err)
		return r;
	memcpy(old, err->text, sizeof(old));
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	append(err, ": ");
	append(err, old);
	return r;
}

int rfs_no_memory(struct rfs_error *err)
{
	return rfs_fail(err, ENOMEM, "out of memory");
}

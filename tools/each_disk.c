// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/each_disk.h"

#include <errno.h>
#include <stdio.h>

#include "tools/verbs.h"

int rfs_print_each_disk(struct rfs_target *t, bool json, rfs_print_disk *print,
			void *data)
{
	struct rfs_error err = RFS_ERROR_INIT;
	bool is_list = json && t->ndisks != 1, has_before = false;
	int status = RFS_EXIT_FINE, r = 0;

	if (is_list)
		fputs("[\n", stdout);
	for (size_t i = 0; i < t->ndisks && r != -EINTR; i++) {
		if (has_before)
			fputs(is_list ? ",\n" : "\n", stdout);
		r = print(data, t, t->disks[i], &err);
		if (r < 0)
			status = rfs_complain(&err, RFS_EXIT_SOURCE);
		if (r < 0 && is_list)
			fputs("null\n", stdout);
		has_before = has_before || is_list || r == 0;
	}
	if (is_list)
		fputs("]\n", stdout);
	return status;
}

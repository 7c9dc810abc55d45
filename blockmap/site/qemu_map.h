/* SPDX-License-Identifier: GPL-3.0-or-later */
/* qemu_map.h - what "qemu-img map --output=json" says, line by line. */
#ifndef RESCUEFS_SITE_QEMU_MAP_H
#define RESCUEFS_SITE_QEMU_MAP_H

#include "core/error.h"
#include "core/range.h"

struct rfs_qemu_place {
	struct rfs_range range; /* of the disk */
	bool is_present; /* the image says what is there, not its backing file */
	bool is_data;	 /* and has it stored; else it is zero */
	bool is_told;	 /* at 'host' in its file; else compressed */
	uint64_t host;
};

/* One line: "[{ ... }," or "{ ... }]".  -EBADMSG: it makes no sense. */
int rfs_qemu_map_line(const char *line, struct rfs_qemu_place *ret,
		      struct rfs_error *err);

#endif /* RESCUEFS_SITE_QEMU_MAP_H */

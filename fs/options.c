// SPDX-License-Identifier: GPL-3.0-or-later
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/cleanup.h"
#include "fs/front.h"
#include "fs/options.h"

/* What FUSE or the kernel does for us. */
static const char *const passed_on[] = {
	"allow_other", "allow_root", "auto_unmount", "ro",	"noexec",
	"exec",	       "sync",	     "async",	     "dirsync", NULL,
};

/* What mount(8), mount.fuse3(8) and fstab(5) carry along, what is so anyway,
 * and what has no meaning here.  "dev" and "suid" come from mount.fuse3 with
 * every mount from fstab and are not honoured: rescuefs shows other hosts'
 * device nodes and set-uid programs, and this host shall not obey them. */
static const char *const dropped[] = {
	"rw",
	"defaults",
	"auto",
	"noauto",
	"user",
	"nouser",
	"users",
	"owner",
	"group",
	"nofail",
	"_netdev",
	"dev",
	"nodev",
	"suid",
	"nosuid",
	"atime",
	"noatime",
	"relatime",
	"norelatime",
	"strictatime",
	"nostrictatime",
	"diratime",
	"nodiratime",
	"lazytime",
	"nolazytime",
	"default_permissions",
	NULL,
};

static const char *const dropped_prefixes[] = {
	"x-", "X-", "comment=", "fsname=", "subtype=", NULL,
};

static bool is_listed(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static bool has_prefix(const char *const *list, const char *name)
{
	for (; *list; list++)
		if (strncmp(*list, name, strlen(*list)) == 0)
			return true;
	return false;
}

/* What every mount has.  The site's name may hold a comma. */
static int always(const char *site, char **opts)
{
	char *fsname, limit[32];
	int r;

	if (asprintf(&fsname, "fsname=%s", *site ? site : "rescuefs") < 0)
		return -1;
	r = fuse_opt_add_opt_escaped(opts, fsname);
	free(fsname);
	snprintf(limit, sizeof(limit), "max_read=%u", RFS_READ_MAX);
	if (r < 0 || fuse_opt_add_opt(opts, limit) < 0)
		return -1;
	return fuse_opt_add_opt(opts, "subtype=rescuefs,default_permissions,"
				      "nosuid,nodev,noatime");
}

static int take(struct rfs_mount_options *ret, const char *item, char **opts,
		struct rfs_error *err)
{
	if (*item == '\0' || is_listed(dropped, item) ||
	    has_prefix(dropped_prefixes, item))
		return 0;
	if (strcmp(item, "nonempty") == 0) {
		ret->may_cover = true;
		return 0;
	}
	if (!is_listed(passed_on, item))
		return rfs_fail(err, EINVAL,
				"unknown mount option \"%s\"; see rescuefs(1)",
				item);
	return fuse_opt_add_opt(opts, item) < 0 ? rfs_no_memory(err) : 0;
}

static int take_all(struct rfs_mount_options *ret, const char *options,
		    char **opts, struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *copy = strdup(options ? options : "");
	char *rest = copy, *item;
	int r = 0;

	if (!copy)
		return rfs_no_memory(err);
	while (r == 0 && (item = strsep(&rest, ",")))
		r = take(ret, item, opts, err);
	return r;
}

int rfs_mount_options_parse(const char *options, const char *site,
			    struct rfs_mount_options *ret,
			    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *opts = NULL;
	struct rfs_mount_options made = { 0 };
	int r;

	if (always(site, &opts) < 0)
		return rfs_no_memory(err);
	r = take_all(&made, options, &opts, err);
	if (r < 0)
		return r;
	if (fuse_opt_add_arg(&made.args, "rescuefs") < 0 ||
	    fuse_opt_add_arg(&made.args, "-o") < 0 ||
	    fuse_opt_add_arg(&made.args, opts) < 0) {
		rfs_mount_options_fini(&made);
		return rfs_no_memory(err);
	}
	*ret = made;
	return 0;
}

void rfs_mount_options_fini(struct rfs_mount_options *opts)
{
	fuse_opt_free_args(&opts->args);
}

static int holds_dead(const char *mountpoint, struct rfs_error *err)
{
	return rfs_fail(err, ENOTCONN,
			"mount point %s holds a mount whose process has died: "
			"end it with umount %s",
			mountpoint, mountpoint);
}

static int check_empty(const char *mountpoint, struct rfs_error *err)
{
	DIR *dir = opendir(mountpoint);
	struct dirent *entry;
	int r = 0;

	/* What the kernel knew of it still may have hidden that until now. */
	if (!dir && errno == ENOTCONN)
		return holds_dead(mountpoint, err);
	if (!dir)
		return rfs_fail(err, errno, "mount point %s: %s", mountpoint,
				strerror(errno));
	while (r == 0 && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			r = rfs_fail(err, ENOTEMPTY,
				     "mount point %s is not empty (\"%s\" is "
				     "in it): choose another, or say "
				     "-o nonempty to hide what is there",
				     mountpoint, entry->d_name);
	closedir(dir);
	return r;
}

int rfs_mountpoint_check(const char *mountpoint, bool may_cover,
			 struct rfs_error *err)
{
	struct stat st;

	if (stat(mountpoint, &st) < 0 && errno == ENOTCONN)
		return holds_dead(mountpoint, err);
	if (stat(mountpoint, &st) < 0)
		return rfs_fail(err, errno, "mount point %s: %s%s", mountpoint,
				strerror(errno),
				errno == ENOENT ? "; make the directory first"
						: "");
	if (!S_ISDIR(st.st_mode))
		return rfs_fail(err, ENOTDIR,
				"mount point %s is not a directory",
				mountpoint);
	return may_cover ? 0 : check_empty(mountpoint, err);
}

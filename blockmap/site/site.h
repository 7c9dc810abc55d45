/* SPDX-License-Identifier: GPL-3.0-or-later */
/* site.h - everything that one mount brings together.
 *
 * A site is said by a site file or by options; both make a struct rfs_site.
 * Opening it opens each source's root and nothing else.  Scanning it finds the
 * hosts, their instances and their disks, without opening an image.
 */
#ifndef RESCUEFS_SITE_SITE_H
#define RESCUEFS_SITE_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/checksum.h"
#include "core/error.h"
#include "core/freshness.h"
#include "core/notes.h"
#include "core/reader.h"
#include "core/store.h"
#include "readers/nbd.h"
#include "readers/readers.h"

struct rfs_worker;

enum rfs_source_kind {
	RFS_DAMAGED,
	RFS_BACKUP,
	RFS_LIVE,
};

/* How far stale blocks may stand in for unreadable ones (design, rule 6). */
enum rfs_fill {
	RFS_FILL_ALL,
	RFS_FILL_DATA, /* in the contents of files, not in tables */
	RFS_FILL_NONE,
};

/* What a read of a block gives that no source has. */
enum rfs_lost {
	RFS_LOST_EIO,
	RFS_LOST_ZERO,
};

/* How far another copy's tables stand in for lost ones (rule 5). */
enum rfs_heal {
	RFS_HEAL_PROVED,  /* where nothing speaks against it */
	RFS_HEAL_ALL,	  /* also where something does */
	RFS_HEAL_GUESSED, /* also by tables that nothing leads to */
	RFS_HEAL_OFF,
};

/* Whether what a damaged source delivers is held against copies that should hold
 * the same. */
enum rfs_suspect {
	RFS_SUSPECT_COMPARE,
	RFS_SUSPECT_OFF,
};

/* One copy of a host. */
struct rfs_source {
	struct rfs_origin origin; /* .name is this source's name, owned here */
	enum rfs_source_kind kind;
	char *host;	  /* sources of one host merge */
	bool host_made;	  /* from the paths: may change as sources are added */
	char *root;	  /* as the user said it, made absolute; NULL: none */
	char *volumes;	  /* a directory or a pattern, absolute; NULL: none */
	bool has_volumes; /* they could be looked for */
	char *nbd;	  /* the URI of a server; NULL: none */
	/* "POOL/IMAGE ..." of a Ceph cluster; NULL: none.  Its images are exports
	 * to all but those who open them. */
	char *rbd;
	char *ceph_conf, *ceph_user, *ceph_keyring; /* NULL: as Ceph has it */
	bool has_exports; /* it could be asked for them */
	struct rfs_nbd_exports exports;
	struct rfs_nbd_watch *watch; /* connections to these, and to programs
				      * that read its images */
	int root_fd;		     /* O_PATH directory; -1 until opened */
	dev_t root_dev;		     /* which that is, once it is open */
	ino_t root_ino;
	/* Of a damaged source, or of one that has a deadline of its own; else
	 * NULL.  Two, so that a sector that hangs keeps no file from being
	 * opened. */
	struct rfs_worker *worker; /* reads its files */
	struct rfs_worker *names;  /* looks up its names */
	int64_t taken_ns;  /* told by the user or the path, or unknown */
	int64_t newest_ns; /* newest modification that the scan saw */
	int store;	   /* enum rfs_store_mode, or -1 for the site's */
	unsigned int deadline_ms; /* 0: the site's */
	bool of_pattern;  /* its root is one of those that one matches */
	char *section;	  /* the name that the pattern goes by, or NULL */
	unsigned line;	  /* of its section in the site file, or 0 */
	char *open_error; /* why it could not be opened, or NULL */
};

/* "[disk april-ci/disk]": what overrides the defaults for one disk. */
struct rfs_disk_rule {
	char *disk;	      /* as in the tree, or UUID/disk */
	char *format;	      /* "raw", "qcow2"... or NULL */
	char *backing_format; /* of backing files, where no header says it */
	char *password_file;  /* on the user's own system, or NULL */
	bool asks;	      /* for the password, on the terminal */
	char *password;	      /* as it was answered, or NULL */
	char *map_source, *mapfile; /* of that source's copy; "none": none */
	char **prefer; /* names of sources and of patterns of them, freshest
			* first; NULL-terminated */
	int lost;      /* enum rfs_lost, or -1 for the site's */
	int fill;      /* enum rfs_fill, or -1 for the site's */
	int heal;      /* enum rfs_heal, or -1 for the site's */
	struct {
		struct rfs_qcow2_place *items;
		size_t count, room;
	} tables; /* L2 tables placed by hand */
};

/* "[export NAME]": which disk an export of an NBD server is. */
struct rfs_export_rule {
	char *export, *disk;
};

/* "[base NAME]": a base image that is given by hand. */
struct rfs_base_rule {
	char *name, *file; /* 'file' on the user's own system */
	char *format;	   /* "raw", "qcow2"; NULL: as the image above says */
	char *checksums[RFS_CHECKSUMS]; /* of the file; NULL: not known */
	struct rfs_origin origin;	/* "by hand" */
};

struct rfs_site {
	char *name;	 /* from the file's name or the first damaged host */
	bool name_made;	 /* from the host: may change as sources are added */
	char *state_dir; /* NULL: the default place */
	/* What says this site on a command line, for commands that are printed:
	 * words for a shell, each with a blank before it; NULL: none. */
	char *said;
	enum rfs_fill fill;
	enum rfs_heal heal;
	enum rfs_lost lost;
	enum rfs_suspect suspect;
	enum rfs_store_mode store;   /* of what is read off damaged sources */
	unsigned int deadline_ms;    /* of damaged ones, servers; 0: 2 s */
	struct rfs_source **sources; /* in the order they were said */
	size_t nsources;
	struct rfs_disk_rule *rules;
	size_t nrules;
	struct rfs_export_rule *exports;
	size_t nexports;
	struct rfs_base_rule *bases;
	size_t nbases;
	struct rfs_notes notes;
};

/* What options say; the strings are the caller's. */
struct rfs_source_spec {
	enum rfs_source_kind kind;
	const char *root;    /* NULL where another place is said */
	const char *volumes; /* a directory or a pattern, or NULL */
	const char *nbd;     /* the URI of a server, or NULL */
	const char *rbd;     /* images in a Ceph cluster, see site/ceph.h */
	const char *ceph_conf, *ceph_user, *ceph_keyring; /* for these */
	const char *name; /* NULL: made from the path */
	const char *host; /* NULL: made from the paths, see docs/site-file.md */
	const char *taken;    /* NULL: told by a date in the path, or unknown */
	const char *store;    /* on, auto, off; NULL: the site's */
	const char *deadline; /* as rfs_deadline_parse; NULL: the site's */
	bool of_pattern;      /* 'root' is a match of one, or matches nothing */
	const char *section;  /* the name of the pattern that it matches */
	unsigned line;	      /* where the site file says it; 0: an option */
};

void rfs_site_init(struct rfs_site *site);
void rfs_site_fini(struct rfs_site *site);

/* Reads a site file into 'site'.  An unknown section or key, a value that does
 * not fit, or a section said twice is -EINVAL, with file and line. */
int rfs_site_load(struct rfs_site *site, const char *path,
		  struct rfs_error *err);

/* Adds one source; names must differ, so a made name gets "-2", "-3". */
int rfs_site_add_source(struct rfs_site *site,
			const struct rfs_source_spec *spec,
			struct rfs_error *err);

/* True where the root of a backup is no directory but a pattern of some. */
bool rfs_site_is_pattern(const struct rfs_source_spec *spec);

/* Adds a source for each directory that the root matches, called after its own
 * name, or what is fixed in the pattern, and what is not: "backup-2013-05-10".
 * If there is none, one that will not open.  For rfs_site_add_source. */
int rfs_site_add_pattern(struct rfs_site *site,
			 const struct rfs_source_spec *spec,
			 struct rfs_error *err);

/* The same from an option's text,
 * "DIR[,volumes=PATTERN][,taken=TIME][,name=N][,host=H]"; DIR may be the URI of
 * an NBD server. */
int rfs_site_add_option(struct rfs_site *site, enum rfs_source_kind kind,
			const char *text, struct rfs_error *err);

/* Says where the volumes of the source that was added last are; 'path' is a
 * directory or a pattern. */
int rfs_site_add_volumes(struct rfs_site *site, const char *path,
			 struct rfs_error *err);

/* True if anything of it could be opened. */
bool rfs_source_is_open(const struct rfs_source *source);

/* Where it is, for people: its root, else its volumes, its server, its images. */
const char *rfs_source_place(const struct rfs_source *source);

struct rfs_source *rfs_site_find_source(const struct rfs_site *site,
					const char *name);

/* True if 'name' is the source's, or that of the pattern which made it. */
bool rfs_source_is_called(const struct rfs_source *source, const char *name);

/* Opens the roots.  A source that cannot be opened keeps its 'open_error' and
 * is passed over, with a note; an error only if none could be opened, or -EINVAL
 * if there is no source or a damaged one is there twice. */
int rfs_site_open(struct rfs_site *site, struct rfs_error *err);

/* Writes the site as a site file; the caller frees *ret_text. */
int rfs_site_print(const struct rfs_site *site, char **ret_text,
		   struct rfs_error *err);

/* --state, or the default: under /var/lib/rescuefs for root, else
 * $XDG_STATE_HOME/rescuefs, named after the site.  The caller frees it. */
int rfs_site_state_dir(const struct rfs_site *site, char **ret_dir,
		       struct rfs_error *err);

/* How fresh a source is as a whole (design, rule 2); after a scan. */
int64_t rfs_source_as_of(const struct rfs_source *source);

const char *rfs_source_kind_name(enum rfs_source_kind kind);

/* What is kept of what is read off this source. */
enum rfs_store_mode rfs_source_store(const struct rfs_site *site,
				     const struct rfs_source *source);

/* How long one request to it may take. */
unsigned int rfs_source_deadline(const struct rfs_site *site,
				 const struct rfs_source *source);

/* "2s", "500ms", or a number of seconds; 100 milliseconds to ten minutes. */
int rfs_deadline_parse(const char *text, unsigned int *ret_ms,
		       struct rfs_error *err);

/* "all", "data", "none", and back: -1 if the text is none of them. */
const char *rfs_fill_name(enum rfs_fill fill);
int rfs_fill_parse(const char *text);
/* "proved", "all", "off", and back. */
const char *rfs_heal_name(enum rfs_heal heal);
int rfs_heal_parse(const char *text);

/* "compare", "off". */
const char *rfs_suspect_name(enum rfs_suspect suspect);

/* "on", "auto", "off", and back: -1 if the text is none of them. */
const char *rfs_store_mode_name(enum rfs_store_mode mode);
int rfs_store_mode_parse(const char *text);

#endif /* RESCUEFS_SITE_SITE_H */

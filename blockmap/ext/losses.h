/* SPDX-License-Identifier: GPL-3.0-or-later */
/* losses.h - what lost, stale and wrong blocks hit: files by name, and the
 * filesystem's own tables.
 *
 * The disk is read where its filesystems' tables are, and nowhere else.  What
 * is not ext2, ext3 or ext4 gets an answer by the block.
 */
#ifndef RESCUEFS_EXT_LOSSES_H
#define RESCUEFS_EXT_LOSSES_H

#include "core/reader.h"
#include "core/report.h"
#include "core/view.h"

enum rfs_loss_kind {
	RFS_LOSS_DATA,	    /* contents of a file or symlink */
	RFS_LOSS_UNWRITTEN, /* room set aside for a file, that reads as zero */
	RFS_LOSS_DIRECTORY, /* names */
	RFS_LOSS_INODE,	    /* all that is known of a file but its name */
	RFS_LOSS_EXTENTS,   /* where a file's blocks are: extents, indirect */
	RFS_LOSS_XATTR,	    /* extended attributes */
	RFS_LOSS_JOURNAL,
	RFS_LOSS_SUPER,
	RFS_LOSS_DESCRIPTORS,
	RFS_LOSS_BLOCK_BITMAP,
	RFS_LOSS_INODE_BITMAP,
	RFS_LOSS_SYSTEM, /* quota, orphans, bad blocks, the resize inode, MMP */
	RFS_LOSS_SPARE,	 /* spare superblocks and descriptors, room for more */
	RFS_LOSS_UNOWNED, /* in use, by whom cannot be told */
	RFS_LOSS_FREE,
	RFS_LOSS_PARTITION_TABLE,
	RFS_LOSS_OTHER,	  /* inside of something that is no ext filesystem */
	RFS_LOSS_OUTSIDE, /* outside of all partitions */
	RFS_LOSS_KINDS,
};

enum rfs_loss_state {
	RFS_LOSS_LOST,
	RFS_LOSS_STALE,
	RFS_LOSS_WRONG, /* "checksum": it is read, and fails its checksum */
};

struct rfs_loss {
	uint32_t volume; /* index into volumes; UINT32_MAX: in none */
	enum rfs_loss_kind kind;
	enum rfs_loss_state state;
	uint32_t inode; /* 0: none */
	uint32_t group; /* of a group's tables; else UINT32_MAX */
	char *path;	/* NULL: has none; owned */
	uint64_t bytes;
	uint64_t offset; /* on the disk, of the first of them */
	/* Bytes of the file that are where only this block tells. */
	uint64_t behind;
	const struct rfs_origin *origin; /* who gave it; NULL: nobody */
};

/* A filesystem, or what else fills a partition or the disk. */
struct rfs_volume {
	struct rfs_range range;
	unsigned int partition; /* 0: the whole disk */
	char type[24];		/* "ext4"; "swap"; "unknown" */
	char label[17];
	char uuid[37];
	bool is_ext;		  /* it is in the list file by file */
	bool is_dirty;		  /* its journal waits for a replay */
	bool has_journal_outside; /* its journal is on another disk */
	bool is_super_spare;	  /* the first superblock is no good */
	bool is_endless; /* its tables lead in circles: not all is told */
	/* Bytes of the filesystem behind the end of its disk or partition.  They
	 * are in no list. */
	uint64_t missing;
	uint32_t groups_lost;	 /* whose tables nobody knows the place of */
	char why[RFS_ERROR_MAX]; /* why it could not be looked into, or "" */
};

/* Zero it to begin; it owns what it points to. */
struct rfs_losses {
	struct rfs_loss *items; /* by volume, kind, path */
	size_t count;
	size_t room;
	struct rfs_volume *volumes;
	size_t nvolumes;
	uint64_t size;
	/* Bytes of partitions behind the end of the disk: it was cut short.
	 * They are in no list. */
	uint64_t missing;
	/* Bytes that nobody asked for yet: in use by the block bitmaps, or all
	 * of them where no filesystem says. */
	uint64_t unread_used;
	uint64_t unread_free;
	/* Of these, tables that were not read for this answer, as it was asked
	 * to read nothing new. */
	uint64_t unread_tables;
	/* Bytes that are where another copy's tables say, and of these the
	 * guessed: no losses, if the tables are right. */
	uint64_t healed, guessed;
	uint64_t overwritten_lost;
	uint64_t overwritten_stale;
	struct rfs_orphans orphans;
	struct rfs_strays strays;
	bool is_table_partial; /* of the partition table */
};

/* Whom the lost and stale runs of 'report' hit, and which tables fail their
 * checksums.  -ENOMEM, or what the reader fails with where it cannot say which
 * bytes are bad. */
int rfs_losses_find(struct rfs_reader *disk, const struct rfs_report *report,
		    struct rfs_losses *ret, struct rfs_error *err);

/* A disk, and what is known of it, which reading it may change. */
struct rfs_losses_subject {
	struct rfs_reader *disk;
	/* Appends what is known now. */
	int (*report)(void *data, struct rfs_report *out,
		      struct rfs_error *err);
	void *data;
};

/* The same of such a disk.  Without 'quiet' all tables of its filesystems are
 * read first, which counts as asking for them; with it only what was read
 * before. */
int rfs_losses_of(const struct rfs_losses_subject *subject, bool quiet,
		  struct rfs_losses *ret, struct rfs_error *err);
int rfs_losses_of_view(struct rfs_view *view, bool quiet,
		       struct rfs_losses *ret, struct rfs_error *err);

void rfs_losses_fini(struct rfs_losses *losses);

/* "data", "directory", ... */
const char *rfs_loss_kind_name(enum rfs_loss_kind kind);
/* "lost", "stale", "checksum" */
const char *rfs_loss_state_name(enum rfs_loss_state state);
/* False for free space, spare copies and room that holds nothing. */
bool rfs_loss_matters(const struct rfs_loss *loss);

/* What the losses of one state come to, in bytes. */
struct rfs_losses_sum {
	uint64_t inodes;  /* files and directories that are hit, a count */
	uint64_t data;	  /* of files' contents */
	uint64_t tables;  /* of the filesystem's own, and of partition tables */
	uint64_t unknown; /* in use, nobody can say for what */
	uint64_t harmless; /* what rfs_loss_matters says false of */
};

int rfs_losses_sum(const struct rfs_losses *losses, enum rfs_loss_state state,
		   struct rfs_losses_sum *ret, struct rfs_error *err);

/* True if there is a loss that matters, or if some filesystem could not be
 * looked into as far as it should be. */
bool rfs_losses_matter(const struct rfs_losses *losses);

/* What is wrong with a volume's journal: a replay of it would undo newer tables,
 * or write what nobody meant to. */
enum rfs_journal_alarm {
	RFS_JOURNAL_GOOD,
	RFS_JOURNAL_HIT, /* and nothing waits in it, by the superblock */
	RFS_JOURNAL_HIT_DIRTY,
};

enum rfs_journal_alarm rfs_losses_journal(const struct rfs_losses *losses,
					  uint32_t volume);

#endif /* RESCUEFS_EXT_LOSSES_H */

// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/losses_text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"
#include "core/format.h"
#include "site/names.h"
#include "site/strays.h"

#define SOURCE_ROOM 120

int64_t rfs_disk_age(const struct rfs_disk *disk,
		     const struct rfs_origin *origin)
{
	for (size_t i = 0; i < disk->ncopies; i++)
		if (&disk->copies[i].source->origin == origin)
			return disk->copies[i].as_of_ns;
	return RFS_TIME_UNKNOWN;
}

/*
 * Volumes.
 */

char *rfs_volume_text(const struct rfs_volume *volume)
{
	RFS_CLEANUP_FREE char *label = rfs_path_escape(volume->label);
	char *text, part[40] = "";

	if (volume->partition)
		snprintf(part, sizeof(part), " on partition %u",
			 volume->partition);
	if (!label ||
	    asprintf(&text, "%s%s%s%s%s", volume->type, label[0] ? " \"" : "",
		     label, label[0] ? "\"" : "", part) < 0)
		return NULL;
	return text;
}

/* What is not there is in no map, as no source says that it should be. */
static void doubt_missing(const struct rfs_volume *v, char *text, size_t room)
{
	char missing[RFS_FORMAT_ROOM];

	rfs_format_bytes(v->missing, missing);
	snprintf(text, room,
		 "its last %s would lie behind the end of the %s, which was "
		 "cut short: what is there is lost, and is not in the list",
		 missing, v->partition ? "partition" : "disk");
}

void rfs_volume_doubt(const struct rfs_losses *losses,
		      const struct rfs_volume *v, char *text, size_t room)
{
	text[0] = '\0';
	if (!v->is_ext && losses->unread_tables)
		snprintf(text, room,
			 "what it is cannot be told from what was read yet");
	else if (v->why[0])
		snprintf(text, room, "cannot be looked into: %s", v->why);
	else if (!v->is_ext)
		snprintf(text, room,
			 "is not ext2, ext3 or ext4: what is hit is told in "
			 "bytes, not in files");
	else if (v->missing)
		doubt_missing(v, text, room);
	else if (v->is_endless)
		snprintf(text, room,
			 "its tables lead in circles, so that not all of it "
			 "is told");
	else if (v->groups_lost)
		snprintf(text, room,
			 "of %" PRIu32 " of its groups nobody knows where "
			 "their tables are, so that files in them are missing "
			 "here",
			 v->groups_lost);
	else if (v->is_super_spare)
		snprintf(text, room,
			 "its first superblock is of no use; a spare one was "
			 "taken, which may be old");
	else if (v->has_journal_outside)
		snprintf(text, room, "its journal is on another disk");
}

char *rfs_losses_alarm_text(const struct rfs_disk *disk,
			    const struct rfs_losses *losses, uint32_t volume)
{
	RFS_CLEANUP_FREE char *what = rfs_volume_text(&losses->volumes[volume]);
	RFS_CLEANUP_FREE char *place = rfs_disk_place(disk);
	const char *device = losses->volumes[volume].partition
				     ? "the partition's device (losetup -P)"
				     : place;
	char *text;
	int n;

	if (!what || !place)
		return NULL;
	if (rfs_losses_journal(losses, volume) == RFS_JOURNAL_HIT)
		n = asprintf(&text,
			     "the journal of %s is not as its host had it, but "
			     "nothing waits in it: e2fsck does not replay it.",
			     what);
	else
		n = asprintf(&text,
			     "the journal of %s waits for a replay and is not "
			     "as its host had it: a replay would write older "
			     "tables over newer ones. Before any mount, e2fsck "
			     "or tune2fs, which replay, drop it: debugfs -w -R "
			     "'feature -needs_recovery -has_journal' DEVICE; "
			     "then e2fsck -fy DEVICE; then tune2fs -j DEVICE "
			     "makes a new one. DEVICE is %s.",
			     what, device);
	return n < 0 ? NULL : text;
}

char *rfs_losses_size_text(const struct rfs_losses *losses)
{
	char missing[RFS_FORMAT_ROOM], *text;

	if (!losses->size)
		return strdup("It is empty; rescuefs scan says how large its "
			      "copies are.");
	if (!losses->missing)
		return strdup("");
	rfs_format_bytes(losses->missing, missing);
	if (asprintf(&text,
		     "The disk was cut short: the last %s of its partitions "
		     "would lie behind its end, are lost, and are not in the "
		     "list.",
		     missing) < 0)
		return NULL;
	return text;
}

static int put_size_doubt(const struct rfs_losses *losses, FILE *out,
			  struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *text = rfs_losses_size_text(losses);

	if (!text)
		return rfs_no_memory(err);
	if (*text)
		fprintf(out, "%s\n", text);
	return 0;
}

/* Each filesystem with what is to be said of it. */
static int put_volumes(const struct rfs_losses *losses, FILE *out,
		       struct rfs_error *err)
{
	char size[RFS_FORMAT_ROOM], doubt[RFS_ERROR_MAX + 100];

	for (size_t i = 0; i < losses->nvolumes; i++) {
		const struct rfs_volume *v = &losses->volumes[i];
		RFS_CLEANUP_FREE char *what = rfs_volume_text(v);
		RFS_CLEANUP_FREE char *fit = NULL;

		rfs_volume_doubt(losses, v, doubt, sizeof(doubt));
		fit = rfs_text_escape(doubt);
		if (!what || !fit)
			return rfs_no_memory(err);
		rfs_format_bytes(v->range.len, size);
		fprintf(out, "%s, %s%s%s\n", what, size, *fit ? ": " : "", fit);
	}
	if (losses->is_table_partial && !losses->unread_tables)
		fprintf(out, "A part of the partition table cannot be read: "
			     "there may be partitions that are not here.\n");
	return put_size_doubt(losses, out, err);
}

static int put_alarms(const struct rfs_disk *disk,
		      const struct rfs_losses *losses, FILE *out,
		      struct rfs_error *err)
{
	for (uint32_t i = 0; i < losses->nvolumes; i++) {
		RFS_CLEANUP_FREE char *text = NULL;

		if (rfs_losses_journal(losses, i) == RFS_JOURNAL_GOOD)
			continue;
		text = rfs_losses_alarm_text(disk, losses, i);
		if (!text)
			return rfs_no_memory(err);
		fprintf(out, "\nALARM: %s\n", text);
	}
	return 0;
}

/*
 * The table.
 */

static void source_text(const struct rfs_disk *disk,
			const struct rfs_origin *origin, char *text)
{
	char age[RFS_TIME_TEXT] = "";
	int64_t as_of;

	if (!origin) {
		strcpy(text, "-");
		return;
	}
	as_of = rfs_disk_age(disk, origin);
	if (as_of != RFS_TIME_UNKNOWN)
		rfs_time_print_short(as_of, age);
	snprintf(text, SOURCE_ROOM, "%s%s%s", origin->name, age[0] ? " " : "",
		 age);
}

/* The widest source, so that the paths stand below each other. */
static int source_width(const struct rfs_disk *disk,
			const struct rfs_losses *losses)
{
	const struct rfs_origin *last = NULL;
	char text[SOURCE_ROOM];
	size_t widest = strlen("SOURCE");

	for (size_t i = 0; i < losses->count; i++) {
		if (losses->items[i].origin == last)
			continue;
		last = losses->items[i].origin;
		source_text(disk, last, text);
		if (strlen(text) > widest)
			widest = strlen(text);
	}
	return (int)widest;
}

/* What stands where a path would. */
static int put_where(const struct rfs_loss *loss, FILE *out,
		     struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = NULL;
	char behind[RFS_FORMAT_ROOM];

	if (loss->path) {
		path = rfs_path_escape(loss->path);
		if (!path)
			return rfs_no_memory(err);
		fputs(path, out);
	} else if (loss->group != UINT32_MAX) {
		fprintf(out, "<group %" PRIu32 ">", loss->group);
	} else {
		fprintf(out, "<at %" PRIu64 ">", loss->offset);
	}
	if (loss->behind) {
		rfs_format_bytes(loss->behind, behind);
		fprintf(out, "  (and %s that only this leads to)", behind);
	}
	fputc('\n', out);
	return 0;
}

static int put_loss(const struct rfs_disk *disk, const struct rfs_loss *loss,
		    int width, FILE *out, struct rfs_error *err)
{
	char source[SOURCE_ROOM], inode[16] = "-";

	source_text(disk, loss->origin, source);
	if (loss->inode)
		snprintf(inode, sizeof(inode), "%" PRIu32, loss->inode);
	fprintf(out, "%-8s  %-15s  %11" PRIu64 "  %9s  %-*s  ",
		rfs_loss_state_name(loss->state),
		rfs_loss_kind_name(loss->kind), loss->bytes, inode, width,
		source);
	return put_where(loss, out, err);
}

static int put_table(const struct rfs_disk *disk,
		     const struct rfs_losses *losses, bool matters, FILE *out,
		     struct rfs_error *err)
{
	int width = source_width(disk, losses), r = 0;
	bool any = false;

	for (size_t i = 0; i < losses->count && r == 0; i++) {
		if (rfs_loss_matters(&losses->items[i]) != matters)
			continue;
		if (!any)
			fprintf(out,
				"\n%s\n%-8s  %-15s  %11s  %9s  %-*s  PATH\n",
				matters ? "What is hit:"
					: "Harmless, as nothing is there:",
				"STATE", "WHAT", "BYTES", "INODE", width,
				"SOURCE");
		any = true;
		r = put_loss(disk, &losses->items[i], width, out, err);
	}
	return r;
}

/*
 * What it comes to.
 */

static void put_part(FILE *out, uint64_t bytes, const char *what, bool *any)
{
	char text[RFS_FORMAT_ROOM];

	if (!bytes)
		return;
	rfs_format_bytes(bytes, text);
	fprintf(out, "%s%s %s", *any ? ", " : "", text, what);
	*any = true;
}

static int put_sum(const struct rfs_losses *losses, enum rfs_loss_state state,
		   FILE *out, struct rfs_error *err)
{
	static const char *const heads[] = {
		[RFS_LOSS_LOST] = "Lost:",
		[RFS_LOSS_STALE] = "Stale:",
		[RFS_LOSS_WRONG] = "Fails its checksum:",
	};
	struct rfs_losses_sum sum;
	bool any = false;
	int r = rfs_losses_sum(losses, state, &sum, err);

	if (r < 0)
		return r;
	if (!(sum.data | sum.tables | sum.unknown | sum.harmless)) {
		if (state != RFS_LOSS_WRONG)
			fprintf(out, "%-7s nothing\n", heads[state]);
		return 0;
	}
	fprintf(out, "%-7s ", heads[state]);
	put_part(out, sum.data, "of files' contents", &any);
	put_part(out, sum.tables, "of the filesystem's own tables", &any);
	put_part(out, sum.unknown, "in use, for what cannot be told", &any);
	put_part(out, sum.harmless, "harmless", &any);
	if (sum.inodes)
		fprintf(out, "; %" PRIu64 " file%s or director%s", sum.inodes,
			sum.inodes == 1 ? "" : "s",
			sum.inodes == 1 ? "y" : "ies");
	fputc('\n', out);
	return 0;
}

static void put_unread(const struct rfs_losses *losses, const char *name,
		       FILE *out)
{
	char used[RFS_FORMAT_ROOM], unused[RFS_FORMAT_ROOM];

	rfs_format_bytes(losses->unread_used, used);
	rfs_format_bytes(losses->unread_free, unused);
	if (losses->unread_tables)
		fprintf(out,
			"Not read yet: tables that this answer needs, so that "
			"it is not whole; rescuefs losses %s reads them.\n",
			name);
	if (losses->unread_used)
		fprintf(out,
			"Not read yet: %s %s, and %s free. What of it is lost "
			"shows when it is read: rescuefs fetch %s reads all, "
			"what is in use first.\n",
			used,
			losses->unread_tables ? "that may be in use" : "in use",
			unused, name);
	else if (losses->unread_free)
		fprintf(out, "Not read yet: %s, all of it free.\n", unused);
}

/* What was lost when it was read is not looked at again by itself (P4), also if
 * another copy came back since. */
static int put_refresh(const struct rfs_losses *losses, const char *name,
		       FILE *out, struct rfs_error *err)
{
	struct rfs_losses_sum sum;
	int r = rfs_losses_sum(losses, RFS_LOSS_LOST, &sum, err);

	if (r == 0 && (sum.data | sum.tables | sum.unknown))
		fprintf(out,
			"What is lost stays so until it is ordered to be asked "
			"for anew, as when a copy that could not be opened is "
			"back: rescuefs refresh %s\n",
			name);
	return r;
}

static void put_overwritten(const struct rfs_losses *losses, FILE *out)
{
	char text[RFS_FORMAT_ROOM];

	if (losses->overwritten_lost) {
		rfs_format_bytes(losses->overwritten_lost, text);
		fprintf(out, "Written over by you: %s that were lost\n", text);
	}
	if (losses->overwritten_stale) {
		rfs_format_bytes(losses->overwritten_stale, text);
		fprintf(out, "Written over by you: %s that were stale\n", text);
	}
}

/* No loss; but whoever weighs the losses should know what hangs on it. */
static void put_healed(const struct rfs_losses *losses, FILE *out)
{
	char text[RFS_FORMAT_ROOM];

	if (losses->healed > losses->guessed) {
		rfs_format_bytes(losses->healed - losses->guessed, text);
		fprintf(out, "Healed: %s found by another copy's tables\n",
			text);
	}
	if (losses->guessed) {
		rfs_format_bytes(losses->guessed, text);
		fprintf(out, "Guessed: %s behind tables found in the file\n",
			text);
	}
}

static void put_orphans(const struct rfs_orphans *o, FILE *out)
{
	char text[RFS_FORMAT_ROOM];

	if (!o->clusters)
		return;
	rfs_format_bytes(o->bytes, text);
	fprintf(out,
		"Orphans: %s in %" PRIu64 " clusters of the damaged image are "
		"in use, and no table that can be read claims them: written "
		"since the backup, or leaked%s.\n",
		text, o->clusters,
		o->is_partial ? ", or healed by the backup's tables" : "");
}

int rfs_losses_text(const struct rfs_disk *disk,
		    const struct rfs_losses *losses, FILE *out,
		    struct rfs_error *err)
{
	RFS_CLEANUP_FREE char *path = rfs_disk_path(disk);
	RFS_CLEANUP_FREE char *name = path ? rfs_text_escape(path) : NULL;
	RFS_CLEANUP_FREE char *word = path ? rfs_text_shell(path) : NULL;
	char size[RFS_FORMAT_ROOM];
	int r;

	if (!name || !word)
		return rfs_no_memory(err);
	rfs_format_bytes(losses->size, size);
	fprintf(out, "%s, %s\n", name, size);
	r = put_volumes(losses, out, err);
	fputc('\n', out);
	for (int s = RFS_LOSS_LOST; s <= RFS_LOSS_WRONG && r == 0; s++)
		r = put_sum(losses, (enum rfs_loss_state)s, out, err);
	if (r == 0)
		r = put_refresh(losses, word, out, err);
	put_overwritten(losses, out);
	put_healed(losses, out);
	put_orphans(&losses->orphans, out);
	rfs_strays_text(&losses->strays, "", out);
	put_unread(losses, word, out);
	if (r == 0)
		r = put_alarms(disk, losses, out, err);
	if (r == 0)
		r = put_table(disk, losses, true, out, err);
	if (r == 0)
		r = put_table(disk, losses, false, out, err);
	if (r == 0 && (fflush(out) == EOF || ferror(out)))
		r = rfs_fail(err, EIO, "%s: its losses could not be written",
			     name);
	return r;
}

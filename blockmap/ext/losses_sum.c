// SPDX-License-Identifier: GPL-3.0-or-later
/* What the losses come to. */
#include <stdlib.h>

#include "core/cleanup.h"
#include "ext/losses.h"

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* An inode is hit once, however many of its parts are. */
static uint64_t count_distinct(uint64_t *numbers, size_t n)
{
	uint64_t distinct = 0;

	if (n)
		qsort(numbers, n, sizeof(*numbers), compare_numbers);
	for (size_t i = 0; i < n; i++)
		distinct += i == 0 || numbers[i] != numbers[i - 1];
	return distinct;
}

static bool is_of_file(const struct rfs_loss *loss)
{
	return loss->inode && loss->kind <= RFS_LOSS_XATTR;
}

static void add(struct rfs_losses_sum *sum, const struct rfs_loss *loss)
{
	if (!rfs_loss_matters(loss))
		sum->harmless += loss->bytes;
	else if (loss->kind == RFS_LOSS_DATA)
		sum->data += loss->bytes;
	else if (loss->kind == RFS_LOSS_UNOWNED || loss->kind == RFS_LOSS_OTHER)
		sum->unknown += loss->bytes;
	else
		sum->tables += loss->bytes;
}

int rfs_losses_sum(const struct rfs_losses *losses, enum rfs_loss_state state,
		   struct rfs_losses_sum *ret, struct rfs_error *err)
{
	RFS_CLEANUP_FREE uint64_t *inodes = NULL;
	size_t n = 0;

	inodes = calloc(losses->count + 1, sizeof(*inodes));
	if (!inodes)
		return rfs_no_memory(err);
	*ret = (struct rfs_losses_sum){ 0 };
	for (size_t i = 0; i < losses->count; i++) {
		const struct rfs_loss *loss = &losses->items[i];

		if (loss->state != state)
			continue;
		add(ret, loss);
		if (is_of_file(loss) && rfs_loss_matters(loss))
			inodes[n++] =
				(uint64_t)loss->volume << 32 | loss->inode;
	}
	ret->inodes = count_distinct(inodes, n);
	return 0;
}

bool rfs_losses_matter(const struct rfs_losses *losses)
{
	for (size_t i = 0; i < losses->count; i++)
		if (rfs_loss_matters(&losses->items[i]))
			return true;
	/* Of what was not to be read nothing follows. */
	if (losses->unread_tables)
		return false;
	for (size_t i = 0; i < losses->nvolumes; i++)
		if (losses->volumes[i].why[0] || losses->volumes[i].missing ||
		    losses->volumes[i].groups_lost ||
		    losses->volumes[i].is_endless)
			return true;
	return losses->is_table_partial || losses->missing;
}

enum rfs_journal_alarm rfs_losses_journal(const struct rfs_losses *losses,
					  uint32_t volume)
{
	for (size_t i = 0; i < losses->count; i++)
		if (losses->items[i].kind == RFS_LOSS_JOURNAL &&
		    losses->items[i].volume == volume)
			return losses->volumes[volume].is_dirty
				       ? RFS_JOURNAL_HIT_DIRTY
				       : RFS_JOURNAL_HIT;
	return RFS_JOURNAL_GOOD;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "tools/report_facts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "site/names.h"
#include "tools/subject.h"

static int sum_up(struct rfs_disk_facts *f, struct rfs_error *err)
{
	int r = 0;

	rfs_report_totals(&f->report, f->totals);
	for (int s = 0; s < RFS_BLOCK_STATES; s++)
		f->size += f->totals[s];
	for (int s = RFS_LOSS_LOST; s <= RFS_LOSS_WRONG && r == 0; s++)
		r = rfs_losses_sum(&f->losses, (enum rfs_loss_state)s,
				   &f->sums[s], err);
	return r;
}

static int look_for_advice(struct rfs_disk_facts *f, struct rfs_subject *s,
			   const char *mountpoint, struct rfs_error *err)
{
	int r = rfs_advise(s, false, &f->advice, err);

	if (r < 0)
		return r;
	f->has_advice = true;
	f->commands = rfs_advice_commands(&f->advice, mountpoint);
	return f->commands ? 0 : rfs_no_memory(err);
}

/* What reads most comes first, and the report last: it is of all that was read. */
static int look(struct rfs_disk_facts *f, struct rfs_subject *s,
		const char *mountpoint, const struct rfs_facts_config *config,
		struct rfs_error *err)
{
	int r = 0;

	if (config->advise && !config->quiet)
		r = look_for_advice(f, s, mountpoint, err);
	if (r == 0)
		r = rfs_subject_losses(s, config->quiet, &f->losses, err);
	if (r == 0)
		r = rfs_subject_report(s, &f->report, err);
	return r == 0 ? sum_up(f, err) : r;
}

static int gather_one(struct rfs_target *t, struct rfs_disk_facts *f,
		      const struct rfs_facts_config *config,
		      struct rfs_error *err)
{
	struct rfs_error why = RFS_ERROR_INIT;
	struct rfs_subject *s;
	int r, closed;

	f->name = rfs_disk_path(f->disk);
	f->word = f->name ? rfs_text_shell(f->name) : NULL;
	if (!f->word)
		return rfs_no_memory(err);
	r = rfs_subject_open(t, f->disk, &s, &why);
	if (r == 0) {
		r = look(f, s, t->mountpoint, config, &why);
		closed = rfs_subject_close(s, r < 0 ? NULL : &why);
		r = r < 0 ? r : closed;
	}
	if (r == 0)
		return 0;
	if (r == -EINTR)
		return rfs_fail(err, EINTR, "%s", why.text);
	f->error = strdup(why.text);
	return f->error ? 0 : rfs_no_memory(err);
}

int rfs_site_facts_gather(struct rfs_target *t,
			  const struct rfs_facts_config *config,
			  struct rfs_site_facts *ret, struct rfs_error *err)
{
	struct rfs_site_facts facts = { 0 };
	int r = 0;

	facts.items = calloc(t->ndisks + 1, sizeof(*facts.items));
	if (!facts.items)
		return rfs_no_memory(err);
	for (size_t i = 0; i < t->ndisks && r == 0; i++) {
		struct rfs_disk_facts *f = &facts.items[facts.count++];

		f->disk = t->disks[i];
		r = gather_one(t, f, config, err);
	}
	if (r < 0)
		rfs_site_facts_fini(&facts);
	else
		*ret = facts;
	return r;
}

void rfs_site_facts_fini(struct rfs_site_facts *facts)
{
	for (size_t i = 0; i < facts->count; i++) {
		free(facts->items[i].name);
		free(facts->items[i].word);
		free(facts->items[i].error);
		free(facts->items[i].commands);
		rfs_advice_fini(&facts->items[i].advice);
		rfs_report_fini(&facts->items[i].report);
		rfs_losses_fini(&facts->items[i].losses);
	}
	free(facts->items);
	*facts = (struct rfs_site_facts){ 0 };
}

// SPDX-License-Identifier: GPL-3.0-or-later
/* Is another copy one of the same image, as far as the headers say?  Version,
 * cluster size, size and base agree, and neither has an internal snapshot or a data
 * file. */
#include "readers/qcow2_heal.h"

#include <errno.h>

/* Texts of two headers; "" was there and could not be read. */
static bool is_same_name(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return *a && strcmp(a, b) == 0;
}

/* 0: they name the same base, 1: another. */
static int compare_bases(struct rfs_reader *a, struct rfs_reader *b,
			 struct rfs_error *err)
{
	struct rfs_qcow2_info x, y;
	int r = rfs_qcow2_info(a, &x, err);

	if (r < 0)
		return r;
	r = rfs_qcow2_info(b, &y, err);
	if (r == 0) {
		r = !is_same_name(x.backing_file, y.backing_file) ||
		    !is_same_name(x.backing_format, y.backing_format);
		rfs_qcow2_info_fini(&y);
	}
	rfs_qcow2_info_fini(&x);
	return r;
}

/* 0: the bytes of 'range' that can be read of both are the same, 1: they are not. */
static int compare_left(struct rfs_reader *ours, struct rfs_reader *theirs,
			struct rfs_range range, struct rfs_error *err)
{
	uint8_t a[RFS_QCOW2_NAME_MAX], b[RFS_QCOW2_NAME_MAX];
	struct rfs_ranges bad = { 0 };
	int r;

	if (!range.len || range.len > sizeof(a) ||
	    !rfs_range_fits(range, rfs_reader_size(ours)))
		return 0;
	r = rfs_reader_read(theirs, range, b, NULL, err);
	if (r == 0)
		r = rfs_reader_read(ours, range, a, &bad, err);
	for (size_t i = 0; r == -EIO && i < bad.count; i++)
		memcpy(a + (bad.items[i].off - range.off),
		       b + (bad.items[i].off - range.off), bad.items[i].len);
	/* Without a list nothing of it can be told. */
	if (r == 0 || (r == -EIO && bad.count))
		r = memcmp(a, b, range.len) != 0;
	else if (r == -EIO)
		r = 0;
	rfs_ranges_fini(&bad);
	return r;
}

/* The header is the copy's: what is left of the image's own, behind the lost
 * sector, must name the same base. */
static int compare_names_left(const struct rfs_qcow2_healing *h,
			      const struct rfs_qcow2_judged *w,
			      struct rfs_error *err)
{
	const struct rfs_qcow2_header *header = &w->q->header;
	int r = compare_left(
		h->q->file, w->file,
		rfs_range(header->backing_off, header->backing_len), err);

	return r ? r
		 : compare_left(h->q->file, w->file, header->backing_format,
				err);
}

int rfs_qcow2_find_unfit(struct rfs_qcow2_healing *h,
			 struct rfs_qcow2_judged *w, const char **ret_why,
			 struct rfs_error *err)
{
	const struct rfs_qcow2 *q = h->q, *o = w->q;
	int r = 0;

	*ret_why = NULL;
	if (q->header.snapshots || o->header.snapshots)
		*ret_why = "one of the two has internal snapshots";
	else if (q->has_data_file || o->has_data_file)
		*ret_why = "its data is in another file";
	else if (q->header.size != o->header.size)
		*ret_why = "its disk has another size";
	else if (q->header.version != o->header.version ||
		 q->cluster_bits != o->cluster_bits ||
		 q->extended != o->extended)
		*ret_why = "its tables are of another kind";
	else if (q->is_borrowed)
		r = compare_names_left(h, w, err);
	else
		r = compare_bases(q->file, w->file, err);
	if (r > 0)
		*ret_why = "it does not stand on the same base";
	return r < 0 ? r : 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/site_words.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* How many letters must change to make one of the other. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], na = strlen(a), nb = strlen(b);

	if (na > 31 || nb > 31)
		return SIZE_MAX;
	for (size_t j = 0; j <= nb; j++)
		row[j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[nb];
}

void rfs_words_nearest(const char *list, const char *word, char best[32])
{
	size_t least = SIZE_MAX;
	char each[32];
	int n;

	*best = '\0';
	for (const char *p = list; sscanf(p, "%31s%n", each, &n) == 1; p += n) {
		size_t d = distance(each, word);

		if (d < least) {
			least = d;
			snprintf(best, 32, "%s", each);
		}
	}
}

bool rfs_words_has(const char *list, const char *word)
{
	char each[32];
	int n;

	for (const char *p = list; sscanf(p, "%31s%n", each, &n) == 1; p += n)
		if (!strcmp(each, word))
			return true;
	return false;
}

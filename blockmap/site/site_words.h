/* SPDX-License-Identifier: GPL-3.0-or-later */
/* site_words.h - the words that a site file may have in some place, given as a list
 * with blanks between them; none of them has more than 31 letters. */
#ifndef RESCUEFS_SITE_SITE_WORDS_H
#define RESCUEFS_SITE_SITE_WORDS_H

#include <stdbool.h>

bool rfs_words_has(const char *list, const char *word);

/* The one that comes nearest to 'word', which was misspelt perhaps. */
void rfs_words_nearest(const char *list, const char *word, char best[32]);

#endif /* RESCUEFS_SITE_SITE_WORDS_H */

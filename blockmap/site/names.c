// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/names.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cleanup.h"

bool rfs_uuid_normal(const char *text, char ret[RFS_UUID_TEXT])
{
	size_t n = 0;

	for (const char *p = text; *p; p++) {
		if (*p == '-' && (n == 8 || n == 13 || n == 18 || n == 23))
			continue;
		if (n == 8 || n == 13 || n == 18 || n == 23)
			ret[n++] = '-';
		if (!isxdigit((unsigned char)*p) || n >= RFS_UUID_TEXT - 1)
			return false;
		ret[n++] = (char)tolower((unsigned char)*p);
	}
	ret[n] = '\0';
	return n == RFS_UUID_TEXT - 1;
}

bool rfs_is_essex_name(const char *name)
{
	size_t n;

	if (strncmp(name, "instance-", 9) != 0)
		return false;
	n = strspn(name + 9, "0123456789abcdef");
	return n >= 8 && n <= 16 && !name[9 + n];
}

/* The character at 'p' and its length in bytes; 0 if it is no UTF-8. */
static size_t decode(const unsigned char *p, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
	uint32_t c = *p;

	if (len > 1) {
		if (*p < 0xc2 || *p > 0xf4)
			return 0;
		c = *p & (0x7fu >> len);
	}
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

static bool is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 ||
	       c == 0x2029;
}

/* Marks that make a terminal show one name as another. */
static bool is_disguise(uint32_t c)
{
	return (c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x2069) || c == 0xfeff;
}

/* What is left alone; 'first' is the character at the beginning. */
typedef bool fit_fn(uint32_t c, bool first);

static bool is_fit_for_name(uint32_t c, bool first)
{
	return !is_control(c) && !is_disguise(c) && c != '/' && c != '\\' &&
	       !(first && (c == '.' || c == ' '));
}

static bool is_fit_for_text(uint32_t c, bool first)
{
	(void)first;
	return !is_control(c);
}

static bool is_fit_for_path(uint32_t c, bool first)
{
	(void)first;
	/* The last two of each plane are no characters, and XML has none. */
	return !is_control(c) && !is_disguise(c) && (c & 0xfffe) != 0xfffe;
}

static char *escape(const char *text, fit_fn *is_fit, size_t max)
{
	const unsigned char *p = (const unsigned char *)text;
	char *out = malloc(strlen(text) * 4 + 1), *q = out;

	while (out && *p) {
		uint32_t c = 0;
		size_t len = decode(p, &c), take = len ? len : 1;
		bool first = p == (const unsigned char *)text;
		bool fit = len && is_fit(c, first);

		if ((size_t)(q - out) + (fit ? take : take * 4) > max)
			break;
		for (size_t i = 0; i < take; i++)
			if (fit)
				*q++ = (char)p[i];
			else
				q += sprintf(q, "\\x%02x", p[i]);
		p += take;
	}
	if (out)
		*q = '\0';
	return out;
}

char *rfs_name_escape(const char *name)
{
	return escape(name, is_fit_for_name, RFS_NAME_ESCAPED_MAX);
}

char *rfs_text_escape(const char *text)
{
	return escape(text, is_fit_for_text, SIZE_MAX);
}

void rfs_text_put(FILE *out, const char *before, const char *text)
{
	RFS_CLEANUP_FREE char *fit = text ? rfs_text_escape(text) : NULL;

	if (fit)
		fprintf(out, "%s%s", before, fit);
}

char *rfs_path_escape(const char *path)
{
	return escape(path, is_fit_for_path, SIZE_MAX);
}

static bool is_printable(unsigned char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static bool is_shell_word(const char *text)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./:@%+,=";

	return *text && !text[strspn(text, plain)];
}

/* Without 'plain', bytes that are no printable ASCII by their number. */
static void put_quoted(const char *text, bool plain, FILE *out)
{
	fputs(plain ? "'" : "$'", out);
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '\'')
			fputs(plain ? "'\\''" : "\\'", out);
		else if (!plain && c == '\\')
			fputs("\\\\", out);
		else if (!plain && !is_printable(c))
			fprintf(out, "\\%03o", c);
		else
			fputc(c, out);
	}
	fputc('\'', out);
}

void rfs_text_quote(const char *text, FILE *out)
{
	const char *p = text;

	while (is_printable((unsigned char)*p))
		p++;
	put_quoted(text, !*p, out);
}

char *rfs_text_shell(const char *text)
{
	RFS_CLEANUP_FREE char *fit = rfs_text_escape(text);
	char *word = NULL;
	size_t len;
	FILE *out;

	if (is_shell_word(text))
		return strdup(text);
	out = fit ? open_memstream(&word, &len) : NULL;
	if (!out)
		return NULL;
	put_quoted(text, strcmp(fit, text) == 0, out);
	if (fclose(out) == 0)
		return word;
	free(word);
	return NULL;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/digest.h"

#include <gcrypt.h>
#include <pthread.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* No secrets here: no locked memory is asked for. */
static void start(void)
{
	if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
		return;
	gcry_check_version(NULL);
	gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
	gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

struct rfs_digest rfs_digest(const void *buf, size_t len)
{
	struct rfs_digest ret;
	uint8_t whole[32];

	pthread_once(&once, start);
	gcry_md_hash_buffer(GCRY_MD_SHA256, whole, buf, len);
	memcpy(ret.bytes, whole, sizeof(ret.bytes));
	return ret;
}

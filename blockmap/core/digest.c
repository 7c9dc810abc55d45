// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/digest.h"

#include <gcrypt.h>
#include <pthread.h>
#include <string.h>
#include <xxhash.h>

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

void rfs_digest_start(void)
{
	pthread_once(&once, start);
}

struct rfs_digest rfs_digest(const void *buf, size_t len)
{
	struct rfs_digest ret;
	uint8_t whole[32];

	rfs_digest_start();
	gcry_md_hash_buffer(GCRY_MD_SHA256, whole, buf, len);
	memcpy(ret.bytes, whole, sizeof(ret.bytes));
	return ret;
}

struct rfs_digest rfs_digest_data(const void *buf, size_t len)
{
	XXH128_canonical_t whole;
	struct rfs_digest ret;

	_Static_assert(sizeof(whole.digest) == sizeof(ret.bytes),
		       "a digest has the size of XXH3's longer one");
	XXH128_canonicalFromHash(&whole, XXH3_128bits(buf, len));
	memcpy(ret.bytes, whole.digest, sizeof(ret.bytes));
	return ret;
}

bool rfs_digest_agrees(const struct rfs_digest *d, const void *buf, size_t len)
{
	struct rfs_digest is = rfs_digest_data(buf, len);

	if (memcmp(is.bytes, d->bytes, sizeof(is.bytes)) == 0)
		return true;
	is = rfs_digest(buf, len);
	return memcmp(is.bytes, d->bytes, sizeof(is.bytes)) == 0;
}

// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/hostnode.h"

#define FIRST_BUCKETS 256

/* Set in these numbers and in none of the static tree's. */
#define HOST_INO (UINT64_C(1) << 63)

int rfs_hostnodes_init(struct rfs_hostnodes *table)
{
	memset(table, 0, sizeof(*table));
	/* Names come from the sources: with a seed they cannot be chosen to
	 * fall into one bucket. */
	if (getrandom(&table->seed, sizeof(table->seed), 0) < 0)
		table->seed = (uintptr_t)table;
	table->buckets = calloc(FIRST_BUCKETS, sizeof(*table->buckets));
	if (!table->buckets)
		return -ENOMEM;
	table->nbuckets = FIRST_BUCKETS;
	pthread_mutex_init(&table->lock, NULL);
	return 0;
}

void rfs_hostnodes_fini(struct rfs_hostnodes *table)
{
	struct rfs_node *node, *next;

	for (size_t i = 0; i < table->nbuckets; i++)
		for (node = table->buckets[i]; node; node = next) {
			next = node->next;
			free(node->host.path);
			free(node);
		}
	if (table->buckets)
		pthread_mutex_destroy(&table->lock);
	free(table->buckets);
	memset(table, 0, sizeof(*table));
}

/* FNV-1a, then mixed so that the low bits, which choose the bucket, depend on
 * all others. */
uint64_t rfs_hostnodes_ino(const struct rfs_hostnodes *table,
			   const struct rfs_host *host, const char *path)
{
	uint64_t h = table->seed ^ (uintptr_t)host;

	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * UINT64_C(0x100000001b3);
	h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
	return (h ^ (h >> 33)) | HOST_INO;
}

static struct rfs_node **bucket_of(struct rfs_hostnodes *table, uint64_t ino)
{
	return &table->buckets[ino & (table->nbuckets - 1)];
}

/* Without memory the table stays as it is: slower, and right. */
static void grow_locked(struct rfs_hostnodes *table)
{
	struct rfs_node **old = table->buckets, *node, *next;
	size_t nold = table->nbuckets;
	struct rfs_node **buckets = calloc(nold * 2, sizeof(*buckets));

	if (!buckets)
		return;
	table->buckets = buckets;
	table->nbuckets = nold * 2;
	for (size_t i = 0; i < nold; i++)
		for (node = old[i]; node; node = next) {
			struct rfs_node **bucket = bucket_of(table, node->ino);

			next = node->next;
			node->next = *bucket;
			*bucket = node;
		}
	free(old);
}

static struct rfs_node *find_locked(struct rfs_hostnodes *table, uint64_t ino,
				    const struct rfs_host *host,
				    const char *path)
{
	struct rfs_node *node = *bucket_of(table, ino);

	while (node && (node->ino != ino || node->host.host != host ||
			strcmp(node->host.path, path) != 0))
		node = node->next;
	return node;
}

static struct rfs_node *add_locked(struct rfs_hostnodes *table, uint64_t ino,
				   const struct rfs_host *host,
				   const char *path, uint64_t parent_ino)
{
	struct rfs_node *node = calloc(1, sizeof(*node));
	char *copy = strdup(path);
	struct rfs_node **bucket;

	if (!node || !copy) {
		free(node);
		free(copy);
		return NULL;
	}
	*node = (struct rfs_node){
		.kind = RFS_NODE_HOST,
		.ino = ino,
		.generation = ++table->last_generation,
		.parent_ino = parent_ino,
		.host = { .host = host, .path = copy },
	};
	if (++table->count > table->nbuckets)
		grow_locked(table);
	bucket = bucket_of(table, ino);
	node->next = *bucket;
	*bucket = node;
	return node;
}

int rfs_hostnodes_get(struct rfs_hostnodes *table, const struct rfs_host *host,
		      const char *path, uint64_t parent_ino,
		      struct rfs_node **ret)
{
	uint64_t ino = rfs_hostnodes_ino(table, host, path);
	struct rfs_node *node;

	pthread_mutex_lock(&table->lock);
	node = find_locked(table, ino, host, path);
	if (!node)
		node = add_locked(table, ino, host, path, parent_ino);
	if (node)
		node->lookups++;
	pthread_mutex_unlock(&table->lock);
	if (!node)
		return -ENOMEM;
	*ret = node;
	return 0;
}

static void unlink_locked(struct rfs_hostnodes *table, struct rfs_node *node)
{
	struct rfs_node **at = bucket_of(table, node->ino);

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	table->count--;
}

void rfs_hostnodes_forget(struct rfs_hostnodes *table, struct rfs_node *node,
			  uint64_t nlookups)
{
	bool is_last;

	pthread_mutex_lock(&table->lock);
	node->lookups -= nlookups < node->lookups ? nlookups : node->lookups;
	is_last = node->lookups == 0;
	if (is_last)
		unlink_locked(table, node);
	pthread_mutex_unlock(&table->lock);
	if (!is_last)
		return;
	free(node->host.path);
	free(node);
}

// SPDX-License-Identifier: GPL-3.0-or-later
/* The mount's tree, without a mount: which names it has, and the nodes that
 * come and go below hosts/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/hostnode.h"
#include "fs/tree.h"

struct scene {
	struct rfs_site site;
	struct rfs_source damaged, backup;
	struct rfs_source *sources[2];
	struct rfs_host host;
	struct rfs_host *hosts[1];
	struct rfs_copy copies[2];
	struct rfs_disk disks[3];
	struct rfs_instance_file files[2];
	struct rfs_instance instance;
	struct rfs_instance *instances[1];
	struct rfs_inventory inv;
	struct rfs_tree tree;
};

/* Casts away const from literals that nobody writes to. */
static char *lit(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void fill(struct scene *s)
{
	static const char *const names[] = { "disk", "../escape",
					     "disk.local" };

	s->damaged = (struct rfs_source){ .origin = { lit("bm0002") },
					  .kind = RFS_DAMAGED };
	s->backup = (struct rfs_source){ .origin = { lit("backup") },
					 .kind = RFS_BACKUP };
	s->sources[0] = &s->damaged;
	s->sources[1] = &s->backup;
	s->copies[0] = (struct rfs_copy){ .source = &s->damaged };
	s->copies[1] = (struct rfs_copy){ .source = &s->backup };
	s->host = (struct rfs_host){ .name = lit("bm0002.the.re"),
				     .sources = s->sources,
				     .nsources = 2 };
	s->hosts[0] = &s->host;
	s->instances[0] = &s->instance;
	for (size_t i = 0; i < 3; i++)
		s->disks[i] = (struct rfs_disk){ .instance = &s->instance,
						 .name = lit(names[i]),
						 .id = lit(names[i]),
						 .copies = s->copies,
						 .ncopies = 2 };
	s->disks[2].ncopies = 1; /* the damaged host alone has it */
	/* The first name is the tree's own. */
	s->files[0] = (struct rfs_instance_file){ lit("rescue"), lit("/r") };
	s->files[1] =
		(struct rfs_instance_file){ lit("libvirt.xml"), lit("/l") };
	s->instance =
		(struct rfs_instance){ .tree_name = lit("april-ci"),
				       .id_name = lit("instance-00000007"),
				       .uuid = lit("4dc574c5"),
				       .host = &s->host,
				       .disks = s->disks,
				       .ndisks = 3,
				       .files = s->files,
				       .nfiles = 2 };
	s->site.name = lit("bm0002");
	s->site.sources = s->sources;
	s->site.nsources = 2;
	s->inv = (struct rfs_inventory){ .site = &s->site,
					 .hosts = s->hosts,
					 .nhosts = 1,
					 .instances = s->instances,
					 .ninstances = 1 };
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	rfs_notes_init(&s->site.notes);
	fill(s);
	assert_int_equal(rfs_tree_build(&s->tree, &s->inv, NULL, NULL), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	assert_int_equal(rfs_tree_fini(&s->tree, NULL, NULL), 0);
	rfs_notes_fini(&s->site.notes);
	free(s);
	return 0;
}

/* The node at a path, or NULL. */
static struct rfs_node *at(const struct scene *s, const char *path)
{
	struct rfs_node *node = s->tree.root;
	char copy[256], *rest = copy, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	while (node && (name = strsep(&rest, "/")))
		node = node->kind == RFS_NODE_DIR ? rfs_tree_find(node, name)
						  : NULL;
	return node;
}

static void has_what_the_design_says(void **state)
{
	static const struct {
		const char *path;
		enum rfs_node_kind kind;
	} want[] = {
		{ "README", RFS_NODE_TEXT },
		{ "status.json", RFS_NODE_TEXT },
		{ "instances/april-ci/disk", RFS_NODE_IMAGE },
		{ "instances/april-ci/disk.local", RFS_NODE_IMAGE },
		{ "instances/april-ci/libvirt.xml", RFS_NODE_HOST },
		{ "instances/april-ci/instance.json", RFS_NODE_TEXT },
		{ "instances/april-ci/rescue/disk.map", RFS_NODE_TEXT },
		{ "instances/april-ci/rescue/disk.local.json", RFS_NODE_TEXT },
		{ "hosts/bm0002.the.re", RFS_NODE_HOST },
		{ "sources/bm0002/instances/april-ci/disk", RFS_NODE_COPY },
		{ "sources/backup/instances/april-ci/disk", RFS_NODE_COPY },
		{ "by-uuid/4dc574c5", RFS_NODE_LINK },
		{ "by-id/instance-00000007", RFS_NODE_LINK },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		const struct rfs_node *node = at(*state, want[i].path);

		assert_non_null(node);
		assert_int_equal(node->kind, want[i].kind);
	}
	assert_string_equal(at(*state, "by-uuid/4dc574c5")->target,
			    "../instances/april-ci");
}

static void has_nothing_else(void **state)
{
	assert_null(at(*state, "instances/nobody"));
	assert_null(at(*state, "README/x"));
	assert_null(at(*state, "instances/april-ci/"));
	assert_null(at(*state, "instances/april-ci/.."));
	/* The backup has no copy of it. */
	assert_null(at(*state, "sources/backup/instances/april-ci/disk.local"));
}

static void count_note(const char *text, void *data)
{
	(void)text;
	++*(unsigned *)data;
}

static void leaves_out_what_cannot_be_named(void **state)
{
	struct scene *s = *state;
	const struct rfs_node *dir = at(s, "instances/april-ci");
	unsigned notes = 0;

	/* rescue, instance.json, two disks, libvirt.xml */
	assert_int_equal(dir->children.count, 5);
	assert_int_equal(at(s, "instances/april-ci/rescue")->kind,
			 RFS_NODE_DIR);
	rfs_notes_each(&s->site.notes, 0, count_note, &notes);
	assert_int_equal(notes, 2);
}

static void counts_directories(void **state)
{
	assert_int_equal(at(*state, "instances")->children.subdirs, 1);
	assert_int_equal(at(*state, "instances/april-ci")->children.subdirs, 1);
	assert_int_equal(at(*state, "hosts")->children.subdirs, 1);
	assert_int_equal(at(*state, "by-id")->children.subdirs, 0);
	assert_int_equal(((struct scene *)*state)->tree.root->children.subdirs,
			 5);
}

static void one_name_is_one_node(void **state)
{
	struct scene *s = *state;
	struct rfs_hostnodes table;
	struct rfs_node *a, *b, *c;
	uint64_t ino;

	assert_int_equal(rfs_hostnodes_init(&table), 0);
	rfs_hostnodes_get(&table, &s->host, "/etc", 1, &a);
	rfs_hostnodes_get(&table, &s->host, "/etc", 1, &b);
	rfs_hostnodes_get(&table, &s->host, "/etd", 1, &c);
	assert_ptr_equal(a, b);
	assert_ptr_not_equal(a, c);
	assert_int_not_equal(a->ino, c->ino);
	assert_int_equal(a->lookups, 2);
	ino = a->ino;
	assert_int_equal(rfs_hostnodes_ino(&table, &s->host, "/etc"), ino);

	rfs_hostnodes_forget(&table, a, 1);
	assert_int_equal(table.count, 2);
	rfs_hostnodes_forget(&table, a, 1);
	assert_int_equal(table.count, 1);

	/* It comes back under its old number. */
	rfs_hostnodes_get(&table, &s->host, "/etc", 1, &a);
	assert_int_equal(a->ino, ino);
	rfs_hostnodes_fini(&table);
}

static void many_nodes_stay_apart(void **state)
{
	enum { N = 5000 };
	static struct rfs_node *nodes[N];
	struct scene *s = *state;
	struct rfs_hostnodes table;
	struct rfs_node *again;
	char path[32];

	assert_int_equal(rfs_hostnodes_init(&table), 0);
	for (int i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/dir/%d", i);
		assert_int_equal(
			rfs_hostnodes_get(&table, &s->host, path, 1, &nodes[i]),
			0);
	}
	assert_int_equal(table.count, N);
	for (int i = 0; i < N; i++) {
		snprintf(path, sizeof(path), "/dir/%d", i);
		rfs_hostnodes_get(&table, &s->host, path, 1, &again);
		assert_ptr_equal(again, nodes[i]);
		rfs_hostnodes_forget(&table, again, 2);
	}
	assert_int_equal(table.count, 0);
	rfs_hostnodes_fini(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_what_the_design_says),
		cmocka_unit_test(has_nothing_else),
		cmocka_unit_test(leaves_out_what_cannot_be_named),
		cmocka_unit_test(counts_directories),
		cmocka_unit_test(one_name_is_one_node),
		cmocka_unit_test(many_nodes_stay_apart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

// SPDX-License-Identifier: GPL-3.0-or-later
/* faults.c - an nbdkit plugin that serves a file as a failing disk does.
 *
 *   nbdkit faults.so file=IMAGE [faults=LINES] [counts=COUNTS]
 *
 * LINES is read again whenever it is replaced.  Each line is one fault, its
 * numbers decimal; '#' begins a remark:
 *
 *   eio OFF LEN [TIMES]   a read that touches the range fails; with TIMES,
 *                         only the first so many for each sector
 *   slow MS OFF LEN       such a read takes MS milliseconds
 *   hang OFF LEN          such a read waits until the line is gone
 *   drop OFF LEN          such a read ends every connection
 *   zero OFF LEN          the bytes of the range read as zeros
 *   flip OFF LEN          each bit of the range reads as its opposite
 *   stale FILE OFF LEN    the range reads as FILE has it, at the same place
 *
 * What is delivered is changed in the order of the lines.  A line that makes
 * no sense fails every read, so that a slip in a test shows.  A fault's own
 * count of TIMES begins anew when LINES changes.
 *
 * COUNTS becomes an array of uint32_t, one for each 512-byte sector: how often
 * the sector was asked for, whatever came of it.
 *
 * Requests run in parallel.  'lock' guards the table of faults; nothing
 * sleeps while it is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#define SECTOR	    512u
#define MAX_FAULTS  4096
#define HANG_NAP_NS 20000000

enum kind { EIO_, SLOW, HANG, DROP, ZERO, FLIP, STALE };

struct fault {
	enum kind kind;
	uint64_t off, len;
	uint32_t arg;	   /* SLOW: milliseconds; EIO_: times, 0 for always */
	uint32_t *touched; /* EIO_ with times: reads so far of each sector */
	int fd;		   /* STALE: the other file; else -1 */
};

/* What becomes of one request before its bytes are fetched. */
struct verdict {
	bool fail, hang, drop;
	uint32_t delay_ms;
};

static char *image_path, *lines_path, *counts_path;
static int image_fd = -1;
static uint64_t image_size;
static uint32_t *counts; /* atomic increments; NULL without counts= */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault *table;    /* guarded by lock */
static size_t table_len;       /* guarded by lock */
static struct stat lines_seen; /* guarded by lock */

static void clear_table(void)
{
	for (size_t i = 0; i < table_len; i++) {
		free(table[i].touched);
		if (table[i].fd >= 0)
			close(table[i].fd);
	}
	table_len = 0;
}

/* Reads one line, without its remark, into *f.  Says whether it made sense. */
static bool parse_fault(const char *line, struct fault *f)
{
	char file[4096];
	uint64_t off, len;
	uint32_t arg = 0;
	int end = -1;

	*f = (struct fault){ .fd = -1 };
#define IS(format, ...)                                                        \
	(end = -1, sscanf(line, " " format " %n", __VA_ARGS__, &end),          \
	 end >= 0 && !line[end])
#define RANGE "%" SCNu64 " %" SCNu64
	if (IS("eio " RANGE, &off, &len) ||
	    IS("eio " RANGE " %" SCNu32, &off, &len, &arg))
		f->kind = EIO_;
	else if (IS("slow %" SCNu32 " " RANGE, &arg, &off, &len))
		f->kind = SLOW;
	else if (IS("hang " RANGE, &off, &len))
		f->kind = HANG;
	else if (IS("drop " RANGE, &off, &len))
		f->kind = DROP;
	else if (IS("zero " RANGE, &off, &len))
		f->kind = ZERO;
	else if (IS("flip " RANGE, &off, &len))
		f->kind = FLIP;
	else if (IS("stale %4095s " RANGE, file, &off, &len))
		f->kind = STALE;
	else
		return false;
#undef RANGE
#undef IS
	if (!len || len > UINT64_MAX - off)
		return false;
	f->off = off;
	f->len = len;
	f->arg = arg;
	if (f->kind == STALE)
		f->fd = open(file, O_RDONLY | O_CLOEXEC);
	if (f->kind == EIO_ && arg && off < image_size)
		f->touched =
			calloc(image_size / SECTOR + 1, sizeof(*f->touched));
	return (f->kind != STALE || f->fd >= 0) &&
	       (f->kind != EIO_ || !arg || off >= image_size || f->touched);
}

static void add_line(char *line)
{
	struct fault f, *grown;

	line[strcspn(line, "#\n")] = '\0';
	if (!line[strspn(line, " \t")])
		return;
	if (!parse_fault(line, &f)) {
		nbdkit_error("%s: this makes no sense: %s", lines_path, line);
		f = (struct fault){ .kind = EIO_, .len = UINT64_MAX, .fd = -1 };
	}
	grown = reallocarray(table, table_len + 1, sizeof(*table));
	if (!grown)
		abort();
	table = grown;
	table[table_len++] = f;
}

/* Reads the faults again if their file is another than the last time. */
static void refresh_table(void)
{
	char line[8192];
	struct stat st = { 0 };
	FILE *f;

	if (!lines_path)
		return;
	if (stat(lines_path, &st) == 0 && st.st_ino == lines_seen.st_ino &&
	    st.st_size == lines_seen.st_size &&
	    st.st_mtim.tv_sec == lines_seen.st_mtim.tv_sec &&
	    st.st_mtim.tv_nsec == lines_seen.st_mtim.tv_nsec)
		return;
	lines_seen = st;
	clear_table();
	f = fopen(lines_path, "re");
	if (!f) /* no file, no faults */
		return;
	while (fgets(line, sizeof(line), f))
		add_line(line);
	fclose(f);
}

static bool overlaps(const struct fault *f, uint64_t off, uint64_t end)
{
	return f->off < end && off < f->off + f->len;
}

/* Whether a fault that heals with use still fails; counts this use. */
static bool still_fails(struct fault *f, uint64_t off, uint64_t end)
{
	bool fails = false;

	if (!f->arg)
		return true;
	if (off < f->off)
		off = f->off;
	if (end > f->off + f->len)
		end = f->off + f->len;
	for (uint64_t s = off / SECTOR; s * SECTOR < end; s++)
		if (f->touched[s] < f->arg) {
			f->touched[s]++;
			fails = true;
		}
	return fails;
}

static struct verdict judge(uint64_t off, uint64_t end, bool only_hang)
{
	struct verdict v = { 0 };

	pthread_mutex_lock(&lock);
	refresh_table();
	for (size_t i = 0; i < table_len; i++) {
		struct fault *f = &table[i];

		if (!overlaps(f, off, end))
			continue;
		v.hang |= f->kind == HANG;
		v.drop |= f->kind == DROP;
		if (f->kind == SLOW && f->arg > v.delay_ms)
			v.delay_ms = f->arg;
		if (f->kind == EIO_ && !only_hang)
			v.fail |= still_fails(f, off, end);
	}
	pthread_mutex_unlock(&lock);
	return v;
}

static void distort(uint8_t *buf, uint64_t off, uint64_t end)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < table_len; i++) {
		const struct fault *f = &table[i];
		uint64_t a = f->off > off ? f->off : off;
		uint64_t b = f->off + f->len < end ? f->off + f->len : end;
		ssize_t n = 0;

		if (!overlaps(f, off, end))
			continue;
		if (f->kind == ZERO)
			memset(buf + (a - off), 0, b - a);
		for (uint64_t p = a; f->kind == FLIP && p < b; p++)
			buf[p - off] ^= 0xff;
		if (f->kind != STALE)
			continue;
		n = pread(f->fd, buf + (a - off), b - a, (off_t)a);
		n = n < 0 ? 0 : n;
		memset(buf + (a - off) + n, 0, b - a - (size_t)n);
	}
	pthread_mutex_unlock(&lock);
}

/* nbdkit has no call for it in every version: the connections are those of
 * our descriptors that are sockets with a peer.
 */
static void drop_connections(void)
{
	struct sockaddr_storage peer;

	for (int fd = 0; fd < 1024; fd++) {
		socklen_t len = sizeof(peer);

		if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0)
			shutdown(fd, SHUT_RDWR);
	}
}

static int refuse(void)
{
	nbdkit_set_error(EIO);
	return -1;
}

static int faults_pread(void *handle, void *buf, uint32_t count, uint64_t off,
			uint32_t flags)
{
	uint64_t end = off + count;
	struct verdict v = judge(off, end, false);
	uint8_t *p = buf;

	(void)handle;
	(void)flags;
	for (uint64_t s = off / SECTOR; counts && s * SECTOR < end; s++)
		__atomic_fetch_add(&counts[s], 1, __ATOMIC_RELAXED);
	while (v.hang) {
		if (nbdkit_nanosleep(0, HANG_NAP_NS) < 0)
			return refuse();
		v.hang = judge(off, end, true).hang;
	}
	if (v.delay_ms && nbdkit_nanosleep(v.delay_ms / 1000,
					   v.delay_ms % 1000 * 1000000) < 0)
		return refuse();
	if (v.drop)
		drop_connections();
	if (v.drop || v.fail)
		return refuse();

	for (uint64_t pos = off; pos < end;) {
		ssize_t n =
			pread(image_fd, p + (pos - off), end - pos, (off_t)pos);

		if (n <= 0) {
			nbdkit_error("%s: %m", image_path);
			return refuse();
		}
		pos += (size_t)n;
	}
	distort(p, off, end);
	return 0;
}

static int faults_config(const char *key, const char *value)
{
	char **where = !strcmp(key, "file")	? &image_path
		       : !strcmp(key, "faults") ? &lines_path
		       : !strcmp(key, "counts") ? &counts_path
						: NULL;

	if (!where) {
		nbdkit_error("unknown parameter '%s'", key);
		return -1;
	}
	*where = nbdkit_absolute_path(value);
	return *where ? 0 : -1;
}

static int map_counts(void)
{
	size_t len = (image_size / SECTOR + 1) * sizeof(*counts);
	int fd =
		open(counts_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, (off_t)len) == 0)
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (fd >= 0)
		close(fd);
	if (p == MAP_FAILED) {
		nbdkit_error("%s: %m", counts_path);
		return -1;
	}
	counts = p;
	return 0;
}

static int faults_get_ready(void)
{
	struct stat st;

	if (!image_path) {
		nbdkit_error("file=IMAGE is missing");
		return -1;
	}
	image_fd = open(image_path, O_RDONLY | O_CLOEXEC);
	if (image_fd < 0 || fstat(image_fd, &st) < 0) {
		nbdkit_error("%s: %m", image_path);
		return -1;
	}
	image_size = (uint64_t)st.st_size;
	return counts_path ? map_counts() : 0;
}

static void *faults_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t faults_get_size(void *handle)
{
	(void)handle;
	return (int64_t)image_size;
}

static int faults_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static void faults_unload(void)
{
	clear_table();
	free(table);
	if (image_fd >= 0)
		close(image_fd);
	free(image_path);
	free(lines_path);
	free(counts_path);
}

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

static struct nbdkit_plugin plugin = {
	.name = "faults",
	.longname = "a disk that fails as it is told",
	.config = faults_config,
	.config_help =
		"file=IMAGE     what to serve\n"
		"faults=LINES   how it fails, one fault a line\n"
		"counts=COUNTS  becomes the count of each sector's reads",
	.get_ready = faults_get_ready,
	.unload = faults_unload,
	.open = faults_open,
	.get_size = faults_get_size,
	.can_multi_conn = faults_can_multi_conn,
	.pread = faults_pread,
};

struct nbdkit_plugin *plugin_init(void);
NBDKIT_REGISTER_PLUGIN(plugin)

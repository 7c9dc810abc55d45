// SPDX-License-Identifier: GPL-3.0-or-later
#include "site/libvirt_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "site/names.h"

/* More of either in one domain is no machine but an attempt. */
#define NICS_MAX  64
#define DISKS_MAX 256

static bool is_named(const xmlNode *node, const char *name)
{
	return node->type == XML_ELEMENT_NODE &&
	       strcmp((const char *)node->name, name) == 0;
}

/* By local name: nova's own elements have a namespace, and its address and
 * prefix have changed over the years. */
static const xmlNode *next_child(const xmlNode *parent, const xmlNode *after,
				 const char *name)
{
	const xmlNode *node = after ? after->next : parent->children;

	while (node && !is_named(node, name))
		node = node->next;
	return node;
}

/* "os/kernel": the first of each on the way. */
static const xmlNode *find(const xmlNode *node, const char *path)
{
	char step[64];
	size_t len;

	while (node && *path) {
		len = strcspn(path, "/");
		snprintf(step, sizeof(step), "%.*s", (int)len, path);
		node = next_child(node, NULL, step);
		path += len + (path[len] == '/');
	}
	return node;
}

/* Puts the plain text of a list of nodes together and trims it.  Entity
 * references stay out: xmlNodeGetContent would expand them. */
static char *plain_text(const xmlNode *list)
{
	char *text = NULL, *start, *grown;
	size_t len = 0, n;

	for (; list; list = list->next) {
		if (list->type != XML_TEXT_NODE &&
		    list->type != XML_CDATA_SECTION_NODE)
			continue;
		n = list->content ? strlen((const char *)list->content) : 0;
		grown = realloc(text, len + n + 1);
		if (!grown)
			break;
		text = grown;
		if (n)
			memcpy(text + len, list->content, n);
		len += n;
		text[len] = '\0';
	}
	if (!text)
		return NULL;
	while (len && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	start = text + strspn(text, " \t\r\n");
	memmove(text, start, strlen(start) + 1);
	if (*text)
		return text;
	free(text);
	return NULL;
}

static char *text_at(const xmlNode *node, const char *path)
{
	const xmlNode *found = find(node, path);

	return found ? plain_text(found->children) : NULL;
}

static char *attribute(const xmlNode *node, const char *name)
{
	const xmlAttr *attr = node ? node->properties : NULL;

	for (; attr; attr = attr->next)
		if (!strcmp((const char *)attr->name, name))
			return plain_text(attr->children);
	return NULL;
}

static char *attribute_at(const xmlNode *node, const char *path,
			  const char *name)
{
	return attribute(find(node, path), name);
}

static char *as_uuid(char *text)
{
	char normal[RFS_UUID_TEXT];
	char *uuid = NULL;

	if (text && rfs_uuid_normal(text, normal))
		uuid = strdup(normal);
	free(text);
	return uuid;
}

/* A count, or 0 where there is none that makes sense. */
static uint64_t as_number(char *text, uint64_t max)
{
	unsigned long long n = 0;
	char *end;

	if (text && *text >= '0' && *text <= '9') {
		errno = 0;
		n = strtoull(text, &end, 10);
		if (errno || *end || n > max)
			n = 0;
	}
	free(text);
	return n;
}

/* libvirt's units, in bytes; its own default is KiB. */
static uint64_t unit_bytes(const char *unit)
{
	static const struct {
		const char *name;
		uint64_t bytes;
	} units[] = {
		{ "b", 1 },	   { "bytes", 1 },	{ "KB", 1000 },
		{ "k", 1u << 10 }, { "KiB", 1u << 10 }, { "MB", 1000000 },
		{ "M", 1u << 20 }, { "MiB", 1u << 20 }, { "GB", 1000000000 },
		{ "G", 1u << 30 }, { "GiB", 1u << 30 },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		if (unit && !strcasecmp(unit, units[i].name))
			return units[i].bytes;
	return unit ? 0 : 1024;
}

static uint64_t memory_kib(const xmlNode *root)
{
	char *unit = attribute_at(root, "memory", "unit");
	uint64_t n = as_number(text_at(root, "memory"), UINT64_C(1) << 32);

	n = n * unit_bytes(unit) / 1024;
	free(unit);
	return n;
}

/* The parameter IP of a <filterref>. */
static char *nic_ip(const xmlNode *interface)
{
	const xmlNode *filter = find(interface, "filterref"), *each = NULL;

	while (filter && (each = next_child(filter, each, "parameter"))) {
		char *name = attribute(each, "name");
		bool is_ip = name && !strcmp(name, "IP");

		free(name);
		if (is_ip)
			return attribute(each, "value");
	}
	return NULL;
}

static int read_nics(const xmlNode *root, struct rfs_domain *domain)
{
	const xmlNode *devices = find(root, "devices"), *each = NULL;
	size_t n = 0;

	while (devices && (each = next_child(devices, each, "interface")))
		n++;
	n = n < NICS_MAX ? n : NICS_MAX;
	domain->nics = calloc(n + 1, sizeof(*domain->nics));
	if (!domain->nics)
		return -ENOMEM;
	for (; domain->nnics < n; domain->nnics++) {
		each = next_child(devices, each, "interface");
		domain->nics[domain->nnics] = (struct rfs_nic){
			.mac = attribute_at(each, "mac", "address"),
			.bridge = attribute_at(each, "source", "bridge"),
			.ip = nic_ip(each),
		};
	}
	return 0;
}

/* nova and cinder write the volume's uuid as the disk's serial number.  A
 * device without one may still be known by its name. */
static void read_attachment(const xmlNode *disk, struct rfs_domain *domain)
{
	struct rfs_attachment a = {
		.uuid = as_uuid(text_at(disk, "serial")),
		.dev = attribute_at(disk, "source", "dev"),
		.target = attribute_at(disk, "target", "dev"),
	};

	if (!a.dev)
		a.dev = attribute_at(disk, "source", "name");
	if (a.uuid || a.dev)
		domain->attachments[domain->nattachments++] = a;
	else
		free(a.target);
}

static bool is_driver(const xmlNode *disk, const char *name, const char *value)
{
	char *said = attribute_at(disk, "driver", name);
	bool is = said && strcmp(said, value) == 0;

	free(said);
	return is;
}

/* Zeros that are detected become zero clusters, and with discard holes. */
static bool is_unmapped(const xmlNode *disk)
{
	return is_driver(disk, "discard", "unmap") ||
	       is_driver(disk, "detect_zeroes", "on") ||
	       is_driver(disk, "detect_zeroes", "unmap");
}

static int read_disks(const xmlNode *root, struct rfs_domain *domain)
{
	const xmlNode *devices = find(root, "devices"), *each = NULL;
	size_t n = 0;

	while (devices && (each = next_child(devices, each, "disk")))
		n++;
	n = n < DISKS_MAX ? n : DISKS_MAX;
	domain->disks = calloc(n + 1, sizeof(*domain->disks));
	domain->attachments = calloc(n + 1, sizeof(*domain->attachments));
	if (!domain->disks || !domain->attachments)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		char *file;

		each = next_child(devices, each, "disk");
		file = attribute_at(each, "source", "file");
		if (!file) {
			read_attachment(each, domain);
			continue;
		}
		domain->disks[domain->ndisks++] = (struct rfs_domain_disk){
			.file = file,
			.format = attribute_at(each, "driver", "type"),
			.is_unmapped = is_unmapped(each),
		};
	}
	return 0;
}

static char *as_time(char *text)
{
	char printed[RFS_TIME_TEXT];
	char *time = NULL;
	int64_t ns;

	if (text && rfs_time_parse(text, &ns)) {
		rfs_time_print(ns, printed);
		time = strdup(printed);
	}
	free(text);
	return time;
}

static void read_nova(const xmlNode *root, struct rfs_domain *domain)
{
	const xmlNode *nova = find(root, "metadata/instance");
	char *type = attribute_at(nova, "root", "type");

	domain->display_name = text_at(nova, "name");
	domain->flavor = attribute_at(nova, "flavor", "name");
	domain->created = as_time(text_at(nova, "creationTime"));
	domain->project = text_at(nova, "owner/project");
	domain->user = text_at(nova, "owner/user");
	if (type && !strcmp(type, "image"))
		domain->image_uuid =
			as_uuid(attribute_at(nova, "root", "uuid"));
	free(type);
}

static int read_domain(const xmlNode *root, struct rfs_domain *domain,
		       struct rfs_error *err)
{
	if (!root || !is_named(root, "domain"))
		return rfs_fail(err, EINVAL, "is not the XML of a domain");
	domain->name = text_at(root, "name");
	domain->uuid = as_uuid(text_at(root, "uuid"));
	domain->kernel = text_at(root, "os/kernel");
	domain->ramdisk = text_at(root, "os/initrd");
	domain->memory_kib = memory_kib(root);
	domain->vcpus = (unsigned)as_number(text_at(root, "vcpu"), 65536);
	read_nova(root, domain);
	if (read_nics(root, domain) < 0 || read_disks(root, domain) < 0)
		return rfs_no_memory(err);
	return 0;
}

/* libvirt writes no DTD; a file that has one wants entities expanded. */
static void refuse_dtd(void *ctx, const xmlChar *name, const xmlChar *external,
		       const xmlChar *system)
{
	xmlParserCtxt *ctxt = ctx;

	(void)name;
	(void)external;
	(void)system;
	*(bool *)ctxt->_private = true;
	xmlStopParser(ctxt);
}

int rfs_domain_parse(const char *text, size_t len, struct rfs_domain *ret,
		     struct rfs_error *err)
{
	const int options =
		XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
	struct rfs_domain domain = { 0 };
	bool has_dtd = false;
	xmlParserCtxt *ctxt;
	xmlDoc *doc;
	int r;

	if (len > RFS_XML_MAX)
		return rfs_fail(err, EINVAL, "is too large for a domain's XML");
	ctxt = xmlNewParserCtxt();
	if (!ctxt)
		return rfs_no_memory(err);
	ctxt->_private = &has_dtd;
	ctxt->sax->internalSubset = refuse_dtd;
	doc = xmlCtxtReadMemory(ctxt, text, (int)len, NULL, NULL, options);
	xmlFreeParserCtxt(ctxt);
	if (has_dtd)
		r = rfs_fail(err, EINVAL, "has a DTD, refused");
	else if (!doc)
		r = rfs_fail(err, EINVAL, "is not well-formed XML");
	else
		r = read_domain(xmlDocGetRootElement(doc), &domain, err);
	xmlFreeDoc(doc);
	if (r < 0)
		rfs_domain_fini(&domain);
	else
		*ret = domain;
	return r;
}

void rfs_domain_fini(struct rfs_domain *domain)
{
	char *strings[] = {
		domain->name,	    domain->uuid,    domain->display_name,
		domain->flavor,	    domain->project, domain->user,
		domain->image_uuid, domain->created, domain->kernel,
		domain->ramdisk,
	};

	for (size_t i = 0; i < sizeof(strings) / sizeof(*strings); i++)
		free(strings[i]);
	for (size_t i = 0; i < domain->nnics; i++) {
		free(domain->nics[i].mac);
		free(domain->nics[i].bridge);
		free(domain->nics[i].ip);
	}
	for (size_t i = 0; i < domain->ndisks; i++) {
		free(domain->disks[i].file);
		free(domain->disks[i].format);
	}
	for (size_t i = 0; i < domain->nattachments; i++) {
		free(domain->attachments[i].uuid);
		free(domain->attachments[i].dev);
		free(domain->attachments[i].target);
	}
	free(domain->nics);
	free(domain->disks);
	free(domain->attachments);
	memset(domain, 0, sizeof(*domain));
}

/*
 * A file system that forgets at a power cut what was not synced.
 *
 * One flat folder in memory, over FUSE. Every file has two contents: what programs see, and what
 * the disk has. A write, a new size, a new name, a rename or a removal reaches the first at once
 * and the second only with fsync (of the folder, for names; stricter than most file systems, as
 * POSIX has it). At the cut dice decide, sector by sector and name by name, what else had reached
 * the disk by chance: nothing, some of it in any order, all up to a moment, or nearly all. So
 * writes are lost, overtake each other and are torn between sectors of 512 bytes. A sector itself
 * is written whole or not at all, as disks promise and as SQLite expects.
 *
 * usage: cutfs [--no-maps] [--refuse SUFFIX] FOLDER
 *
 *   --no-maps        files cannot be mapped shared, as on JFFS2
 *   --refuse SUFFIX  files whose names end so cannot be made
 *
 * Told on stdin, a line each, and answered on stdout:
 *
 *   arm N         cuts the power in the N-th change or sync from now: `armed`, and then `cut`
 *   cut           cuts it now: `cut`, unless it said so before
 *   release       whoever waits for the dead disk gets an I/O error: `released`
 *   restore SEED  throws the dice; the disk is there again: `restored LOST KEPT`
 *
 * From the cut to `release` every request hangs, because a machine without power does not answer
 * either: kill the program in between. The end of stdin unmounts.
 */
#define FUSE_USE_VERSION 34
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512, NAME = 128, FILES = 64, HELD = 4096 };

/* What waits for a sync: a sector with its content, or (without data) a size. */
struct change {
	struct change *next;
	uint64_t moment, at;
	unsigned char *data;
};

struct content {
	unsigned char *bytes;
	size_t size, room;
};

struct file {
	struct content seen, disk;
	struct change *first, **last;
	mode_t mode;
};

struct entry {
	char name[NAME];
	struct file *file;
};

struct folder {
	struct entry entries[FILES];
	size_t count;
};

/* A name that waits for the folder's sync: made (from is empty), removed (to is empty), renamed. */
struct naming {
	struct naming *next;
	uint64_t moment;
	char from[NAME], to[NAME];
	struct file *file;
};

static struct folder seen, disk;
static struct naming *namings, **namings_last = &namings;
static uint64_t moment, dice, lost, kept;
static long cut_in = -1;
static enum { ALIVE, CUT, DEAD } power;
static fuse_req_t held[HELD];
static size_t held_count;
static bool no_maps;
static const char *refused;

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Contents. */

static void resize(struct content *content, size_t size)
{
	if (size > content->room) {
		size_t room = size * 2 + SECTOR;
		content->bytes = must(realloc(content->bytes, room));
		memset(content->bytes + content->room, 0, room - content->room);
		content->room = room;
	}
	if (size < content->size)
		memset(content->bytes + size, 0, content->size - size);
	content->size = size;
}

static void append(struct file *file, uint64_t at, const unsigned char *data)
{
	struct change *change = must(calloc(1, sizeof *change));
	change->moment = ++moment;
	change->at = at;
	if (data) {
		change->data = must(malloc(SECTOR));
		memcpy(change->data, data, SECTOR);
	}
	*file->last = change;
	file->last = &change->next;
}

static void forget_changes(struct file *file)
{
	for (struct change *change = file->first, *next; change; change = next) {
		next = change->next;
		free(change->data);
		free(change);
	}
	file->first = NULL;
	file->last = &file->first;
}

static void set_size(struct file *file, size_t size)
{
	if (size == file->seen.size)
		return;
	resize(&file->seen, size);
	append(file, size, NULL);
}

static void put(struct file *file, const char *data, size_t length, size_t at)
{
	if (length == 0)
		return;
	size_t end = at + length;
	size_t last = (end - 1) / SECTOR;
	size_t size = end > file->seen.size ? end : file->seen.size;
	bool grows = size != file->seen.size;
	/* Room for whole sectors, also at the end. */
	resize(&file->seen, (last + 1) * SECTOR > size ? (last + 1) * SECTOR : size);
	memcpy(file->seen.bytes + at, data, length);
	for (size_t sector = at / SECTOR; sector <= last; sector++)
		append(file, sector, file->seen.bytes + sector * SECTOR);
	file->seen.size = size;
	if (grows)
		append(file, size, NULL);
}

static void write_through(struct file *file, const struct change *change)
{
	size_t end = (change->at + 1) * SECTOR;
	size_t size = file->disk.size;
	if (end > size)
		resize(&file->disk, end);
	memcpy(file->disk.bytes + change->at * SECTOR, change->data, SECTOR);
	/* The size is a change of its own; what lies behind it waits for it in the room. */
	file->disk.size = end > size ? end : size;
}

static void sync_file(struct file *file)
{
	bool resized = false;
	for (struct change *change = file->first; change; change = change->next) {
		if (change->data)
			write_through(file, change);
		else
			resized = true;
	}
	resize(&file->disk, file->seen.size);
	/* A file that was cut off and grew again has holes where old sectors were. */
	if (resized && file->seen.size > 0)
		memcpy(file->disk.bytes, file->seen.bytes, file->seen.size);
	forget_changes(file);
}

/* Names. */

static struct entry *find(struct folder *folder, const char *name)
{
	for (size_t index = 0; index < folder->count; index++)
		if (strcmp(folder->entries[index].name, name) == 0)
			return &folder->entries[index];
	return NULL;
}

static void drop(struct folder *folder, const char *name)
{
	struct entry *entry = find(folder, name);
	if (entry)
		*entry = folder->entries[--folder->count];
}

static void add(struct folder *folder, const char *name, struct file *file)
{
	drop(folder, name);
	if (folder->count == FILES)
		abort();
	struct entry *entry = &folder->entries[folder->count++];
	strcpy(entry->name, name);
	entry->file = file;
}

static void apply(struct folder *folder, const struct naming *naming)
{
	if (naming->from[0] && !find(folder, naming->from))
		return;
	if (naming->from[0])
		drop(folder, naming->from);
	if (naming->to[0])
		add(folder, naming->to, naming->file);
}

static void name_change(const char *from, const char *to, struct file *file)
{
	struct naming *naming = must(calloc(1, sizeof *naming));
	naming->moment = ++moment;
	strcpy(naming->from, from);
	strcpy(naming->to, to);
	naming->file = file;
	apply(&seen, naming);
	*namings_last = naming;
	namings_last = &naming->next;
}

static void forget_namings(void)
{
	for (struct naming *naming = namings, *next; naming; naming = next) {
		next = naming->next;
		free(naming);
	}
	namings = NULL;
	namings_last = &namings;
}

static void sync_folder(void)
{
	disk = seen;
	forget_namings();
}

/* The cut. */

static uint64_t throw(uint64_t sides)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (dice >> 11) % sides;
}

/* How the dice fall this time: out of a hundred changes so many survive, none after a moment. */
static uint64_t luck, until;

static void throw_style(uint64_t seed)
{
	dice = (seed + 1) * 0x9E3779B97F4A7C15u;
	for (int warm = 0; warm < 8; warm++)
		throw(2);
	uint64_t oldest = moment;
	for (struct naming *naming = namings; naming; naming = naming->next)
		oldest = naming->moment < oldest ? naming->moment : oldest;
	for (size_t index = 0; index < seen.count; index++) {
		struct change *first = seen.entries[index].file->first;
		oldest = first && first->moment < oldest ? first->moment : oldest;
	}
	until = UINT64_MAX;
	switch (throw(4)) {
	case 0: luck = 0; break;
	case 1: luck = 1 + throw(98); break;
	case 2: luck = 100; until = oldest + throw(moment - oldest + 1); break;
	default: luck = 95; break;
	}
}

static bool survives(uint64_t when)
{
	bool yes = when <= until && throw(100) < luck;
	*(yes ? &kept : &lost) += 1;
	return yes;
}

static struct file *after_cut(struct file *old)
{
	struct file *file = must(calloc(1, sizeof *file));
	file->last = &file->first;
	file->mode = old->mode;
	size_t size = old->disk.size, largest = size;
	for (struct change *change = old->first; change; change = change->next) {
		if (!change->data && change->at > largest)
			largest = change->at;
		if (!survives(change->moment))
			continue;
		if (change->data) {
			write_through(old, change);
		} else {
			/* What was cut off is gone, also when the file grows again. */
			if (change->at < size)
				resize(&old->disk, change->at);
			size = change->at;
		}
	}
	/* A file system may have the new size on the disk before the data: zeros, then. */
	if (luck > 0 && throw(4) == 0)
		size = largest;
	resize(&old->disk, size);
	resize(&file->seen, size);
	resize(&file->disk, size);
	if (size > 0) {
		memcpy(file->seen.bytes, old->disk.bytes, size);
		memcpy(file->disk.bytes, old->disk.bytes, size);
	}
	return file;
}

static void release_content(struct file *file)
{
	forget_changes(file);
	free(file->seen.bytes);
	free(file->disk.bytes);
	memset(&file->seen, 0, sizeof file->seen);
	memset(&file->disk, 0, sizeof file->disk);
}

static void restore(uint64_t seed)
{
	struct folder before = seen, was = disk;
	lost = kept = 0;
	throw_style(seed);
	for (struct naming *naming = namings; naming; naming = naming->next)
		if (survives(naming->moment))
			apply(&disk, naming);
	forget_namings();
	seen.count = 0;
	for (size_t index = 0; index < disk.count; index++)
		add(&seen, disk.entries[index].name, after_cut(disk.entries[index].file));
	/* The kernel may still hold the old files: they are empty from now on, and never come back. */
	for (size_t index = 0; index < disk.count; index++)
		release_content(disk.entries[index].file);
	for (size_t index = 0; index < before.count; index++)
		release_content(before.entries[index].file);
	for (size_t index = 0; index < was.count; index++)
		release_content(was.entries[index].file);
	disk = seen;
	power = ALIVE;
	cut_in = -1;
	printf("restored %llu %llu\n", (unsigned long long)lost, (unsigned long long)kept);
}

static void cut(void)
{
	power = CUT;
	cut_in = -1;
	printf("cut\n");
}

/* Holds a request that comes after the cut, or refuses it after the release. */
static bool gone(fuse_req_t req)
{
	if (power == ALIVE)
		return false;
	if (power == DEAD || held_count == HELD)
		fuse_reply_err(req, EIO);
	else
		held[held_count++] = req;
	return true;
}

/* Counts a change; if the power goes in the middle of it, nobody hears of it. */
static bool counted(fuse_req_t req)
{
	if (cut_in > 0 && --cut_in == 0)
		cut();
	return gone(req);
}

/* Requests. */

static struct file *file_of(fuse_ino_t ino)
{
	return (struct file *)(uintptr_t)ino;
}

static struct stat stat_of(fuse_ino_t ino)
{
	struct stat stat = { .st_ino = ino, .st_nlink = 1, .st_uid = getuid(), .st_gid = getgid() };
	if (ino == FUSE_ROOT_ID) {
		stat.st_mode = S_IFDIR | 0755;
	} else {
		stat.st_mode = file_of(ino)->mode;
		stat.st_size = (off_t)file_of(ino)->seen.size;
		stat.st_blocks = (stat.st_size + SECTOR - 1) / SECTOR;
	}
	return stat;
}

static struct fuse_entry_param param_of(struct file *file)
{
	struct fuse_entry_param param = { .ino = (fuse_ino_t)(uintptr_t)file };
	param.attr = stat_of(param.ino);
	return param;
}

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	if (gone(req))
		return;
	struct entry *entry = find(&seen, name);
	if (!entry) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct fuse_entry_param param = param_of(entry->file);
	fuse_reply_entry(req, &param);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	if (gone(req))
		return;
	struct stat stat = stat_of(ino);
	fuse_reply_attr(req, &stat, 0);
}

static void do_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set,
		       struct fuse_file_info *fi)
{
	(void)fi;
	if (gone(req))
		return;
	if (ino != FUSE_ROOT_ID && (set & FUSE_SET_ATTR_MODE))
		file_of(ino)->mode = (file_of(ino)->mode & S_IFMT) | (attr->st_mode & 07777);
	if (ino != FUSE_ROOT_ID && (set & FUSE_SET_ATTR_SIZE)) {
		set_size(file_of(ino), (size_t)attr->st_size);
		if (counted(req))
			return;
	}
	struct stat stat = stat_of(ino);
	fuse_reply_attr(req, &stat, 0);
}

/* Makes a file, or says why not. */
static int make(const char *name, mode_t mode, struct file **made)
{
	size_t length = strlen(name);
	if (refused && length >= strlen(refused) && !strcmp(name + length - strlen(refused), refused))
		return EPERM;
	if (length >= NAME)
		return ENAMETOOLONG;
	*made = must(calloc(1, sizeof **made));
	(*made)->last = &(*made)->first;
	(*made)->mode = mode;
	name_change("", name, *made);
	return 0;
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)parent, (void)dev;
	if (gone(req))
		return;
	struct file *file;
	int error = make(name, mode, &file);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (counted(req))
		return;
	struct fuse_entry_param param = param_of(file);
	fuse_reply_entry(req, &param);
}

static void opened(struct fuse_file_info *fi)
{
	fi->direct_io = no_maps;
	fi->keep_cache = !no_maps;
}

static void do_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	(void)parent;
	if (gone(req))
		return;
	struct file *file;
	int error = make(name, S_IFREG | (mode & 07777), &file);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (counted(req))
		return;
	opened(fi);
	struct fuse_entry_param param = param_of(file);
	fuse_reply_create(req, &param, fi);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	if (gone(req))
		return;
	opened(fi);
	fuse_reply_open(req, fi);
}

static void do_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	(void)fi;
	if (gone(req))
		return;
	const struct content *content = &file_of(ino)->seen;
	size_t at = (size_t)off < content->size ? (size_t)off : content->size;
	size_t left = content->size - at;
	fuse_reply_buf(req, left ? (const char *)content->bytes + at : NULL, left < size ? left : size);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
		     struct fuse_file_info *fi)
{
	(void)fi;
	if (gone(req))
		return;
	put(file_of(ino), data, size, (size_t)off);
	if (!counted(req))
		fuse_reply_write(req, size);
}

static void do_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync, (void)fi;
	if (gone(req) || counted(req))
		return;
	sync_file(file_of(ino));
	fuse_reply_err(req, 0);
}

static void do_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino, (void)datasync, (void)fi;
	if (gone(req) || counted(req))
		return;
	sync_folder();
	fuse_reply_err(req, 0);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	(void)parent;
	if (gone(req))
		return;
	if (!find(&seen, name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	name_change(name, "", NULL);
	if (!counted(req))
		fuse_reply_err(req, 0);
}

static void do_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned int flags)
{
	(void)parent, (void)newparent;
	if (gone(req))
		return;
	struct entry *entry = find(&seen, name);
	if (!entry || flags || strlen(newname) >= NAME) {
		fuse_reply_err(req, entry ? EINVAL : ENOENT);
		return;
	}
	name_change(name, newname, entry->file);
	if (!counted(req))
		fuse_reply_err(req, 0);
}

static void do_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	if (gone(req))
		return;
	char *buffer = must(malloc(size));
	size_t used = 0;
	for (size_t index = (size_t)off; index < seen.count; index++) {
		struct stat stat = stat_of((fuse_ino_t)(uintptr_t)seen.entries[index].file);
		size_t needed = fuse_add_direntry(req, buffer + used, size - used,
						  seen.entries[index].name, &stat, (off_t)index + 1);
		if (needed > size - used)
			break;
		used += needed;
	}
	fuse_reply_buf(req, buffer, used);
	free(buffer);
}

static void do_statfs(fuse_req_t req, fuse_ino_t ino)
{
	(void)ino;
	if (gone(req))
		return;
	struct statvfs room = { .f_bsize = SECTOR, .f_frsize = SECTOR, .f_blocks = 1 << 20,
				.f_bfree = 1 << 20, .f_bavail = 1 << 20, .f_namemax = NAME - 1 };
	fuse_reply_statfs(req, &room);
}

static const struct fuse_lowlevel_ops OPERATIONS = {
	.lookup = do_lookup, .getattr = do_getattr, .setattr = do_setattr, .mknod = do_mknod,
	.create = do_create, .open = do_open, .read = do_read, .write = do_write,
	.fsync = do_fsync, .fsyncdir = do_fsyncdir, .unlink = do_unlink, .rename = do_rename,
	.readdir = do_readdir, .statfs = do_statfs,
};

/* Commands. */

static void obey(const char *line)
{
	unsigned long long number;
	if (sscanf(line, "arm %llu", &number) == 1) {
		cut_in = (long)number;
		printf("armed\n");
	} else if (strcmp(line, "cut") == 0) {
		if (power == ALIVE)
			cut();
	} else if (strcmp(line, "release") == 0) {
		power = DEAD;
		while (held_count > 0)
			fuse_reply_err(held[--held_count], EIO);
		printf("released\n");
	} else if (sscanf(line, "restore %llu", &number) == 1) {
		restore(number);
	} else {
		printf("not understood: %s\n", line);
	}
}

/* Reads commands; false at the end of them. */
static bool commands(void)
{
	static char line[256];
	static size_t length;
	char next[256];
	ssize_t got = read(STDIN_FILENO, next, sizeof next);
	for (ssize_t at = 0; at < got; at++) {
		if (next[at] != '\n' && length < sizeof line - 1) {
			line[length++] = next[at];
			continue;
		}
		line[length] = 0;
		length = 0;
		obey(line);
	}
	return got > 0;
}

int main(int count, char **words)
{
	char *own[] = { words[0], "-o", "fsname=cutfs,subtype=cutfs" };
	struct fuse_args args = FUSE_ARGS_INIT(3, own);
	int word = 1;
	for (; word < count - 1; word++) {
		if (strcmp(words[word], "--no-maps") == 0)
			no_maps = true;
		else if (strcmp(words[word], "--refuse") == 0)
			refused = words[++word];
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct fuse_session *session = fuse_session_new(&args, &OPERATIONS, sizeof OPERATIONS, NULL);
	if (word != count - 1 || !session || fuse_session_mount(session, words[word]) != 0) {
		fprintf(stderr, "cutfs: cannot mount\n");
		return 1;
	}
	printf("mounted\n");
	/* A request may be gone again when it is read, as whoever asked was killed. */
	fcntl(fuse_session_fd(session), F_SETFL, O_NONBLOCK);
	struct fuse_buf buffer = { .mem = NULL };
	struct pollfd wait[] = {
		{ .fd = fuse_session_fd(session), .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};
	while (!fuse_session_exited(session) && poll(wait, 2, -1) > 0) {
		if (wait[1].revents && !commands())
			break;
		if (!wait[0].revents)
			continue;
		int got = fuse_session_receive_buf(session, &buffer);
		if (got > 0)
			fuse_session_process_buf(session, &buffer);
		else if (got != -EINTR && got != -EAGAIN)
			break;
	}
	fuse_session_unmount(session);
	fuse_session_destroy(session);
	return 0;
}

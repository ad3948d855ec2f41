#include "tree.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/system.h"

static struct process *table;
static size_t table_length;

void tree_prepare(void) { table = take_lazy_pages(TREE_MAX_PROCESSES * sizeof *table); }

/* Of "pid (name) state parent ...": the name may hold anything. */
pid_t tree_parent_of(pid_t pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  if (!read_text(path, text, sizeof text)) return -1;
  const char *name_end = strrchr(text, ')');
  return name_end && strlen(name_end) > 4 ? (pid_t)atoi(name_end + 4) : -1;
}

static void list_processes(void) {
  table_length = 0;
  DIR *folder = opendir("/proc");
  if (!folder) return;
  for (struct dirent *entry; (entry = readdir(folder)) && table_length < TREE_MAX_PROCESSES;) {
    pid_t pid = (pid_t)atoi(entry->d_name);
    if (pid > 0) table[table_length++] = (struct process){pid, tree_parent_of(pid), false};
  }
  closedir(folder);
}

static bool is_ours(pid_t pid) {
  for (size_t low = 0, high = table_length; low < high;) { /* /proc lists in order */
    size_t middle = low + (high - low) / 2;
    if (table[middle].pid == pid) return table[middle].ours;
    if (table[middle].pid < pid) low = middle + 1;
    else high = middle;
  }
  return false;
}

/* A child mostly has a higher number than its parent, so that few walks are enough. */
struct process *tree_look(size_t *count) {
  list_processes();
  for (bool found = true; found;) {
    found = false;
    for (size_t i = 0; i < table_length; i++) {
      if (table[i].ours || (table[i].parent != getpid() && !is_ours(table[i].parent))) continue;
      table[i].ours = found = true;
    }
  }
  *count = table_length;
  return table;
}

/* From "size resident ..." in pages. Files count as well: shared memory is among them. */
static uint64_t resident_bytes(const char *statm) {
  unsigned long long size = 0, resident = 0;
  if (sscanf(statm, "%llu %llu", &size, &resident) != 2) return 0;
  return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* "Pss:   12 kB". */
uint64_t tree_share_bytes(pid_t pid) {
  char path[64], text[4096];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  const char *line = read_text(path, text, sizeof text) ? strstr(text, "\nPss:") : NULL;
  if (line) return strtoull(line + 5, NULL, 10) * 1024;
  snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
  return read_text(path, text, sizeof text) ? resident_bytes(text) : 0;
}

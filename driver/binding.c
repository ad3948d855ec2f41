#include "binding.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "base/elf_object.h"
#include "base/freestanding.h"

#define MOST_OBJECTS 64
#define MOST_INTERPOSED 64

enum loyalty {
  STRANGER,
  NEEDED, /* by the driver, or by what it needs */
  SUBJECT,
};

struct loaded {
  struct elf_object object;
  const char *path;
  enum loyalty loyalty;
};

static struct loaded loaded[MOST_OBJECTS]; /* in the order in which symbols are looked up */
static uint32_t loaded_count;

/* ---- What is loaded ------------------------------------------------------------------- */

extern const ElfW(Dyn) own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));
extern const ElfW(Ehdr) own_header __asm__("__ehdr_start") __attribute__((visibility("hidden")));

/* The linker's own list, which it leaves for debuggers. */
static const struct link_map *first_object(void) {
  const ElfW(Dyn) *entry = own_dynamic;
  while (entry->d_tag != DT_NULL && entry->d_tag != DT_DEBUG) entry++;
  const struct r_debug *list = (const struct r_debug *)entry->d_un.d_ptr;
  return list ? list->r_map : NULL;
}

static bool is_same_file(const char *left, const char *right) {
  struct stat a, b;
  return stat(left, &a) == 0 && stat(right, &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

static void see_what_is_loaded(const char *preload) {
  loaded_count = 0;
  for (const struct link_map *map = first_object(); map; map = map->l_next) {
    if (loaded_count == MOST_OBJECTS) return; /* the rest are strangers */
    struct loaded *one = &loaded[loaded_count];
    const ElfW(Ehdr) *header = loaded_count ? (const ElfW(Ehdr) *)map->l_addr : &own_header;
    elf_object_read(&one->object, map->l_addr, header);
    one->path = map->l_name;
    if (preload && *one->path && is_same_file(one->path, preload)) one->loyalty = SUBJECT;
    loaded_count++;
  }
}

static const char *name_of(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* Whoever is needed by one that is needed is so, too. */
static void trust_what_is_needed_by(struct loaded *one) {
  one->loyalty = NEEDED;
  for (const ElfW(Dyn) *entry = one->object.dynamic; entry->d_tag != DT_NULL; entry++) {
    if (entry->d_tag != DT_NEEDED) continue;
    const char *needed = one->object.strings + entry->d_un.d_val;
    for (uint32_t i = 0; i < loaded_count; i++)
      if (loaded[i].loyalty == STRANGER && strcmp(name_of(loaded[i].path), needed) == 0)
        trust_what_is_needed_by(&loaded[i]);
  }
}

static bool is_trusted(uintptr_t address) {
  for (uint32_t i = 0; i < loaded_count; i++)
    if (elf_contains(&loaded[i].object, address)) return loaded[i].loyalty == NEEDED;
  return false;
}

/* ---- What the driver was bound to ------------------------------------------------------- */

#if defined(__x86_64__)
#define IS_FUNCTION_SLOT(type) ((type) == R_X86_64_GLOB_DAT || (type) == R_X86_64_JUMP_SLOT)
#elif defined(__aarch64__)
#define IS_FUNCTION_SLOT(type) ((type) == R_AARCH64_GLOB_DAT || (type) == R_AARCH64_JUMP_SLOT)
#endif

static bool may_be_taken_over(const char *name) {
  return strcmp(name, "pthread_create") == 0 || strcmp(name, "fork") == 0;
}

/* Bound at start (-z now): each slot holds the address that the linker chose. */
static bool prove_slots(ElfW(Sxword) table, ElfW(Sxword) length, struct text *names) {
  const struct elf_object *own = &loaded[0].object;
  const ElfW(Rela) *slots = (const ElfW(Rela) *)elf_dynamic_address(own, table);
  size_t count = elf_dynamic(own, length) / sizeof *slots;
  bool proved = true;
  for (size_t i = 0; slots && i < count; i++) {
    if (!IS_FUNCTION_SLOT(ELF64_R_TYPE(slots[i].r_info))) continue;
    const char *name = own->strings + own->symbols[ELF64_R_SYM(slots[i].r_info)].st_name;
    uintptr_t address = *(const uintptr_t *)(own->base + slots[i].r_offset);
    if (address == 0 || is_trusted(address) || may_be_taken_over(name)) continue;
    text_add(names, names->length ? ", " : "");
    text_add(names, name);
    proved = false;
  }
  return proved;
}

/* ---- Whose place the subject takes ---------------------------------------------------------- */

/* Who takes over malloc has to take over these, since free gets what they return. */
static const char *const of_memory[] = {
    "malloc", "free", "calloc", "realloc", "reallocarray", "aligned_alloc", "posix_memalign",
    "memalign", "valloc", "pvalloc", "cfree", "malloc_usable_size", "mallinfo", "mallinfo2",
    "mallopt", "malloc_trim", "malloc_stats", "malloc_info", "malloc_set_state",
    "malloc_get_state", "mcheck", "mprobe", "mtrace", "muntrace", "strdup", "strndup", "__strdup",
    "__strndup", "wcsdup", "realpath", "asprintf", "vasprintf", "getline", "getdelim",
    "open_memstream", "tempnam", "get_current_dir_name", "getcwd",
};
static const char *const of_memory_in_libc[] = {
    "__libc_malloc", "__libc_free", "__libc_calloc", "__libc_realloc", "__libc_memalign",
    "__libc_valloc", "__libc_pvalloc", "__libc_cfree", "__libc_reallocarray",
    "__posix_memalign", "__malloc_hook", "__free_hook", "__realloc_hook", "__memalign_hook",
    "__libc_freeres", "__after_morecore_hook", "__malloc_initialize_hook", "__default_morecore",
};

static bool is_in(const char *name, const char *const *names, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return true;
  return false;
}

static bool is_of_memory(const char *name) {
  return is_in(name, of_memory, sizeof of_memory / sizeof *of_memory) ||
         is_in(name, of_memory_in_libc, sizeof of_memory_in_libc / sizeof *of_memory_in_libc);
}

static bool is_needed_too(const char *name) {
  for (uint32_t i = 1; i < loaded_count; i++)
    if (loaded[i].loyalty == NEEDED && elf_symbol(&loaded[i].object, name)) return true;
  return false;
}

/* An object's own beginning and end, and such: each has them. */
static bool is_function(const ElfW(Sym) *symbol) {
  unsigned type = ELF64_ST_TYPE(symbol->st_info);
  return type == STT_FUNC || type == STT_GNU_IFUNC;
}

static const char *interposed[MOST_INTERPOSED];
static uint32_t interposed_count;

static void see_interposed(const struct elf_object *object) {
  size_t count = elf_symbol_count(object);
  for (size_t i = 0; i < count && interposed_count < MOST_INTERPOSED; i++) {
    const ElfW(Sym) *symbol = &object->symbols[i];
    const char *name = object->strings + symbol->st_name;
    if (!elf_is_offered(object, symbol) || !is_function(symbol)) continue;
    if (is_needed_too(name) && !is_of_memory(name)) interposed[interposed_count++] = name;
  }
}

/* ---- Interface ------------------------------------------------------------------------------- */

static const struct elf_object *libc(void) {
  for (uint32_t i = 1; i < loaded_count; i++)
    if (loaded[i].loyalty == NEEDED && elf_symbol(&loaded[i].object, "gnu_get_libc_version"))
      return &loaded[i].object;
  return NULL;
}

bool binding_prove(const char *preload, const char *trusted, struct text *names) {
  see_what_is_loaded(preload);
  if (loaded_count == 0) {
    text_add(names, "all of them: the linker keeps no list");
    return false;
  }
  trust_what_is_needed_by(&loaded[0]);
  for (uint32_t i = 1; trusted && i < loaded_count; i++)
    if (loaded[i].loyalty == STRANGER && is_same_file(loaded[i].path, trusted))
      trust_what_is_needed_by(&loaded[i]);
  bool proved = prove_slots(DT_RELA, DT_RELASZ, names);
  proved = prove_slots(DT_JMPREL, DT_PLTRELSZ, names) && proved;
  interposed_count = 0;
  for (uint32_t i = 1; i < loaded_count; i++)
    if (loaded[i].loyalty == SUBJECT) see_interposed(&loaded[i].object);
  if (proved && libc()) {
    freestanding_bind(libc());
    elf_make_resident(libc());
  }
  return proved;
}

/* The linker's objects stay where they are as long as the process lives. */
void binding_report(struct json *json) {
  json_open_array(json, "interposes");
  for (uint32_t i = 0; i < interposed_count; i++) json_string(json, NULL, interposed[i]);
  json_close_array(json);
}

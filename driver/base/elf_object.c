#include "base/elf_object.h"

#include <string.h>

/* The linker has put addresses into the dynamic sections of what it loads; the kernel's
 * own object has them as in its file, relative to its base. */
uintptr_t elf_dynamic(const struct elf_object *object, ElfW(Sxword) tag) {
  for (const ElfW(Dyn) *entry = object->dynamic; entry && entry->d_tag != DT_NULL; entry++)
    if (entry->d_tag == tag) return entry->d_un.d_ptr;
  return 0;
}

uintptr_t elf_dynamic_address(const struct elf_object *object, ElfW(Sxword) tag) {
  uintptr_t value = elf_dynamic(object, tag);
  return value && value < object->base ? value + object->base : value;
}

void elf_object_read(struct elf_object *object, uintptr_t base, const ElfW(Ehdr) *header) {
  const ElfW(Phdr) *parts = (const ElfW(Phdr) *)((const char *)header + header->e_phoff);
  *object = (struct elf_object){.base = base, .start = UINTPTR_MAX, .parts = parts};
  object->part_count = header->e_phnum;
  for (int i = 0; i < header->e_phnum; i++) {
    uintptr_t start = base + parts[i].p_vaddr, end = start + parts[i].p_memsz;
    if (parts[i].p_type == PT_DYNAMIC) object->dynamic = (const ElfW(Dyn) *)start;
    if (parts[i].p_type != PT_LOAD) continue;
    if (start < object->start) object->start = start;
    if (end > object->end) object->end = end;
  }
  object->symbols = (const ElfW(Sym) *)elf_dynamic_address(object, DT_SYMTAB);
  object->strings = (const char *)elf_dynamic_address(object, DT_STRTAB);
  object->gnu_hash = (const uint32_t *)elf_dynamic_address(object, DT_GNU_HASH);
  object->hash = (const uint32_t *)elf_dynamic_address(object, DT_HASH);
  object->versions = (const ElfW(Half) *)elf_dynamic_address(object, DT_VERSYM);
}

#define LEAST_PAGE_BYTES 4096u

void elf_make_resident(const struct elf_object *object) {
  for (int i = 0; i < object->part_count; i++) {
    const ElfW(Phdr) *part = &object->parts[i];
    const volatile char *bytes = (const volatile char *)(object->base + part->p_vaddr);
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X) || !(part->p_flags & PF_R)) continue;
    for (size_t at = 0; at < part->p_filesz; at += LEAST_PAGE_BYTES) (void)bytes[at];
  }
}

/* ---- The GNU hash table ------------------------------------------------------------- */

/* U. Drepper, "How To Write Shared Libraries", 2011, section 1.5.2: buckets of chains of
 * hashes, where the lowest bit ends a chain. */
struct gnu_table {
  uint32_t bucket_count, first;
  const uint32_t *buckets, *chains;
};

static struct gnu_table gnu_table(const uint32_t *words) {
  const uint32_t *buckets = words + 4 + words[2] * (sizeof(ElfW(Addr)) / sizeof *words);
  return (struct gnu_table){words[0], words[1], buckets, buckets + words[0]};
}

static uint32_t gnu_hash(const char *name) {
  uint32_t hash = 5381;
  for (; *name; name++) hash = hash * 33 + (unsigned char)*name;
  return hash;
}

static size_t gnu_count(const struct gnu_table *table) {
  uint32_t last = 0;
  for (uint32_t i = 0; i < table->bucket_count; i++)
    if (table->buckets[i] > last) last = table->buckets[i];
  if (last < table->first) return table->first;
  while (!(table->chains[last - table->first] & 1)) last++;
  return (size_t)last + 1;
}

static bool has_name(const struct elf_object *object, const ElfW(Sym) *symbol, const char *name) {
  return elf_is_offered(object, symbol) && strcmp(object->strings + symbol->st_name, name) == 0;
}

static const ElfW(Sym) *gnu_symbol(const struct elf_object *object, const char *name) {
  struct gnu_table table = gnu_table(object->gnu_hash);
  uint32_t hash = gnu_hash(name);
  uint32_t at = table.bucket_count ? table.buckets[hash % table.bucket_count] : 0;
  if (at < table.first) return NULL;
  for (;; at++) {
    uint32_t there = table.chains[at - table.first];
    if ((there | 1) == (hash | 1) && has_name(object, &object->symbols[at], name))
      return &object->symbols[at];
    if (there & 1) return NULL;
  }
}

/* ---- Symbols ------------------------------------------------------------------------- */

size_t elf_symbol_count(const struct elf_object *object) {
  if (object->hash) return object->hash[1];
  if (!object->gnu_hash) return 0;
  struct gnu_table table = gnu_table(object->gnu_hash);
  return gnu_count(&table);
}

#define HIDDEN_VERSION 0x8000u

bool elf_is_offered(const struct elf_object *object, const ElfW(Sym) *symbol) {
  if (object->versions && (object->versions[symbol - object->symbols] & HIDDEN_VERSION))
    return false;
  return symbol->st_shndx != SHN_UNDEF && ELF64_ST_BIND(symbol->st_info) != STB_LOCAL;
}

const ElfW(Sym) *elf_symbol(const struct elf_object *object, const char *name) {
  if (object->gnu_hash) return gnu_symbol(object, name);
  size_t count = elf_symbol_count(object);
  for (size_t i = 0; i < count; i++)
    if (has_name(object, &object->symbols[i], name)) return &object->symbols[i];
  return NULL;
}

/* Without the processor's features, which aarch64 hands to a resolver: what it picks then
 * runs everywhere. */
void *elf_function(const struct elf_object *object, const ElfW(Sym) *symbol) {
  uintptr_t address = object->base + symbol->st_value;
  if (ELF64_ST_TYPE(symbol->st_info) != STT_GNU_IFUNC) return (void *)address;
  void *(*resolver)(uint64_t, const void *);
  memcpy(&resolver, &address, sizeof resolver);
  return resolver(0, NULL);
}

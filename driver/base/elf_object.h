/* elf_object.h: a shared object as the linker has mapped it, and its symbols by name.
 *
 * Read from memory alone: neither the linker's functions nor libc's are asked, since an
 * object that is preloaded may have put its own in their place.
 */
#ifndef ALLOCPHASE_ELF_OBJECT_H
#define ALLOCPHASE_ELF_OBJECT_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_object {
  uintptr_t base; /* what its own addresses are relative to */
  uintptr_t start, end; /* all of it lies in [start, end) */
  const ElfW(Phdr) *parts;
  int part_count;
  const ElfW(Dyn) *dynamic;
  const ElfW(Sym) *symbols;
  const char *strings;
  const uint32_t *gnu_hash; /* NULL: none */
  const uint32_t *hash;     /* the older table, likewise */
  const ElfW(Half) *versions; /* of each symbol, or NULL */
};

/* `header`: where the object's ELF header is mapped. */
void elf_object_read(struct elf_object *object, uintptr_t base, const ElfW(Ehdr) *header);

/* The value behind a tag of the dynamic section, 0 without one; and as an address. */
uintptr_t elf_dynamic(const struct elf_object *object, ElfW(Sxword) tag);
uintptr_t elf_dynamic_address(const struct elf_object *object, ElfW(Sxword) tag);

/* How many symbols the object's table has. */
size_t elf_symbol_count(const struct elf_object *object);

/* Whether it is one that others can bind to: defined, not local, and no older version that
 * is kept for programs of its time. */
bool elf_is_offered(const struct elf_object *object, const ElfW(Sym) *symbol);

/* The one of that name that is offered, or NULL. */
const ElfW(Sym) *elf_symbol(const struct elf_object *object, const char *name);

/* Where a function is: that of an indirect one is what its own resolver says. */
void *elf_function(const struct elf_object *object, const ElfW(Sym) *symbol);

/* Reads a byte of each page of its code, so that the first call of a function is no fault of
 * whoever calls it. */
void elf_make_resident(const struct elf_object *object);

static inline bool elf_contains(const struct elf_object *object, uintptr_t address) {
  return address >= object->start && address < object->end;
}

#endif

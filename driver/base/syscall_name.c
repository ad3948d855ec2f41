#include "base/syscall_name.h"

#include "base/text.h"
#include "syscall_names.h"

const char *syscall_name(unsigned int number) {
  static char unnamed[24];
  if (number < sizeof syscall_names / sizeof *syscall_names && syscall_names[number])
    return syscall_names[number];
  struct text text = text_in(unnamed, sizeof unnamed);
  text_add(&text, "syscall_");
  text_add_number(&text, number);
  return unnamed;
}

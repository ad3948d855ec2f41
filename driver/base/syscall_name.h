/* syscall_name.h: the system calls by number and by name, as this machine's headers have them. */
#ifndef ALLOCPHASE_SYSCALL_NAME_H
#define ALLOCPHASE_SYSCALL_NAME_H

#define SYSCALL_NUMBERS 1024 /* well above the highest number of any kernel */

/* The kernel's name of a call, else its number; valid until the next call. */
const char *syscall_name(unsigned int number);

#endif

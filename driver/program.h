/* program.h: runs one command under an allocator, and tells what it took as a whole.
 *
 *   allocphase-driver --program program|program_memory|program_calls|program_syscalls --kept 1
 *                     --out FOLDER --preload OBJECTS [--cpu N]... [--input FILE]
 *                     [--observed-ns N] -- COMMAND...
 *
 * What the command is given: the driver's own environment with LD_PRELOAD, its stdin
 * from `--input` or from nowhere, its stdout in FOLDER/stdout, the working folder and
 * the limits that the keeper has set (keeper.h). What it left running when it ended is
 * the keeper's to end and to count. Nothing of a trace is here, and no allocator is
 * loaded into the driver: it only waits.
 *
 * Probes: `program` times the command and does nothing meanwhile; `program_memory`
 * looks at the whole tree's memory TREE_LOOKS_PER_SECOND times a second (tree.bin).
 * `program_calls` has what counts the calls of malloc among its OBJECTS (preload/count.c), and
 * lists each process for what no preload sees (process_list.h; FOLDER/processes).
 * `program_syscalls` counts its system calls, for `--observed-ns` at most (syscall_count.h).
 */
#ifndef ALLOCPHASE_PROGRAM_H
#define ALLOCPHASE_PROGRAM_H

#define TREE_LOOKS_PER_SECOND 50

int program_main(int argc, char **argv);

#endif

/* keeper.h: runs one command within limits, and sees to it that nothing of it is left.
 *
 *   allocphase-driver --keep --parent PID --timeout-ns N --memory-bytes N
 *                     --file-bytes N --processes N [--preload PATH] -- COMMAND...
 *
 * One line on stdout says how it ended: "<reason> <wait status> <left>". `reason` is
 * ended, timeout, memory, processes or stopped; `left` is how many processes the
 * command had left running when it ended by itself.
 */
#ifndef ALLOCPHASE_KEEPER_H
#define ALLOCPHASE_KEEPER_H

int keeper_main(int argc, char **argv);

#endif

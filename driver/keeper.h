/* keeper.h: runs one command within limits, and sees to it that nothing of it is left.
 *
 *   allocphase-driver --keep --parent PID --timeout-ns N --memory-bytes N
 *                     --file-bytes N --disk-bytes N --processes N --writable FOLDER... -- COMMAND...
 *
 * One line on stdout says how it ended: "<reason> <wait status> <left> <token> <hz>".
 * `reason` is ended, timeout, memory, processes, disk or stopped; `left` is how many processes
 * the command had left running when it ended by itself; `token` is what its own files and
 * last words are known by (base/channel.h); `hz` the ticks a second that the keeper saw
 * meanwhile, 0 when that was too short to say. Behind the line stands what the command
 * itself failed at before any other code ran in it; mostly nothing.
 */
#ifndef ALLOCPHASE_KEEPER_H
#define ALLOCPHASE_KEEPER_H

int keeper_main(int argc, char **argv);

#endif

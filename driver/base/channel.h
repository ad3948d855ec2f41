/* channel.h: what the driver says to its keeper alone, before anybody else's code runs.
 *
 * A driver that cannot do its work ends the whole run; an allocator must not be able to.
 * So exit codes and words on stderr, which are anybody's, are never taken for that. What
 * is goes through a socket that the keeper has made, and that is closed before the first
 * instruction of an allocator runs: before a plug-in is loaded, and before the process
 * starts itself again under a preload.
 *
 * Beside it lies a *token*, some random characters. Whatever the driver says later, its
 * result and its last words, ends with them: a file or a line without is somebody else's.
 * It is in the process's memory, so this keeps out mistakes and pretenders, not whoever
 * reads the driver's own memory.
 */
#ifndef ALLOCPHASE_CHANNEL_H
#define ALLOCPHASE_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>

/* The keeper puts them there; what the kept command inherits beside its three streams. */
#define CHANNEL_FD 3
#define CHANNEL_TOKEN_FD 4
#define CHANNEL_TOKEN_BYTES 32 /* hexadecimal digits */

/* Called when a keeper is known to be there; `again`: by the process that has started itself
 * again, for which only the token is left. */
void channel_open(bool again);

/* Says it on the channel, while that is open. */
void channel_say(const char *what, const char *detail);

/* Takes the token and closes both. Does nothing where there is no channel. */
void channel_close(void);

/* For a process that goes on as another program: closed there, but the token is left. */
void channel_close_on_exec(void);

/* "" where there is no keeper. */
const char *channel_token(void);

#endif

/* exported.h: what a program finds of a preload; all else is hidden. */
#ifndef ALLOCPHASE_PRELOAD_EXPORTED_H
#define ALLOCPHASE_PRELOAD_EXPORTED_H

#define EXPORTED __attribute__((visibility("default")))

#endif

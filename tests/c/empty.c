/* empty: a shared object that is neither a plug-in nor a malloc. */
int allocphase_nothing;

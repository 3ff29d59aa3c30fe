// A name server that hangs, in the process: names that end in ".slow.test" are resolved when slow_names_release() is called, and not before.

void slow_names_release(void);

// How many are waiting.
int slow_names_waiting(void);

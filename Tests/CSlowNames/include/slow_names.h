// A name server that hangs, in the process: names that end in ".slow.test" are told
// to have no address when slow_names_release() is called, or after 30 s, so that who waits for them is late instead of stuck.

void slow_names_release(void);

// How many are waiting.
int slow_names_waiting(void);

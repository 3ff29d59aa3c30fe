#include "CBuild.h"

const char *slotstream_commit(void) { return SLOTSTREAM_COMMIT; }

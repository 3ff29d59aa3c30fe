/// The commit that the program was built from, as SLOTSTREAM_COMMIT was at the build; empty: nobody said.
const char *slotstream_commit(void);

#include <libpq-fe.h>

/* The codes of an error's fields, which libpq-fe.h has as character macros: Swift imports none of those. */
static const int LIBPQ_FIELD_SEVERITY = PG_DIAG_SEVERITY_NONLOCALIZED;
static const int LIBPQ_FIELD_SQLSTATE = PG_DIAG_SQLSTATE;
static const int LIBPQ_FIELD_MESSAGE = PG_DIAG_MESSAGE_PRIMARY;
static const int LIBPQ_FIELD_DETAIL = PG_DIAG_MESSAGE_DETAIL;
static const int LIBPQ_FIELD_HINT = PG_DIAG_MESSAGE_HINT;
static const int LIBPQ_FIELD_SOURCE_FUNCTION = PG_DIAG_SOURCE_FUNCTION;
